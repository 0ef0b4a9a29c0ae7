"""Memory on the way of a request: recalled before, written after, and never in the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from hoshikage import Caller, Memory, MemoryUse, Recall, Recalled, RecalledItem
from tests.core.pipelines import REQUEST, World

ITEM = Recalled(Memory("mem_1", "a cat", 1.0), 0.7, {"words": 1.0})


@dataclass
class FakeMemory:
    """Recalls one memory, and notes what it was asked."""

    name: str = "fake"
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    remembered: list[tuple[str, str]] = field(default_factory=list)

    def mode_of(self, caller: Caller) -> str:
        return caller.memory.mode or "off"

    async def recall(self, request, caller) -> Recall:
        self.asked.append(request.messages[-1].content)
        if self.error is not None:
            raise self.error
        return Recall("BLOCK", (ITEM,))

    async def remember(self, request, answer, receipt) -> None:
        if self.error is not None:
            raise self.error
        self.remembered.append((request.messages[-1].content, answer))


@pytest.fixture
def memory() -> FakeMemory:
    return FakeMemory()


@pytest.fixture
def world_of(residence_with, memory):
    def build() -> World:
        return World(residence_with(), memory=memory)

    return build


def caller(mode: str | None) -> Caller:
    return Caller(memory=MemoryUse(mode))


@pytest.mark.parametrize(
    ("mode", "recalls", "writes"),
    [("on", True, True), ("read", True, False), ("off", False, False), (None, False, False)],
)
async def test_what_each_mode_does(world_of, memory, engine, mode, recalls, writes):
    """`read` recalls, `on` writes too, and nothing happens for who does not ask."""
    world = world_of()
    await world.answer(caller=caller(mode))
    await world.pipeline.stop()
    said = REQUEST.messages[-1].content

    assert ([said] if recalls else [], bool(memory.remembered)) == (memory.asked, writes)
    assert ("BLOCK\n\n" in engine.models[0].asked[0].messages[-1].content) == recalls
    assert (RecalledItem("mem_1", 0.7, {"words": 1.0}),) * recalls == world.receipt().recalled


async def test_the_block_is_not_remembered(world_of, memory):
    """What is written down is what the client sent, or each answer would remember all before it again."""
    world = world_of()
    await world.answer(caller=caller("on"))
    await world.pipeline.stop()

    assert [REQUEST.messages[-1].content] == [said for said, _ in memory.remembered]


@pytest.mark.parametrize("error", [ValueError("broken"), TimeoutError()])
async def test_a_failure_of_memory_is_none_of_the_chat(world_of, memory, error):
    """It is logged, and the answer comes without it."""
    memory.error = error
    world = world_of()
    with capture_logs() as logs:
        *_, done = await world.answer(caller=caller("on"))
        await world.pipeline.stop()

    assert "stop" == done.finish_reason
    assert ["recall_failed", "not_remembered"] == [line["event"] for line in logs if line["log_level"] == "warning"]


@pytest.mark.parametrize(("mode", "lines"), [("on", 1), ("read", 1), ("off", 0), (None, 0)])
async def test_who_asks_for_memory_where_there_is_none_is_answered(residence_with, mode, lines):
    """A missing package is no failure of the chat, but the log says it to whoever wonders."""
    world = World(residence_with())
    with capture_logs() as logs:
        *_, done = await world.answer(caller=caller(mode))
        await world.pipeline.stop()

    assert "stop" == done.finish_reason
    assert lines == sum("hoshikage doctor" in line.get("reason", "") for line in logs)


async def test_raw_prompts_have_no_memory(world_of, memory):
    """A completion has no message that a block could stand before."""
    world = world_of()
    await world.answer(replace(REQUEST, messages=(), prompt="raw"), caller=caller("on"))
    await world.pipeline.stop()

    assert ([], []) == (memory.asked, memory.remembered)
