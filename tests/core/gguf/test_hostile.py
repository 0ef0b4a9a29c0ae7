"""Two thousand hostile files: each gives facts or a refusal, in little time and memory."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import facts_of, read_header
from tests.hostile import Whole, cases
from tests.plugins.engine_llamacpp.tiny import write_llama

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile import Case

CASES = 2000
SEED = 4
ONE_LIMIT_S = 2.0  # they take milliseconds
MEMORY_LIMIT_BYTES = 16 << 20
MESSAGE_LIMIT = 1000
HEAD_BYTES = 16 << 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A small model that llama.cpp loads."""
    return Whole.read(write_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


def test_whole_file_is_valid(whole: Whole, tmp_path: Path):
    """What the damage begins with can be read, so that each refusal is for the damage."""
    file = tmp_path / "whole.gguf"
    file.write_bytes(whole.content())

    assert "llama" == facts_of(read_header(file)).architecture


def test_two_thousand_hostile_files_are_refused_or_read(whole: Whole, tmp_path: Path):
    """No file makes the reader raise anything but a refusal that names it, hang, or take much memory."""
    file = tmp_path / "hostile.gguf"
    refusals: list[str] = []
    slowest, peak = 0.0, 0
    for case in itertools.islice(cases(whole, seed=SEED), CASES):
        write_sparse(file, case.content)
        tracemalloc.start()
        began = time.perf_counter()
        refusals += refusal_of_case(file, case)
        slowest = max(slowest, time.perf_counter() - began)
        peak = max(peak, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peak < MEMORY_LIMIT_BYTES
    assert slowest < ONE_LIMIT_S
    assert CASES / 2 < len(refusals) < CASES
    assert all(str(file) in message and len(message) < MESSAGE_LIMIT for message in refusals)


def refusal_of_case(file: Path, case: Case) -> list[str]:
    """The message of a refusal, if there is one; anything else that is raised fails the test with the case's name."""
    try:
        facts_of(read_header(file))
    except ModelFileError as error:
        return [error.message]
    except Exception as error:
        raise AssertionError(f"{case.name}: {error!r}") from error
    return []


def write_sparse(file: Path, content: bytes) -> None:
    """Write what the reader reads; the weights are a hole, because two thousand times they would be a gigabyte."""
    with file.open("r+b" if file.exists() else "wb") as stream:  # emptying it first would take most of the time
        stream.write(content[:HEAD_BYTES])
        stream.truncate(len(content))
