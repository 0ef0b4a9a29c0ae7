"""How alike a question and its evidence are."""

from __future__ import annotations

import pytest

from benchmarks.memory.people.model import Question, Turn
from benchmarks.memory.people.overlap import of_question, pairs, shared


def test_pairs_ignore_marks_width_and_case():
    """「ＮＡＳ、です」 and `nas です` are the same letters."""
    assert pairs("nas です") == pairs("ＮＡＳ、です")
    assert {"犬が"} == pairs("犬、が。")


def test_the_share_is_one_of_the_question():
    """A question that the evidence contains is one; a question of other words nothing."""
    assert 1.0 == shared("犬の名前", ["うちの犬の名前はポチ。"])
    assert 0.0 == shared("ペットは？", ["うちの犬の名前はポチ。"])
    assert 0.0 == shared("", ["うちの犬の名前はポチ。"])


@pytest.mark.parametrize(("kind", "expected"), [("two", 1.0), ("single", 0.5)])
def test_two_facts_are_taken_together_and_others_alone(kind: str, expected: float):
    """Of several turns that answer alone the nearest counts; of two that are both needed, both."""
    turns = {"a": Turn("a", "user", "犬だ"), "b": Turn("b", "user", "だ猫")}
    question = Question("q", "p", kind, "犬だ猫", 0, ("a", "b"))  # type: ignore[arg-type]

    assert expected == of_question(question, turns)
