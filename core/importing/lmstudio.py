"""The models of LM Studio: GGUF files in folders, `publisher/repository/file.gguf`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.core.creation import PROJECTOR, check_model, kind_of
from hoshikage.core.errors import HoshikageError
from hoshikage.core.gguf import is_further_part, model_stem, read_header
from hoshikage.core.importing.found import Found, Unusable, check_path, files_below
from hoshikage.core.names import check_name, name_key
from hoshikage.core.registry import ModelEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_DEPTH: Final = 3


def scan_lmstudio(root: Path, *, only: str = "") -> Iterator[Found | Unusable]:
    """Every model of the folder; a split one once, and files that are only there for images not at all.

    A name is the file's own; where an earlier file has the same, its publisher stands before it, or its repository too.
    """
    taken: set[str] = set()
    for file in files_below(root, FILE_DEPTH):
        if isinstance(file, Unusable):
            yield file
            continue
        stem = _stem(file)
        if stem is None:
            continue
        publisher, repository = file.parts[-3:-1]
        names = (
            stem,
            f"{publisher}/{stem}",
            f"{publisher}/{repository}/{stem}",
            f"{publisher}/{repository}/{file.name}",
        )
        name = next((n for n in names if name_key(n) not in taken), names[-1])
        taken.add(name_key(name))
        if only and name_key(name) != name_key(only):
            continue
        try:
            found = _found(name, file, root)
        except HoshikageError as error:
            yield Unusable(file, error.message.removeprefix(f"{file}: "))
        else:
            if found is not None:
                yield found


def _stem(file: Path) -> str | None:
    """The name of the model that a file begins; `None` for a file that begins none."""
    if file.suffix.lower() != ".gguf" or PROJECTOR in file.name.lower() or is_further_part(file):
        return None
    return model_stem(file)


def _found(name: str, file: Path, root: Path) -> Found | None:
    check_path(file)
    name = check_name(name)
    header = read_header(file)
    if kind_of(header) == PROJECTOR:
        return None
    check_model(header)
    entry = ModelEntry(path=str(file.parent), model=file.name, stop=(), source=f"lmstudio {root}")
    return Found(name, entry, file, header.file_size)
