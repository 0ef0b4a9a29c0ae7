from __future__ import annotations

import pytest

from hoshikage.core.errors import EngineFailed, ModelNotFound, NotSupported, QueueFull
from hoshikage.plugins.routes_ollama.format import error_body, line, nanoseconds


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModelNotFound("x"), "model 'x' not found"),
        (QueueFull("12 wait"), "server busy, please try again.  maximum pending requests exceeded"),
        (NotSupported('"m" does not support tools', param="tools"), '"m" does not support tools'),
        (EngineFailed("it broke"), "it broke"),
    ],
)
def test_errors_are_texts(error: Exception, text: str):
    """Some of them clients know word by word."""
    assert {"error": text} == error_body(error)


def test_a_line_ends():
    """An editor drops a last line without its end; Japanese stays as it is."""
    assert '{"a":"星\\n"}\n' == line({"a": "星\n"}).decode()


def test_durations_are_whole_nanoseconds():
    """Clients in Go read integers."""
    assert 1_500_000_000 == nanoseconds(1.5)
    assert isinstance(nanoseconds(0.1), int)
