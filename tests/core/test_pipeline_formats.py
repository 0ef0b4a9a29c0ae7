"""What chat formats make of requests and answers on their way."""

from __future__ import annotations

from dataclasses import replace

from hoshikage import ChatRequest, Chunk, Directions, ModelFacts, Started, Tool, ToolCallDelta, ToolChoice, Usage
from hoshikage.core.errors import NotSupported
from tests.core.pipelines import RECORD, REQUEST
from tests.fakes import FakeFilter, FakeFormat, FakeParsed

WITH_TOOLS = replace(REQUEST, tools=(Tool("f"),))
CALL = ToolCallDelta(0, "c0", "f", "{}")


async def test_engine_gets_the_directions_of_the_format(world_with, engine):
    """The format of the model's template tells the engine what it must know."""
    engine.known = ModelFacts("fake", chat_template="mine")
    given = Directions("<think>", "</think>")
    world = world_with(formats=[FakeFormat("other"), FakeFormat("mine", template="mine", given=given)])
    await world.answer()

    assert [given] == [request.directions for request in engine.models[0].asked]


async def test_format_is_asked_after_the_filters(world_with, engine):
    """The format prepares the request that the filters made."""
    world = world_with(formats=[FakeFormat()], filters=[FakeFilter(lambda request: replace(request, tools=()))])
    await world.answer(replace(WITH_TOOLS, tool_choice=ToolChoice("none")))

    assert [()] == [request.tools for request in engine.models[0].asked]


async def test_answer_is_taken_apart(world_with, engine):
    """The caller gets text, thinking and calls; observers and receipt get the text and the count of all tokens."""
    pieces = {"hm": FakeParsed(reasoning="hm"), "call": FakeParsed(tool_calls=(CALL,))}
    world = world_with(formats=[FakeFormat(pieces=pieces)])
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].words = ("hm", "text", "call")
    _, *chunks, done = await world.answer(WITH_TOOLS)
    await world.pipeline.stop()

    assert [Chunk("", reasoning="hm"), Chunk("text"), Chunk("", tool_calls=(CALL,))] == chunks
    assert ("tool_calls", Usage(3, 3, reasoning_tokens=1)) == (done.finish_reason, done.usage)
    assert [("text", world.receipt())] == world.observer.seen
    assert (done.finish_reason, done.usage) == (world.receipt().finish_reason, world.receipt().usage)


async def test_several_answers_are_taken_apart_each(world_with):
    """Each of several answers has its own parser, which learns the prompt's end."""
    chat_format = FakeFormat(pieces={"": FakeParsed("!")})
    world = world_with(formats=[chat_format])
    _, *chunks, done = await world.answer(replace(REQUEST, n=2))

    texts = ["".join(c.text for c in chunks if c.index == index) for index in range(2)]
    assert (["one two!", "one two!"], ("stop", "stop"), 2) == (texts, done.finish_reasons, len(chat_format.parsers))


async def test_raw_prompt_is_not_taken_apart(world_with, engine):
    """The answer to a raw prompt comes as the model writes it."""
    world = world_with(formats=[FakeFormat(pieces={"one": FakeParsed(reasoning="one")})])
    events = await world.answer(ChatRequest("r1", "a", prompt="raw"))

    assert [Started(3), Chunk("one"), Chunk(" two")] == events[:-1]


async def test_refusal_of_the_format_comes_before_the_load(world_with, engine):
    """What the format refuses is refused before the request is queued, and has a receipt."""
    world = world_with(formats=[FakeFormat(failing=frozenset({"directions"}), error=NotSupported("no thinking"))])

    assert NotSupported is type(await world.failure())
    assert ([], "error", "not_supported") == (engine.loads, world.receipt().outcome, world.receipt().error_code)


async def test_encoder_does_not_chat(world_with, engine):
    """A model that only makes vectors is not asked for text, and not loaded for it."""
    engine.known = ModelFacts("bert")

    error = await world_with().failure()

    assert (NotSupported, '"a" does not support chat', []) == (
        type(error),
        str(error).partition(":")[0],
        engine.loads,
    )
