"""What a look into another program's folder finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage.core.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hoshikage.core.registry import ModelEntry


@dataclass(frozen=True, slots=True)
class Found:
    """A model that can be used.

    Attributes:
        name: the name that the other program has for it.
        entry: what is to be registered; it owns nothing, so no file of the other program is ever deleted.
        digest: SHA-256 of the file, where the other program says it; else empty.
    """

    name: str
    entry: ModelEntry
    file: Path
    size_bytes: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that is no model, or a broken one."""

    path: Path
    reason: str


def files_below(folder: Path, depth: int) -> Iterator[Path | Unusable]:
    """What lies so many folders deep, by name; a folder that is not ours to read is told."""
    try:
        inside = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield Unusable(folder, unreadable(error))
        return
    for path in inside:
        if depth == 1:
            yield path
        else:
            yield from files_below(path, depth - 1)


def unreadable(error: OSError) -> str:
    """What to say of a place that the system bars."""
    return f"it cannot be read: {error.strerror}; give yourself the right to read it, or check the disk"


def check_path(file: Path) -> None:
    """Whether a path can be written down.

    Raises:
        ModelFileError: it has bytes that are no UTF-8.
    """
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise ModelFileError("its name is no UTF-8; give the file another name") from error
