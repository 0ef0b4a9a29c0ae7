"""Reading an answer step by step: what waits, what does not, and the way back."""

from __future__ import annotations

from hoshikage.plugins.chat_formats.source import Source


def test_steps_wait_only_where_more_text_could_change_their_mind():
    """A text that differs from all options is decided at once."""
    source = Source()
    source.add("<to")
    waiting = source.one_of("<tool>", "<think>")

    assert (False, "") == advance(waiting)
    source.add("x")
    assert (True, "") == advance(waiting)
    assert "<tox" == source.rest


def test_the_longest_option_is_taken():
    """An option that begins another one waits for it."""
    source = Source()
    source.add(";")
    waiting = source.one_of(";", "; more")

    assert (False, "") == advance(waiting)
    source.add(" more!")
    assert (True, "; more") == advance(waiting)


def test_the_end_decides():
    """Nothing waits once the answer has ended."""
    source = Source()
    source.add(";")
    source.ended = True

    assert (True, ";") == advance(source.one_of(";", "; more"))
    assert (True, "") == advance(source.peek())
    assert (True, None) == advance(source.space())


def test_text_goes_on_up_to_what_could_be_a_marker():
    """Only the beginning of a marker is held back, and given out when it is none."""
    source, said = Source(), []
    waiting = source.until(("<end>", "<|"), said.append)
    for text in ("a<", "b<en", "d", "x<end"):
        source.add(text)
        assert (False, "") == advance(waiting)
    source.add(">c")

    assert (True, "<end>") == advance(waiting)
    assert ["a", "<b", "<endx"] == said
    assert "c" == source.rest


def test_text_without_markers_is_never_held_back():
    """Where nothing is looked for, everything goes on at once."""
    source, said = Source(), []
    source.add("<")
    advance(source.until((), said.append))

    assert ["<"] == said


def test_the_way_back_outlives_further_text():
    """What was taken since the mark is there again, also if more has come since."""
    source = Source()
    source.add("abcdef")
    source.skip(2)
    source.mark()
    source.skip(2)
    source.add("gh")
    source.skip(2)
    source.add("ij")
    source.back()

    assert "cdefghij" == source.rest


def test_without_a_mark_there_is_no_way_back():
    """What is forgotten is not kept for ever."""
    source = Source()
    source.add("abc")
    source.mark()
    source.skip(2)
    source.forget()
    source.back()

    assert "c" == source.rest


def advance(steps) -> tuple[bool, object]:
    """Go on as far as possible: whether the steps are done, and what they found."""
    try:
        next(steps)
    except StopIteration as done:
        return True, done.value
    return False, ""
