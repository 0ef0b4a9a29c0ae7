"""What somebody says has ended."""

from __future__ import annotations

import pytest

from hoshikage.plugins.memory.facts.endings import endings_of


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("I quit the bakery and work at a library now.", ["bakery"]),
        ("I stopped going to the gym.", ["gym"]),
        ("We moved out of the old flat.", ["old flat"]),
        ("I broke up with Anna.", ["anna"]),
        ("I no longer take the train.", ["train"]),
        ("ドーナツ屋は太るからやめて、今は図書館。", ["ドーナツ屋"]),
        ("書道は卒業して、今は合気道。", ["書道"]),
        ("亮くんとは別れました。", ["亮くん"]),
        ("実は串カツの店は辞めてな。", ["串カツ"]),
        ("黒電話がとうとう壊れて、困っています。", ["黒電話"]),
        ("煙草はすっぱり断った。", ["煙草"]),
        ("Have you stopped smoking?", []),
        ("ドーナツ屋はやめましたか?", []),
        ("I like the bakery.", []),
        ("ドーナツ屋で働いています。", []),
        ("", []),
    ],
)
def test_what_has_ended(text, names):
    """By its name; questions end nothing."""
    assert names == endings_of(text)


def test_a_few_at_most():
    """A long list of them is no news."""
    assert 4 == len(endings_of(" ".join(f"I quit club{chr(97 + n) * 3}." for n in range(6))))


def test_a_long_text_ends_nothing():
    """An article about a shop that closed is no statement of somebody who went there."""
    assert ["bakery"] == endings_of("I quit the bakery.")
    assert [] == endings_of("I quit the bakery. " + "The town has many shops. " * 8)
