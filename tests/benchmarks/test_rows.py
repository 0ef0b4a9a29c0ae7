"""What the rows make of answers."""

from __future__ import annotations

import pytest

from benchmarks.answers import Answer
from benchmarks.rows import all_rows, chosen_rows
from benchmarks.rows.base import MeasureFailed, checked
from benchmarks.rows.conversations import Ledger, tokens_to_prefill
from benchmarks.rows.decode_step import step_values
from benchmarks.rows.embeddings import cosine
from benchmarks.rows.long_prompt import gap_values
from benchmarks.rows.lookup import decode_speed, repeated_share
from benchmarks.rows.streams import combined
from benchmarks.validity import misfit


def letters(text: str) -> list[bytes]:
    return [letter.encode() for letter in text]


@pytest.mark.parametrize(
    ("known", "prompts", "expected"),
    [
        ([], ["abcd"], 4),
        ([], ["abcd", "abxy"], 6),
        (["abcdef"], ["abcdefgh"], 2),
        (["abcdef", "abcdxy"], ["abcdxyz"], 1),
        (["abcd"], ["abcd"], 1),
        (["zzzz"], ["abcd"], 4),
    ],
)
def test_the_perfect_memory_computes_everything_once(known: list[str], prompts: list[str], expected: int):
    """What was there, or arrives with another one, is free; the last token never is."""
    assert expected == tokens_to_prefill([letters(k) for k in known], [letters(p) for p in prompts])


def test_the_last_token_of_an_answer_was_never_computed():
    """A conversation that goes on must compute it, and what is new."""
    ledger = Ledger()
    ledger.add([letters("abc")], [Answer(0, prompt_tokens=3, cached_tokens=0, pieces=letters("xyz"))])
    ledger.add([letters("abcxyzq")], [Answer(0, prompt_tokens=7, cached_tokens=4)])

    assert [3, 2] == [turn["had_to_be"] for turn in ledger.turns]
    assert {"prefilled": 6.0, "had_to_be": 5.0, "prefilled_share": 1.2} == ledger.values()


def test_the_share_outside_of_llama_cpp_is_of_the_time_between_two_tokens():
    """80 ms of 100 ms in `llama_decode` leave a fifth."""
    times = [float(n) / 10 for n in range(11)]
    answers = [Answer(0.0, 1.1, times), Answer(0.0, 1.1, times)]
    before = {"steps": 10, "compute_s": 1.0, "batch_tokens": 100}
    after = {"steps": 20, "compute_s": 1.8, "batch_tokens": 260}
    values = step_values(before, after, answers)

    assert values["python_share"] == pytest.approx(0.2)
    assert values["batch"] == pytest.approx(16)


def test_counters_that_stand_still_are_no_measurement():
    """Without a step there is nothing to divide by."""
    same = {"steps": 1, "compute_s": 1.0, "batch_tokens": 1}
    with pytest.raises(MeasureFailed):
        step_values(same, same, [Answer(0.0, times=[1.0, 2.0])])


def test_the_gap_is_the_one_after_the_long_prompt_arrived():
    """A gap that reaches over the arrival counts; earlier ones do not."""
    streams = [Answer(0.0, times=[0.0, 5.0, 5.5, 7.5, 8.0]), Answer(0.0, times=[5.0, 6.2, 8.1])]
    values = gap_values(streams, Answer(5.6, 9.0, [8.0], prompt_tokens=3000), arrived=5.6)

    assert values["longest_gap_s"] == pytest.approx(2.0)
    assert values["long_ttft_s"] == pytest.approx(2.4)
    assert values["stream_tokens_per_s"] == pytest.approx(3 / 2.4)


def test_several_goes_add_their_times():
    """The pause between two goes is not work."""
    one = [Answer(0.0, 2.0, [1.0], completion_tokens=4)]
    two = [Answer(10.0, 12.0, [11.0], completion_tokens=4)]

    assert (4.0, 2.0) == (combined([one, two])["seconds"], combined([one, two])["tokens_per_s"])


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [("a b c d e", "a b c d e", 0.6), ("a b c", "x y z", 0.0), ("q", "a b c a b c", 1 / 6), ("q", "", 0.0)],
)
def test_the_share_of_repeated_words(prompt: str, text: str, expected: float):
    """A word repeats if it followed the same two words before."""
    assert expected == pytest.approx(repeated_share(prompt, text))


def test_the_speed_of_decoding_leaves_prefill_out():
    """The first token is prefill's."""
    assert 10.0 == decode_speed([Answer(0.0, 6.0, [5.0, 6.0], completion_tokens=11)])


def test_cosine_knows_same_and_square():
    """1 is the same direction, whatever the length; 0 is none in common."""
    assert cosine([1.0, 2.0], [2.0, 4.0]) == pytest.approx(1)
    assert cosine([1.0, 0.0], [0.0, 3.0]) == pytest.approx(0)


@pytest.mark.parametrize("answer", [Answer(0.0, error="status 503"), Answer(0.0)])
def test_an_answer_without_text_is_no_measurement(answer: Answer):
    """A server that refuses quickly is not fast."""
    with pytest.raises(MeasureFailed):
        checked([answer])


def test_rows_are_chosen_by_name_or_beginning():
    """`streams` is all of them, `streams-4` is one."""
    assert ["streams-1", "streams-4", "streams-16", "streams-32"] == [
        r.name for r in chosen_rows(["streams"], all_rows())
    ]
    assert ["streams-4"] == [r.name for r in chosen_rows(["streams-4"], all_rows())]
    assert len(all_rows()) == len(chosen_rows([], all_rows()))


def test_an_unknown_row_is_named():
    """A typing error must not measure nothing."""
    with pytest.raises(ValueError, match="no row is called 'steams'"):
        chosen_rows(["steams"], all_rows())


def test_rows_can_be_chosen_among_others():
    """Each command has its own."""
    few = all_rows()[:2]

    assert few == chosen_rows([], few)
    with pytest.raises(ValueError, match=r"the rows are streams-1, streams-4$"):
        chosen_rows(["schema"], few)


def test_every_row_has_its_own_name():
    """Results are kept by name."""
    names = [row.name for row in all_rows()]

    assert len(names) == len(set(names))


def test_the_judge_of_json_finds_both_kinds_of_fault():
    """What is no JSON, and what is JSON of another form."""
    schema = {"type": "object", "required": ["a"]}

    assert "" == misfit('{"a": 1}', schema)
    assert "does not fit" in misfit('{"b": 1}', schema)
    assert "does not fit" in misfit('{"a": ', schema)
