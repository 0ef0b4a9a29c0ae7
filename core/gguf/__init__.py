"""What a GGUF file says of itself, read without trusting a byte of it."""

from __future__ import annotations

from hoshikage.core.gguf.digest import DigestCache, sha256_of
from hoshikage.core.gguf.facts import facts_of
from hoshikage.core.gguf.header import GgufHeader, TensorInfo, ValueType
from hoshikage.core.gguf.parts import is_further_part, missing_parts, model_stem, parts_of
from hoshikage.core.gguf.reader import read_file
from hoshikage.core.gguf.split import read_header

__all__ = [
    "DigestCache",
    "GgufHeader",
    "TensorInfo",
    "ValueType",
    "facts_of",
    "is_further_part",
    "missing_parts",
    "model_stem",
    "parts_of",
    "read_file",
    "read_header",
    "sha256_of",
]
