"""An embedder's process: what comes back from it. That it dies and ends is tested with a real embedder."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import threading

import psutil
import pytest

from hoshikage.core.embedding.process import EmbedderProcess
from hoshikage.core.errors import EmbedderFailed


class Stubborn(Exception):
    """An error that cannot be sent from one process to another."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}\n {second}")


def where() -> tuple[int, int]:
    return os.getpid(), os.nice(0)


def refuse() -> None:
    raise Stubborn("no", "such model")


@pytest.fixture
async def process():
    found = EmbedderProcess("ears")
    yield found
    await found.close()


async def test_calls_run_in_one_other_process(process):
    """It is the same for all of them, and lets others compute first."""
    (pid, nice), again = await process.run(where), await process.run(where)

    assert (pid, nice) == again
    assert pid != os.getpid()
    assert nice > os.nice(0)


async def test_every_error_comes_back_in_words(process):
    """Also one that cannot be sent; the process goes on."""
    pid, _ = await process.run(where)
    with pytest.raises(EmbedderFailed, match="the embedder 'ears' failed: Stubborn: no such model"):
        await process.run(refuse)

    assert pid == (await process.run(where))[0]


async def test_a_plug_in_of_one_file_has_a_process_too(process, tmp_path, monkeypatch):
    """Its module is on no path, so the other process reads the file."""
    (tmp_path / "ears.py").write_text("def lengths(texts):\n    return [len(text) for text in texts]\n")
    spec = importlib.util.spec_from_file_location("hoshikage_plugin_ears", tmp_path / "ears.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hoshikage_plugin_ears", module)
    spec.loader.exec_module(module)
    found = await process.run(module.lengths, ["a", "bcd"])
    (tmp_path / "ears.py").unlink()

    assert [1, 3] == found
    assert [2] == await process.run(module.lengths, ["ef"])  # it was read once


def wait_for_ever() -> None:
    threading.Event().wait()


async def test_closing_does_not_wait_for_what_runs(process):
    """Whoever asked is told; closing twice is closing once."""
    pid, _ = await process.run(where)
    asked = asyncio.create_task(process.run(wait_for_ever))
    await asyncio.sleep(0)  # it is handed over
    await process.close()
    await process.close()

    with pytest.raises(EmbedderFailed, match=r"died|closed"):
        await asked
    assert not psutil.pid_exists(pid)
