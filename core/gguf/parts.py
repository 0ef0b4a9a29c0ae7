"""The files of one model: llama.cpp splits large ones into `<prefix>-00001-of-00003.gguf` and so on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PART_NAME: Final = re.compile(r"(?P<prefix>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)
# Real models have up to some 200; a name that claims more costs nothing, because it is the name of a whole file.
MAX_PARTS: Final = 1024

# What a part says of itself, in its metadata. Here numbers begin with 0.
SPLIT_NUMBER_KEY: Final = "split.no"
SPLIT_COUNT_KEY: Final = "split.count"
SPLIT_TENSORS_KEY: Final = "split.tensors.count"


def parts_of(file: Path) -> tuple[Path, ...]:
    """All files of the model that a file belongs to, in order, whether they exist or not.

    Only the name counts; of a file that is not split, it is the file itself.
    """
    named = _named(file)
    if named is None:
        return (file,)
    prefix, _, count = named
    return tuple(file.with_name(part_name(prefix, number, count)) for number in range(1, count + 1))


def is_further_part(file: Path) -> bool:
    """Whether a file is named as a part of a split model, and not as its first one."""
    named = _named(file)
    return named is not None and named[1] > 1


def missing_parts(file: Path) -> tuple[Path, ...]:
    """Those files of a file's model that do not exist, or are no files."""
    return tuple(part for part in parts_of(file) if not part.is_file())


def model_stem(file: Path) -> str:
    """The file's name without its ending, and without the number of the part."""
    named = _named(file)
    return file.stem if named is None else named[0]


def part_name(prefix: str, number: int, count: int) -> str:
    """The name of one part; numbers begin with 1."""
    return f"{prefix}-{number:05}-of-{count:05}.gguf"


def _named(file: Path) -> tuple[str, int, int] | None:
    match = PART_NAME.fullmatch(file.name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (match["prefix"], number, count) if 1 <= number <= count <= MAX_PARTS else None
