"""Echo's tokens and token ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.errors import InvalidRequest
from hoshikage.plugins.engine_echo.tokens import ids_of, text_of, tokens_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.text())
def test_tokens_join_back_to_the_text(text: str):
    """Whatever the text, its tokens joined are the text again."""
    assert text == "".join(tokens_of(text))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("one two", ["one", " two"]),
        ("  one\n\ttwo", ["  one", "\n\ttwo"]),
        ("end. ", ["end.", " "]),
        ("日本語", ["日", "本", "語"]),
        ("I like 星", ["I", " like", " 星"]),
        ("naïve", ["naïve"]),
        ("👍🏽", ["👍", "🏽"]),
    ],
)
def test_tokens(text: str, tokens: list[str]):
    """A token is a word with the space before it, or one character of a script without spaces."""
    assert tokens == tokens_of(text)


@given(TEXT)
def test_token_ids_are_code_points(text: str):
    """The ids of a text are its code points, and lead back to it."""
    ids = ids_of(text)

    assert [ord(c) for c in text] == list(ids)
    assert text == text_of(ids, param="tokens")


@given(TEXT)
def test_text_needs_no_ids(text: str):
    """Text in the place of ids stays as it is."""
    assert text == text_of(text, param="prompt")


@pytest.mark.parametrize("number", [-1, 0xD800, 0xDFFF, 0x110000])
def test_id_outside_the_vocabulary_is_refused(number: int):
    """An id that is no character is refused by name, with the field that it came in."""
    with pytest.raises(InvalidRequest, match=f"token id {number} is not in the vocabulary") as error:
        text_of((97, number), param="tokens")

    assert "tokens" == error.value.param
