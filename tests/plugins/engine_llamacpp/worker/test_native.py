"""The binding's own parts that need no model: what llama.cpp says, and at which level."""

from __future__ import annotations

import llama_cpp
import pytest

from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog, _last_words


@pytest.fixture
def forwarded() -> list[tuple[str, str]]:
    """Level and text of every line that the log hands on."""
    return []


@pytest.fixture
def native_log(forwarded, monkeypatch) -> NativeLog:
    """A log that is told lines by the test; llama.cpp itself would go on calling it after the test."""
    monkeypatch.setattr(llama_cpp, "llama_log_set", lambda *_: None)
    return NativeLog(lambda level, text: forwarded.append((level, text)))


def test_levels_are_those_of_the_header(native_log, forwarded):
    """Of ggml's levels 0 to 4 (none, debug, info, warning, error) only the last two are worth a frame."""
    for level in range(5):
        native_log._receive(level, f"level {level}\n".encode(), None)

    assert [("warning", "level 3"), ("error", "level 4")] == forwarded


def test_a_continued_line_has_the_level_of_the_line_before(native_log, forwarded):
    """Level 5 goes on with the last line."""
    native_log._receive(4, b"cannot\n", None)
    native_log._receive(5, b"allocate\n", None)

    assert [("error", "cannot"), ("error", "allocate")] == forwarded


@pytest.mark.parametrize("text", [b"", b"\n", b".", b".\n"])
def test_dots_and_empty_lines_are_dropped(native_log, forwarded, text):
    """Progress dots are no messages."""
    native_log._receive(4, text, None)

    assert [] == forwarded


def test_last_words_hold_the_cause_and_the_consequence(native_log):
    """The last line alone often only says that it failed; the lines before it say why."""
    for line in (b"long ago", b"unknown architecture 'x'", b"error loading model", b"failed to load"):
        native_log._receive(4, line, None)

    expected = "cannot load: unknown architecture 'x'; error loading model; failed to load"
    assert expected == _last_words(native_log, "cannot load")


def test_without_errors_the_last_words_are_ours(native_log):
    """Where llama.cpp says nothing, the message still says what was tried."""
    assert "cannot load" == _last_words(native_log, "cannot load")
