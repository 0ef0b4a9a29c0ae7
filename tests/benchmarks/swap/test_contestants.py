"""Who changes between models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.answers import Answer, Work
from benchmarks.contestants import Contestant, Setup
from benchmarks.prompts import chatml
from benchmarks.rows.base import MeasureFailed
from benchmarks.swap import contestants
from benchmarks.swap.contestants import Limit, OwnServer, Router, until_quiet
from benchmarks.swap.works import short_work
from benchmarks.tokenizer import Tokenizer

HELLO = Work((("system", "Be kind."), ("user", "Hello")), 2)


class Busy(Contestant):
    """Has used so much processor time at each look."""

    name = "busy"

    def __init__(self, setup: Setup, used: list[float]) -> None:
        super().__init__(setup)
        self.used = used

    async def start(self) -> None:
        return None

    async def answer(self, works: list[Work]) -> list[Answer]:
        return []

    def used_cpu_s(self) -> float:
        return self.used.pop(0) if len(self.used) > 1 else self.used[0]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path / "m.gguf", tmp_path, n_ctx=2048, n_threads=2, n_parallel=4)


@pytest.fixture
async def own(smollm2_path: Path, gemma_path: Path, setup: Setup) -> AsyncIterator[OwnServer]:
    server = OwnServer(setup, {"smollm2": smollm2_path, "gemma": gemma_path})
    await server.start()
    yield server
    await server.stop()


async def test_quiet_is_a_while_without_work(setup: Setup, monkeypatch: pytest.MonkeyPatch):
    """One look without work is no rest; a process that ended, which takes its time with it, is none either."""
    monkeypatch.setattr(contestants, "LOOK_EVERY_S", 0.001)
    busy = Busy(setup, [0.0, 0.5, 0.5, 0.9, 0.3, 0.3, 0.3, 0.3, 7.0])
    await until_quiet(busy)

    assert [7.0] == busy.used


async def test_who_is_never_quiet_is_asked_nevertheless(setup: Setup, monkeypatch: pytest.MonkeyPatch):
    """A pause has an end."""
    monkeypatch.setattr(contestants, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(contestants, "QUIET_LIMIT_S", 0.02)
    async with asyncio.timeout(5):
        await until_quiet(Busy(setup, [float(n) for n in range(10_000)]))


def test_the_router_has_one_model_at_a_time(setup: Setup):
    """Both are in its preset, under the names that all contestants know."""
    router = Router(setup, "/bin/llama-server", {"smollm2": Path("/a.gguf"), "gemma": Path("/b.gguf")})
    words = router.command(1234)

    assert "1" == words[words.index("--models-max") + 1]
    assert "2048" == words[words.index("-c") + 1]
    preset = Path(words[words.index("--models-preset") + 1]).read_text()
    assert "[smollm2]\nmodel = /a.gguf\n[gemma]\nmodel = /b.gguf\n" == preset


def test_settings_of_our_own_server_are_those_of_the_row(setup: Setup, monkeypatch: pytest.MonkeyPatch):
    """What is set outside has no effect."""
    monkeypatch.setenv("HOSHIKAGE_LLAMACPP__N_CTX", "77")
    server = OwnServer(setup, {"a": Path("/a.gguf"), "b": Path("/b.gguf")}, ram_folder=Path("/ram"), state=False)
    variables = server.environment()

    assert ("2048", "1") == (variables["HOSHIKAGE_LLAMACPP__N_CTX"], variables["HOSHIKAGE_RESIDENCY__MAX_LOADED"])
    assert "/ram" == variables["HOSHIKAGE_RAMDISK__PATH"]
    assert "false" == variables["HOSHIKAGE_STATE__ENABLED"]
    assert server.stages


def test_a_copy_on_the_ram_disk_has_the_size_of_its_source(tmp_path: Path, setup: Setup):
    """Whatever it is called there."""
    source, ram = tmp_path / "m.gguf", tmp_path / "ram"
    source.write_bytes(b"12345")
    (ram / "deeper").mkdir(parents=True)
    server = OwnServer(setup, {"m": source}, ram_folder=ram)
    with pytest.raises(MeasureFailed, match="5 bytes of m"):
        server.staged_file("m")
    (ram / "state").write_bytes(b"1")
    (ram / "deeper" / "copy").write_bytes(b"12345")

    assert ram / "deeper" / "copy" == server.staged_file("m")


@pytest.mark.model
async def test_our_own_server_changes_its_model(own: OwnServer):
    """Asked for the other one it loads it, and the first one is gone."""
    answer = await own.ask("smollm2", HELLO)
    await own.until_alone()
    shown = await own.loaded("smollm2")
    with pytest.raises(MeasureFailed, match="does not show gemma"):
        await own.loaded("gemma")
    seconds = await own.load("gemma")
    await own.unload("gemma")
    with pytest.raises(MeasureFailed, match="does not show gemma"):
        await own.loaded("gemma")

    assert answer.text
    assert 2048 == shown["context_length"]
    assert seconds > 0


@pytest.mark.model
async def test_a_model_that_was_left_is_loaded_again(own: OwnServer):
    """Whoever is asked next has met a server with one model: nobody is spared a load because the other one lingered."""
    pids = []
    for model in ("smollm2", "gemma", "smollm2"):
        assert (await own.ask(model, HELLO)).text
        pids.append((await own.loaded(model))["pid"])
    await own.until_alone()

    assert 3 == len(set(pids))
    with pytest.raises(MeasureFailed, match="does not show gemma"):
        await own.loaded("gemma")


@pytest.mark.model
async def test_a_refusal_is_told_with_its_status(own: OwnServer):
    """It becomes an error of the row."""
    with pytest.raises(MeasureFailed, match="status 404"):
        await own.load("no-such-model")


@pytest.mark.model
async def test_the_limit_uses_each_process_once(smollm2_path: Path, gemma_path: Path, setup: Setup):
    """Each job meets a process that has loaded nothing yet; its answer is the first token."""
    limit = Limit(setup, {"smollm2": smollm2_path, "gemma": gemma_path})
    await limit.start()
    assert limit.child is not None
    pids, answers = [limit.child.process.pid], []
    count = Tokenizer(smollm2_path).count
    for model in ("smollm2", "gemma"):
        answers.append(await limit.ask(model, short_work(count, 5)))
        pids.append(limit.child.process.pid)
    await limit.stop()

    assert 3 == len(set(pids))
    assert 31 == answers[0].prompt_tokens == count(chatml(short_work(count, 5).messages))
    assert all(a.completion_tokens == 1 and a.began < a.times[0] == a.ended for a in answers)
