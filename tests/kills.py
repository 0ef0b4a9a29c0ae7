"""How often tests kill what they look at: a few times in every run, and as often as promised by `make test-kills`."""

from __future__ import annotations

import os


def kills(promised: int, *, usual: int) -> int:
    """How many kills a test is worth now."""
    return promised if os.environ.get("HOSHIKAGE_TEST_EVERY_KILL") else usual
