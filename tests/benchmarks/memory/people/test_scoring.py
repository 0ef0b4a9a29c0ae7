"""The scores of a ranker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from benchmarks.memory.people.model import Benchmark, Question
from benchmarks.memory.people.scoring import Injector, Ranker, recall, score_injection, score_ranking

SINGLE = Question("s", "p", "single", "犬は？", 1, ("a", "b"))
TWO = Question("t", "p", "two", "犬と猫は？", 1, ("a", "c"))
TIME = Question("m", "p", "time", "昨日は？", 1, ("d",), similar=("e",))
CHANGED = Question("c", "p", "changed", "今は？", 1, ("new",), outdated=("old",))
UNTOLD = Question("u", "p", "never", "犬の年は？", 1)
UNMENTIONED = Question("n", "p", "never", "鳥は？", 1, mentioned=False)
ALL = (SINGLE, TWO, TIME, CHANGED, UNTOLD, UNMENTIONED)


def ranking(answers: Mapping[str, Sequence[str]]) -> Ranker:
    return lambda person, text, asked_at, k: answers.get(text, ())


def injecting(answers: Mapping[str, Sequence[str]]) -> Injector:
    return lambda person, text, asked_at: answers.get(text, ())


def test_any_evidence_is_enough_except_where_two_facts_are_needed():
    """One of two turns answers a single fact, and half of a question for two."""
    assert (1.0, 0.0) == (recall(SINGLE, ["b"]), recall(SINGLE, ["c"]))
    assert (1.0, 0.5, 0.0) == (recall(TWO, ["c", "x", "a"]), recall(TWO, ["a"]), recall(TWO, []))


def test_recall_is_the_mean_of_the_answerable_kinds():
    """Each kind is as heavy as the other, and what was never said is not asked."""
    found = score_ranking(
        ALL, ranking({"犬は？": ["a"], "犬と猫は？": ["a"], "昨日は？": ["e"], "今は？": ["old", "new"]})
    )

    assert {"single": 1.0, "two": 0.5, "time": 0.0, "changed": 1.0} == found.by_kind
    assert 0.625 == found.recall


def test_only_the_first_k_count():
    """A ranker that gives more than it was asked for gains nothing."""
    answers = {"犬は？": ["x", "y", "a"]}

    assert 0.0 == score_ranking([SINGLE], ranking(answers), 2).by_kind["single"]
    assert 1.0 == score_ranking([SINGLE], ranking(answers), 3).by_kind["single"]


@pytest.mark.parametrize(
    ("ranked", "expected"), [(["x", "new", "old"], 1.0), (["old", "new"], 0.0), (["x"], 0.0), (["new"], 1.0)]
)
def test_the_newest_must_come_before_the_outdated(ranked: list[str], expected: float):
    """Recall does not see the order of the two; this does."""
    assert expected == score_ranking([CHANGED], ranking({"今は？": ranked})).newest_first


def test_kinds_without_questions_are_no_number():
    """Nothing asked is not nothing found, and does not pull the mean down."""
    found = score_ranking([SINGLE], ranking({"犬は？": ["a"]}))

    assert math.isnan(found.by_kind["two"])
    assert 1.0 == found.recall


def test_silence_and_right_answers_are_told_apart():
    """Who injects nothing is silent and never right; who injects everything is the other way round."""
    everything = {question.text: ["a", "d", "new", "old"] for question in ALL}

    nothing = score_injection(ALL, injecting({}))
    much = score_injection(ALL, injecting(everything))

    assert (1.0, 0.0) == (nothing.silent, nothing.right)
    assert (0.0, 1.0) == (much.silent, much.right)
    assert {"single": 1.0, "two": 1.0, "time": 1.0, "changed": 1.0} == much.right_by_kind


def test_silence_is_counted_for_each_sort_of_what_was_never_said():
    """Who speaks of what is known is not taken for one who speaks of what never came up."""
    found = score_injection(ALL, injecting({"犬の年は？": ["a"]}))

    assert (0.5, 1.0, 0.0) == (found.silent, found.silent_unmentioned, found.silent_untold)
    assert math.isnan(score_injection([UNTOLD], injecting({})).silent_unmentioned)


def test_an_outdated_fact_alone_is_counted():
    """Worse than nothing: the assistant would say what is no longer true."""
    assert 1.0 == score_injection([CHANGED], injecting({"今は？": ["old"]})).outdated
    assert 0.0 == score_injection([CHANGED], injecting({"今は？": ["old", "new"]})).outdated
    assert 0.0 == score_injection([CHANGED], injecting({})).outdated


def test_whoever_knows_the_evidence_scores_one(people: Benchmark):
    """The whole benchmark can be answered: recall of a perfect ranker is 1 within five turns."""
    evidence = {(question.person, question.text): question.evidence for question in people.questions}
    found = score_ranking(people.questions, lambda person, text, asked_at, k: evidence[person, text])
    injected = score_injection(people.questions, lambda person, text, asked_at: evidence[person, text])

    assert (1.0, 1.0) == (found.recall, found.newest_first)
    assert (1.0, 1.0, 0.0) == (injected.silent, injected.right, injected.outdated)
