"""The text stream: bytes of tokens in, whole characters before the first stop string out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.text import TextStream, first_stop, longest_stop_prefix

# Few letters, so that stop strings are found, overlap and are almost found.
TEXT = st.text("ab。影🌟\ufffd", max_size=30) | st.text(max_size=30).map(lambda t: t.encode("utf-8", "ignore").decode())
STOPS = st.lists(st.text("ab。影🌟", max_size=4), max_size=4).map(tuple)
CUTS = st.lists(st.integers(0, 120), max_size=40)


@given(text=TEXT, stops=STOPS, cuts=CUTS)
def test_any_cutting_gives_the_text_before_the_first_stop_string(text, stops, cuts):
    """However the bytes are cut, what comes out ends where the first complete stop string begins."""
    stream = TextStream(stops)

    released = "".join(feed(stream, text, cuts))

    assert before_first_stop(text, stops) == released


@given(text=TEXT, stops=STOPS, cuts=CUTS)
def test_no_piece_holds_half_a_character(text, stops, cuts):
    """A character that is cut between tokens is never sent as a replacement character."""
    released = "".join(feed(TextStream(stops), text, cuts))

    assert released.count("\ufffd") <= text.count("\ufffd")


@given(text=TEXT, stops=STOPS, cuts=CUTS)
def test_stopped_says_whether_a_stop_string_was_in_the_text(text, stops, cuts):
    """The stream knows that the answer is over exactly when a stop string came."""
    stream = TextStream(stops)
    feed(stream, text, cuts)

    assert any(s in text for s in stops if s) == stream.stopped


@given(text=TEXT, stops=STOPS, cuts=CUTS)
def test_no_more_is_held_back_than_could_begin_a_stop_string(text, stops, cuts):
    """Text leaves at once unless it could still turn into a stop string."""
    stream = TextStream(stops)
    pieces = feed(stream, text, cuts)

    if not stream.stopped:
        assert any(s.startswith(pieces[-1]) for s in (*stops, ""))


@pytest.mark.parametrize("text", ["🌟", "日本語", "👨‍👩‍👧", "が", "🇯🇵"])
def test_a_character_comes_whole_with_its_last_byte(text):
    """Byte by byte, nothing comes until a code point is complete, and then all of it."""
    stream = TextStream(())

    pieces = [stream.push(bytes([byte])) for byte in text.encode()]

    assert list(text) == [p for p in pieces if p]


def test_a_stop_string_across_pieces_ends_the_text_before_it():
    """A stop string need not come in one token."""
    stream = TextStream(("<|end|>",))

    pieces = [stream.push(p) for p in (b"one <", b"|en", b"d|> two")]

    assert (["one ", "", ""], True) == (pieces, stream.stopped)


def test_what_only_looked_like_a_stop_string_is_released_with_the_next_piece():
    """Held-back text comes as soon as it cannot be a stop string any more."""
    stream = TextStream(("<|end|>",))

    pieces = [stream.push(p) for p in (b"a <", b"b> c")]

    assert ["a ", "<b> c"] == pieces


def test_held_back_text_is_released_at_the_end():
    """An answer that ends on the beginning of a stop string keeps it."""
    stream = TextStream(("<|end|>",))
    stream.push(b"a <|e")

    assert ("<|e", "") == (stream.finish(), stream.finish())


def test_half_a_character_at_the_end_is_dropped():
    """An answer that is cut off inside a character ends before it."""
    stream = TextStream(())
    pushed = stream.push("星🌟".encode()[:-1])

    assert "星" == pushed + stream.finish()


def test_bytes_that_are_no_text_become_replacement_characters():
    """A model that makes invalid UTF-8 in the middle of an answer does not break the stream."""
    stream = TextStream(())

    assert "a\ufffdb" == stream.push(b"a\xffb")


def test_the_first_of_several_stop_strings_counts():
    """It is the place in the text that decides, not the order in which the strings were given."""
    stream = TextStream(("\n\n", "。", "END"))

    assert "猫" == stream.push("猫。犬END\n\n".encode())


def test_an_empty_stop_string_is_ignored():
    """An empty string is in every text, and would end every answer at once."""
    stream = TextStream(("", "x"))

    assert ("hello", False) == (stream.push(b"hello"), stream.stopped)


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("abc", (), None),
        ("abc", ("d",), None),
        ("abcabc", ("c", "b"), 1),
        ("xabc", ("xabc", "b"), 2),
        ("ab", ("b", "ab"), 0),
    ],
)
def test_first_stop(text, stop, expected):
    """The stop string that is complete first counts; of two that end together, the longer one."""
    assert expected == first_stop(text, stop)


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [("abc", (), 0), ("xa", ("ab",), 1), ("xab", ("abab",), 2), ("xaba", ("abab", "ax"), 3), ("b", ("ab",), 0)],
)
def test_longest_stop_prefix(text, stop, expected):
    """The longest beginning of any stop string at the end of the text is counted."""
    assert expected == longest_stop_prefix(text, stop)


def feed(stream: TextStream, text: str, cuts: list[int]) -> list[str]:
    """Push the text cut at these places, until it is stopped; the last item is what `finish` gave."""
    data = text.encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    released: list[str] = []
    for start, end in itertools.pairwise(places):
        if not stream.stopped:
            released.append(stream.push(data[start:end]))
    return [*released, stream.finish()]


def before_first_stop(text: str, stops: tuple[str, ...]) -> str:
    """What a reader sees who reads letter by letter until the end of the text is a stop string."""
    for end in range(len(text) + 1):
        found = [s for s in stops if s and text[:end].endswith(s)]
        if found:
            return text[:end].removesuffix(max(found, key=len))
    return text
