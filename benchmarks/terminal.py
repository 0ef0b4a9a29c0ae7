"""Progress on the terminal."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
