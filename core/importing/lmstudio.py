"""The models of LM Studio: GGUF files in folders, `publisher/repository/file.gguf`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import HoshikageError, ModelFileError
from hoshikage.core.gguf import facts_of, read_header
from hoshikage.core.importing.found import Found, Unusable, check_path
from hoshikage.core.names import check_name, name_key
from hoshikage.core.registry import ModelEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECTOR: Final = "mmproj"
_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def scan_lmstudio(root: Path, *, only: str = "") -> Iterator[Found | Unusable]:
    """Every model of the folder; a split one once, and files that are only there for images not at all.

    A name is the file's own; where two publishers have the same, the second one's is named with its publisher.
    """
    taken: set[str] = set()
    for file in sorted(root.glob("*/*/*.[gG][gG][uU][fF]")):
        stem = _stem(file)
        if stem is None:
            continue
        name = stem if name_key(stem) not in taken else f"{file.parts[-3]}/{stem}"
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
    if PROJECTOR in file.name.lower():
        return None
    part = _PART.fullmatch(file.name)
    if part is None:
        return file.stem
    return part["stem"] if int(part["number"]) == 1 else None


def _found(name: str, file: Path, root: Path) -> Found | None:
    check_path(file)
    name = check_name(name)
    header = read_header(file)
    if header.metadata.get("general.type") == PROJECTOR or header.metadata.get("general.architecture") == "clip":
        return None
    facts_of(header)
    entry = ModelEntry(path=str(file.parent), model=file.name, stop=(), source=f"lmstudio {root}")
    return Found(name, entry, file, sum(part.stat().st_size for part in _parts(file)))


def _parts(file: Path) -> list[Path]:
    """All files of a model.

    Raises:
        ModelFileError: one is missing.
    """
    part = _PART.fullmatch(file.name)
    if part is None:
        return [file]
    count = int(part["count"])
    files = [file.with_name(f"{part['stem']}-{n:05}-of-{count:05}{file.suffix}") for n in range(1, count + 1)]
    if missing := [f.name for f in files if not f.is_file()]:
        raise ModelFileError(f"{file}: parts are missing: {', '.join(missing[:5])}; download the model again")
    return files
