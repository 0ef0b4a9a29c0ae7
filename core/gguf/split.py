"""The header of a whole model, which may be split into several files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf.parts import (
    SPLIT_COUNT_KEY,
    SPLIT_NUMBER_KEY,
    SPLIT_TENSORS_KEY,
    is_further_part,
    model_stem,
    part_name,
    parts_of,
)
from hoshikage.core.gguf.reader import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hoshikage.core.gguf.header import GgufHeader, TensorInfo


def read_header(file: Path) -> GgufHeader:
    """Read everything before the weights, and check that the weights are all there, in all parts.

    Raises:
        ModelFileError: a file is missing, unreadable, or not a whole and valid GGUF; a part belongs elsewhere; or
            the file is a further part of a split model, which its first part stands for.
    """
    parts = parts_of(file)
    if is_further_part(file):
        number = parts.index(file) + 1
        raise ModelFileError(f"{file} is part {number} of {len(parts)} of a model; name its first part, {parts[0]}")
    first = read_file(file)
    _check_name(first, len(parts))
    if len(parts) == 1:
        return first
    headers = [first, *(read_file(part) for part in parts[1:])]
    for number, header in enumerate(headers):
        _check_part(header, first, number)
    return replace(first, tensors=_all_tensors(headers), file_size=sum(h.file_size for h in headers))


def _check_name(first: GgufHeader, count: int) -> None:
    """Refuse a file whose name and metadata do not agree on the parts: llama.cpp goes by both."""
    stated = _count(first)
    if stated == count:
        return
    if count == 1:
        name = part_name(model_stem(first.file), 1, stated)
        raise ModelFileError(
            f"{first.file} is part of a model of {stated} files, but is not named so; give its files back the names "
            f"that they had, the first one being {name} or alike"
        )
    raise ModelFileError(
        f"{first.file} is named as the first of {count} files, but says that it is one of {stated}; "
        "if it is a whole model, give it another name, otherwise download it again"
    )


def _check_part(header: GgufHeader, first: GgufHeader, number: int) -> None:
    """Refuse a part that is in another's place, or that is one of another model."""
    count, stated = _count(first), header.metadata.get(SPLIT_NUMBER_KEY)
    if _count(header) != count:
        raise _foreign(header, f"it says that it is one of {_count(header)} files, but the first part says {count}")
    if stated is None:
        raise _foreign(header, f"it has no {SPLIT_NUMBER_KEY}")
    if stated != number:
        raise ModelFileError(
            f"{header.file} is named as part {number + 1} of {count}, but it is part {int(stated) + 1}; "
            "its parts have been mixed up: download them again"
        )
    if header.metadata.get(SPLIT_TENSORS_KEY) != first.metadata.get(SPLIT_TENSORS_KEY):
        raise _foreign(header, f"its {SPLIT_TENSORS_KEY} differs from that of the first part")


def _all_tensors(headers: Sequence[GgufHeader]) -> tuple[TensorInfo, ...]:
    found: dict[str, TensorInfo] = {}
    for number, header in enumerate(headers):
        for tensor in header.tensors:
            if tensor.name in found:
                raise _foreign(header, f"the tensor {tensor.name!r} is in an earlier part too")
            found[tensor.name] = replace(tensor, part=number)
    stated = headers[0].metadata.get(SPLIT_TENSORS_KEY)
    if stated != len(found):
        raise ModelFileError(
            f"{headers[0].file}: {SPLIT_TENSORS_KEY} is {stated}, but its {len(headers)} parts have {len(found)} "
            "tensors; the parts are not those of one model: download them again"
        )
    return tuple(found.values())


def _count(header: GgufHeader) -> int:
    """How many files the model has by its metadata; llama.cpp takes 0 for a model that is not split."""
    return int(header.metadata.get(SPLIT_COUNT_KEY, 1)) or 1


def _foreign(header: GgufHeader, problem: str) -> ModelFileError:
    return ModelFileError(f"{header.file} is no part of the model beside it: {problem}; download it again")
