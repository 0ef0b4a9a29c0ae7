"""The tables of types agree with the reference package."""

from __future__ import annotations

import gguf as reference
import pytest

from hoshikage.core.gguf.quantization import FILE_TYPES, TENSOR_TYPES

# The reference package has the old layout of Q8_1 (40 bytes); ggml itself has had 36 since 2024, and no file
# holds such weights.
AGREED = [
    kind
    for kind in reference.GGML_QUANT_SIZES
    if kind in TENSOR_TYPES and kind is not reference.GGMLQuantizationType.Q8_1
]


@pytest.mark.parametrize("kind", AGREED, ids=lambda kind: kind.name)
def test_weight_type_is_that_of_the_reference(kind):
    """Name, block size and bytes per block of a weight type agree with the reference."""
    assert (kind.name, *reference.GGML_QUANT_SIZES[kind]) == TENSOR_TYPES[kind]


@pytest.mark.parametrize("kind", [k for k in reference.LlamaFileType if k in FILE_TYPES], ids=lambda kind: kind.name)
def test_file_type_is_that_of_the_reference(kind):
    """The name of a file type is the reference's without its prefix."""
    assert kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") == FILE_TYPES[kind]
