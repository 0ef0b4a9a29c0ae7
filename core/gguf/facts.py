"""From a GGUF header to the facts that the rest of the kernel knows."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from hoshikage.core.contracts import ModelFacts
from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf.quantization import FILE_TYPES, GUESSED_FILE_TYPE

if TYPE_CHECKING:
    from hoshikage.core.gguf.header import GgufHeader

ARCHITECTURE_KEY: Final = "general.architecture"
FILE_TYPE_KEY: Final = "general.file_type"
TEMPLATE_KEY: Final = "tokenizer.chat_template"


def facts_of(header: GgufHeader) -> ModelFacts:
    """What the header says, in our words.

    Raises:
        ModelFileError: it names no architecture, or a value has a wrong type.
    """
    architecture = _text(header, ARCHITECTURE_KEY)
    if not architecture:
        raise ModelFileError(
            f"{header.file}: the metadata has no {ARCHITECTURE_KEY}, so no engine can load it; "
            "get the model as a GGUF made by llama.cpp's converter"
        )
    return ModelFacts(
        architecture=architecture,
        name=_text(header, "general.name"),
        parameter_count=sum(math.prod(tensor.shape) for tensor in header.tensors),
        quantization=_quantization(header),
        context_length=_number(header, f"{architecture}.context_length") or 0,
        embedding_length=_number(header, f"{architecture}.embedding_length") or 0,
        chat_template=_text(header, TEMPLATE_KEY),
        metadata={key: value for key, value in header.metadata.items() if key != TEMPLATE_KEY},
    )


def _quantization(header: GgufHeader) -> str:
    number = _number(header, FILE_TYPE_KEY)
    if number is not None and number & ~GUESSED_FILE_TYPE in FILE_TYPES:
        return FILE_TYPES[number & ~GUESSED_FILE_TYPE]
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.type] += math.prod(tensor.shape)
    return weights.most_common(1)[0][0] if weights else ""


def _text(header: GgufHeader, key: str) -> str:
    _refuse_array(header, key)
    value = header.metadata.get(key, "")
    if not isinstance(value, str):
        raise _wrong_type(header, key, repr(value), wanted="a text")
    return value


def _number(header: GgufHeader, key: str) -> int | None:
    _refuse_array(header, key)
    value = header.metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong_type(header, key, repr(value), wanted="a whole number of at least 0")
    return value


def _refuse_array(header: GgufHeader, key: str) -> None:
    if key in header.arrays:
        kind, length = header.arrays[key]
        raise _wrong_type(header, key, f"an array of {length} {kind.name}", wanted="a single value")


def _wrong_type(header: GgufHeader, key: str, found: str, *, wanted: str) -> ModelFileError:
    found = found if len(found) <= 80 else f"{found[:80]}…"
    return ModelFileError(
        f"{header.file}: {key} is {found}, but it must be {wanted}; the file is damaged: download it again"
    )
