"""Models that other programs keep: found where they lie, and used there without copying."""

from __future__ import annotations

from hoshikage.core.importing.found import Found, Unusable
from hoshikage.core.importing.lmstudio import scan_lmstudio
from hoshikage.core.importing.ollama import scan_ollama
from hoshikage.core.importing.registering import Outcome, register_found

__all__ = ["Found", "Outcome", "Unusable", "register_found", "scan_lmstudio", "scan_ollama"]
