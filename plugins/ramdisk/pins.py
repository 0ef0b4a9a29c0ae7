"""Which sources are pinned, remembered over restarts of the server and of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

log = structlog.get_logger(__name__)


def read_pins(file: Path) -> frozenset[Path]:
    """The pinned sources; none where the file is damaged, with a line in the log."""
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, RecursionError) as error:
        log.warning("ramdisk_pins_unreadable", file=str(file), reason=str(error))
        return frozenset()
    names = found if isinstance(found, list) else []
    return frozenset(Path(name) for name in names if isinstance(name, str))


def write_pins(file: Path, pins: Iterable[Path]) -> None:
    """Remember the pinned sources; where that is not possible, they hold until the server stops."""
    try:
        write_atomically(file, json.dumps(sorted(map(str, pins)), indent=2).encode() + b"\n")
    except OSError as error:
        log.warning("ramdisk_pins_not_written", file=str(file), reason=error.strerror)
