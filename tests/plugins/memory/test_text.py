"""The terms of a text: words, pairs of characters, and what of them tells what a text is about."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.memory.text import asks, content_of, count_terms, normalised, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("My cat's toys", ["cat", "s", "toy"]),
        ("running, RUNS and ran", ["run", "run", "ran"]),
        ("東京に", ["東", "京", "東京", "京に"]),
        ("ﾈｺ カフェ", ["ネコ", "カフ", "フェ"]),
        ("GPT4を使う", ["使", "·gp", "·pt", "·t4", "4を", "を使", "使う", "gpt4"]),
        ("4月", ["月", "4月", "4"]),
        ("が", ["が"]),
        ("𠮷野家", ["𠮷", "野", "家", "𠮷野", "野家"]),
        ("고양이", ["고양", "양이"]),
        ("café CAFE\u0301", ["café", "café"]),
        ("", []),
        ("!? …", []),
        ("the of and", []),
    ],
)
def test_terms(text, terms):
    """Latin words by their stem, everything else by neighbours; width, case and composition make no difference."""
    assert terms == terms_of(text)


def test_a_long_word_is_cut():
    """A key of a thousand characters is one term of forty."""
    assert ["a" * 40] == terms_of("a" * 1000)


def test_half_a_surrogate_pair_is_no_term():
    """It is not even Unicode, and nothing of it reaches the index."""
    assert ["cat"] == terms_of("\ud800 cat \udfff")


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("猫の名前は何ですか", {"猫", "名", "前"}),
        ("カフェはどこ", {"カフ", "フェ"}),
        ("What is my cat called?", {"cat", "call"}),
        ("どこですか", set()),
        ("iPhoneの4月号", {"iphon", "4", "月", "号"}),
        ("Pythonは?", {"python"}),
    ],
)
def test_what_a_text_is_about(text, about):
    """Particles and endings differ between a question and its answer; what both are about does not."""
    assert about == content_of(terms_of(text))


@given(st.lists(st.text("あアいｱ猫犬aｂ Bs4_\n!", max_size=12), min_size=1, max_size=5))
def test_terms_are_counted_as_they_are_found(texts):
    """To count a few terms in many texts gives what finding all of them gives."""
    terms = [t for t in dict.fromkeys(t for text in texts for t in terms_of(text)) if t not in {"あ", "ア", "い"}]
    found = [Counter(terms_of(text)) for text in texts]
    plain = [normalised(text) for text in texts]

    assert [[count[term] for term in terms] for count in found] == count_terms(terms, plain).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How is Kuro doing?", True),
        ("猫は元気ですか。", True),
        ("もう行きましたか", True),
        ("あの店、名前なんだっけ…", True),
        ("どこだっけ？（笑）", True),
        ("Do you know it? I like it.", False),
        ("静かなところに住んでいます。", False),
        ("か", False),
        ("", False),
    ],
)
def test_what_asks(text, expected):
    """The end decides: a question mark, or the endings by which Japanese asks without one."""
    assert expected is asks(text)
