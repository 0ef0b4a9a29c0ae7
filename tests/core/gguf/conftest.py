"""Files for the tests of the GGUF reader."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
from gguf import quants

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import read_header

if TYPE_CHECKING:
    from collections.abc import Callable

VOCABULARY_SIZE = 50_000
# A refusal takes microseconds; the limits only have to be far below what a hostile count would cost.
TIME_LIMIT_S = 2.0
MEMORY_LIMIT_BYTES = 64 << 20


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A small model by the reference writer: every value type, two quantizations, an array of strings."""
    file = tmp_path / "written.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("影 model")
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list(["<s>", "影", ""])
    writer.add_token_types([1, 2, 3])
    writer.add_uint8("x.uint8", 200)
    writer.add_int8("x.int8", -100)
    writer.add_uint16("x.uint16", 60_000)
    writer.add_int16("x.int16", -30_000)
    writer.add_int32("x.int32", -2_000_000_000)
    writer.add_uint64("x.uint64", 2**63)
    writer.add_int64("x.int64", -(2**62))
    writer.add_float32("x.float32", 0.1)
    writer.add_float64("x.float64", 0.1)
    writer.add_bool("x.bool", True)
    weights = np.arange(64 * 3, dtype=np.float32).reshape(3, 64)
    writer.add_tensor("norm", weights[0, :5])
    for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0):
        writer.add_tensor(f"{kind.name}.weight", quants.quantize(weights, kind), raw_dtype=kind)
    return _close(writer, file)


@pytest.fixture
def big_vocabulary(tmp_path: Path) -> Path:
    """A model with as many tokens and merges as a real one."""
    file = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_token_list([f"token {i}" for i in range(VOCABULARY_SIZE)])
    writer.add_token_merges([f"to ken{i}" for i in range(VOCABULARY_SIZE)])
    writer.add_string("after.the.arrays", "found")
    writer.add_tensor("norm", np.zeros(8, dtype=np.float32))
    return _close(writer, file)


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[bytes], Path]:
    """Puts bytes into a file."""

    def write(content: bytes) -> Path:
        file = tmp_path / "model.gguf"
        file.write_bytes(content)
        return file

    return write


@pytest.fixture
def refusal_of(file_of: Callable[[bytes], Path]) -> Callable[[bytes], str]:
    """Reads bytes that must be refused, quickly and in little memory; returns the message after the path."""

    def refuse(content: bytes) -> str:
        file = file_of(content)
        started = time.perf_counter()
        tracemalloc.start()
        try:
            with pytest.raises(ModelFileError) as caught:
                read_header(file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak < MEMORY_LIMIT_BYTES
        assert time.perf_counter() - started < TIME_LIMIT_S
        assert caught.value.message.startswith(f"{file}: ")
        assert "\n" not in caught.value.message
        return caught.value.message.removeprefix(f"{file}: ")

    return refuse


def _close(writer: gguf.GGUFWriter, file: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
