"""The quick fingerprint of a model's content."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from hoshikage.plugins.engine_llamacpp.fingerprint import BLOCK_BYTES, BLOCKS, fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 3 * BLOCKS * BLOCK_BYTES


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_it_is_of_the_content(tmp_path: Path):
    """A copy under another name has the same, a shorter file another."""
    content = random.Random(1).randbytes(200_000)
    same = {fingerprint_of(written(tmp_path / f"{n}.gguf", content)) for n in range(2)}

    assert 1 == len(same)
    assert fingerprint_of(written(tmp_path / "c.gguf", content[:-1])) not in same


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, LARGE])
def test_any_size_has_one(tmp_path: Path, size: int):
    """Files smaller than a block, and larger than all of them."""
    assert 64 == len(fingerprint_of(written(tmp_path / "a.gguf", bytes(size))))


def test_other_weights_are_noticed(tmp_path: Path):
    """A change of a part of the weights as large as the gaps between the blocks is always seen."""
    content = bytearray(LARGE)
    before = fingerprint_of(written(tmp_path / "a.gguf", content))
    gap = LARGE // (BLOCKS - 1)
    for start in (0, LARGE // 3, LARGE - gap):
        changed = bytearray(content)
        changed[start : start + gap] = b"\1" * gap
        assert before != fingerprint_of(written(tmp_path / "b.gguf", changed))


def test_every_part_of_a_split_model_counts(tmp_path: Path):
    """The second part is read as well."""
    first = written(tmp_path / "m-00001-of-00002.gguf", b"one")
    written(tmp_path / "m-00002-of-00002.gguf", b"two")
    before = fingerprint_of(first)
    written(tmp_path / "m-00002-of-00002.gguf", b"three")

    assert before != fingerprint_of(first)
