"""Whole answers, put together from pieces."""

from __future__ import annotations

from hoshikage import Chunk, Done, TokenLogprob, ToolCall, ToolCallDelta, Usage
from hoshikage.core.http.collected import Collected, CollectedChoice, Collector

DONE = Done("stop", Usage())


def collected(*chunks: Chunk, done: Done = DONE) -> Collected:
    collector = Collector()
    for chunk in chunks:
        collector.add(chunk)
    return collector.finish(done)


def test_pieces_of_one_answer_are_joined():
    """Text, thinking and probabilities come together in their order."""
    probabilities = [TokenLogprob(letter, -1.0) for letter in (b"a", b"b")]
    made = collected(
        Chunk("", reasoning="h"),
        Chunk("a", reasoning="m", logprobs=(probabilities[0],)),
        Chunk("b", logprobs=(probabilities[1],)),
    )

    assert Collected((CollectedChoice("ab", "hm", (), tuple(probabilities)),), DONE) == made


def test_answers_that_come_at_once_are_kept_apart():
    """Pieces of several answers go to their own, in the order of the answers."""
    done = Done("stop", Usage(), more=("length", "stop"))
    made = collected(Chunk("b1", index=1), Chunk("a1"), Chunk("b2", index=1), done=done)

    assert ["a1", "b1b2", ""] == [choice.text for choice in made.choices]


def test_empty_answer_is_an_answer():
    """An answer without any piece is there all the same."""
    assert Collected((CollectedChoice(),), DONE) == collected()


def test_calls_are_put_together():
    """The pieces of each call become one call, by the calls' order; without arguments it has an empty object."""
    made = collected(
        Chunk("", tool_calls=(ToolCallDelta(0, "c0", "f", '{"a"'), ToolCallDelta(1, "c1", "g"))),
        Chunk("", tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
    )

    assert (ToolCall("c0", "f", '{"a": 1}'), ToolCall("c1", "g", "{}")) == made.choices[0].tool_calls
