"""The tensor list: what no model may claim about its weights."""

from __future__ import annotations

import pytest

from hoshikage.core.gguf import read_header
from tests.core.gguf import raw_gguf as raw


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (raw.tensor(""), "a tensor's name has a length of 0"),
        (raw.tensor("n" * 64), "a tensor's name has a length of 64"),
        (raw.tensor(b"\xff"), "the tensor name b'\\xff' is no UTF-8"),
        (raw.tensor(shape=()), "tensor 'w' has 0 dimensions"),
        (raw.tensor(shape=(1,) * 5), "tensor 'w' has 5 dimensions"),
        (raw.text("w") + raw.u32(2**32 - 1) + bytes(32), "tensor 'w' has 4294967295 dimensions"),
        (raw.tensor(shape=(8, 0)), "tensor 'w' has the shape (8, 0), which is empty"),
        (raw.tensor(shape=(2**32, 2**31)), "or has more than 9223372036854775807 weights"),
        (raw.tensor(shape=(2**64 - 1,) * 4), "or has more than 9223372036854775807 weights"),
        (raw.tensor(kind=4), "tensor 'w' has the unknown weight type 4"),
        (raw.tensor(kind=31), "tensor 'w' has the unknown weight type 31"),
        (raw.tensor(kind=2**32 - 1), "tensor 'w' has the unknown weight type 4294967295"),
        (raw.tensor(shape=(33,), kind=raw.Q4_0), "has rows of 33 weights, but Q4_0 needs a multiple of 32"),
        (raw.tensor(offset=4), "the offset 4, which is no multiple of the alignment 32"),
        (raw.tensor(offset=2**64 - 1), "no multiple of the alignment"),
        (raw.tensor(offset=2**64 - 32), "but the file has only"),
        (raw.tensor(offset=64), "but the file has only"),
        (
            raw.tensor(shape=(17,)),
            "tensor 'w' has 68 bytes and ends at byte 132, but the file has only 128 bytes",
        ),
        (raw.tensor(shape=(2**62,)), "but the file has only"),
    ],
    ids=raw.id_of,
)
def test_malformed_tensor_is_refused(refusal_of, tensor, problem):
    """A tensor that breaks the format, or lies outside the file, is refused by name."""
    content = raw.gguf(tensors=(tensor,))

    assert problem in refusal_of(content + bytes(64))


def test_tensor_up_to_the_last_byte_is_read(file_of):
    """A file may end with its last tensor, without padding."""
    header = read_header(file_of(raw.gguf(tensors=(raw.tensor(shape=(5,)),), data_bytes=20)))

    assert [20] == [tensor.size_bytes for tensor in header.tensors]


def test_duplicate_tensor_is_refused(refusal_of):
    """Two tensors of one name are refused."""
    tensors = (raw.tensor("w"), raw.tensor("w", offset=32))

    assert "the tensor 'w' occurs twice" in refusal_of(raw.gguf(tensors=tensors, data_bytes=64))


@pytest.mark.parametrize("offset", [0, 32])
def test_overlapping_tensors_are_refused(refusal_of, offset):
    """Two tensors must not share bytes, in whichever order they are listed."""
    tensors = (raw.tensor("late", offset=offset), raw.tensor("early", (16,)))

    assert "overlaps tensor" in refusal_of(raw.gguf(tensors=tensors, data_bytes=96))


def test_tensors_in_any_order_are_read(file_of):
    """The order of the list need not be that of the weights."""
    tensors = (raw.tensor("late", offset=32), raw.tensor("early"))
    header = read_header(file_of(raw.gguf(tensors=tensors, data_bytes=64)))

    assert [("late", 32), ("early", 0)] == [(tensor.name, tensor.offset) for tensor in header.tensors]
