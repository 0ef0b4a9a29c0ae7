"""What a running request has cost so far."""

from __future__ import annotations

import pytest

from hoshikage import Caller, Chunk, Done, Started, Usage
from hoshikage.core.account import Account

CALLER = Caller("10.0.0.1")


def account() -> Account:
    return Account("r1", "a", CALLER)


def test_text_for_the_reader_is_noted():
    """The answer is the text of all pieces, without thinking."""
    made = account()
    for event in (Started(3), Chunk("one", reasoning="hm"), Chunk("", 2), Chunk(" two"), Done("stop", Usage())):
        made.note(event)

    assert ("one two", 3, 4) == (made.answer, made.prompt_tokens, made.completion_tokens)


def test_several_answers_are_noted_one_after_the_other():
    """The texts of several answers do not run into each other, though their pieces come at once."""
    made = account()
    for event in (Chunk("b1", index=1), Chunk("a1"), Chunk("b2", index=1)):
        made.note(event)

    assert "a1\n\nb1b2" == made.answer


def test_receipt_of_an_end_before_its_time():
    """Without the engine's own account, the receipt has what was counted until then."""
    made = account()
    made.note(Started(3))
    made.note(Chunk("one", 2))
    receipt = made.close("cancelled")

    assert ("r1", "a", CALLER, "cancelled", Usage(3, 2)) == (
        receipt.request_id,
        receipt.model,
        receipt.caller,
        receipt.outcome,
        receipt.usage,
    )


def test_times_of_a_request_that_never_had_its_turn():
    """What was not reached took no time; all the time went into waiting."""
    receipt = account().close("error", error_code="queue_full")

    assert (0.0, receipt.total_s) == (receipt.load_s, receipt.queue_s)


def test_looking_for_memories_is_no_waiting_for_a_turn():
    """Both come before the turn, and each has a time of its own."""
    made = account()
    made.recall_s = 0.25
    made.admitted = made.loaded = made.arrived + 1.0
    receipt = made.close("done")

    assert (0.25, 0.75) == (receipt.recall_s, pytest.approx(receipt.queue_s))


def test_times_of_a_request_that_failed_to_load():
    """A load that did not end took the time from the turn to the end."""
    made = account()
    made.admitted = made.arrived
    receipt = made.close("error")

    assert (0.0, receipt.total_s) == (receipt.queue_s, receipt.load_s)
