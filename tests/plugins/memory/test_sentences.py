"""Sentences of both languages; code is one."""

from __future__ import annotations

import pytest

from hoshikage.plugins.memory.sentences import sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Who met Mr. Smith, e.g. today. Then left.", ["Dr. Who met Mr. Smith, e.g. today.", "Then left."]),
        ("Version 1.5 of a.b costs 3.50. Yes.", ["Version 1.5 of a.b costs 3.50.", "Yes."]),
        ('He said "No." Then "Yes!"', ['He said "No."', 'Then "Yes!"']),
        ("猫です。犬です!魚?「はい。」終わり", ["猫です。", "犬です!魚?「はい。」", "終わり"]),
        ("一行目\n二行目\n\n- 三", ["一行目", "二行目", "- 三"]),
        ("", []),
        (" \n ", []),
        ("Look:\n```python\nx = 1. \ny = 2\n```\nDone.", ["Look:", "```python\nx = 1. \ny = 2\n```", "Done."]),
        ("```\nnever ends. Yes.\nNo.", ["```\nnever ends. Yes.\nNo."]),
        ("~~~\na. b\n~~~", ["~~~\na. b\n~~~"]),
        ("````\n```\na\n```\n````\nEnd.", ["````\n```\na\n```\n````", "End."]),
    ],
)
def test_sentences(text, sentences):
    """Each where it ends, with its marks; lines end one too."""
    found = sentences_of(text)

    assert sentences == [sentence.text for sentence in found]
    assert all(text[s.begin : s.begin + len(s.text)] == s.text for s in found)
    assert [s.text.startswith(("```", "~~~")) for s in found] == [s.code for s in found]


@pytest.mark.parametrize("text", ["`" * 50_000, "```\n" * 10_001, ". " * 50_000, "。" * 50_000, "e.g. " * 10_000])
def test_odd_texts_take_no_time(text):
    """And nothing of them is lost."""
    assert "".join(text.split()) == "".join("".join(s.text.split()) for s in sentences_of(text))
