"""What headers and bodies say of long-term memory."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from hoshikage import MemoryUse
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.callers import check_name, memory_use


def as_received(text: str) -> str:
    """A header of UTF-8 as the web framework hands it over."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("headers", "use"),
    [
        ({}, MemoryUse()),
        ({"X-Hoshikage-Memory": " ON "}, MemoryUse("on")),
        ({"X-Hoshikage-Memory": "read", "X-Hoshikage-User": "ann"}, MemoryUse("read", "ann")),
        ({"X-Hoshikage-Project": "p", "X-Hoshikage-Session": "s"}, MemoryUse(None, "", "p", "s")),
        ({"X-Hoshikage-User": as_received("花子")}, MemoryUse(None, "花子")),
        ({"X-Hoshikage-User": as_received("花子\u3000")}, MemoryUse(None, "花子\u3000")),
    ],
)
def test_headers(headers, use):
    """Each by itself, in UTF-8; what is not said is left to the settings."""
    assert use == memory_use(Headers(headers))


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("X-Hoshikage-Memory", "yes", "must be off, read or on"),
        ("X-Hoshikage-User", "x" * 257, "257 characters; 256 are allowed"),
        ("X-Hoshikage-User", "\xff\xfe", "no UTF-8"),
        ("X-Hoshikage-User", "\xed\xa0\x80", "no UTF-8"),  # half of a surrogate pair
        ("X-Hoshikage-Project", "a\0b", r"'\\x00' at place 1"),
        ("X-Hoshikage-Session", as_received("a\u2028b"), r"'\\u2028' at place 1"),
    ],
)
def test_what_is_not_allowed(header, value, words):
    """The error names the header and says what is allowed."""
    with pytest.raises(InvalidRequest, match=words) as error:
        memory_use(Headers([(header, value)]))
    assert header == error.value.param


def test_the_header_wins_over_the_body():
    """Whoever stands between client and server sets headers, and knows better."""
    headers = Headers({"X-Hoshikage-Session": "header"})

    assert ["header", "body"] == [memory_use(h, session_id="body").session for h in (headers, Headers())]


def test_a_name_may_hold_what_is_one_line_of_text():
    """In any script, with blanks in it, and with those around it cut off."""
    assert "花子 & Ann / ../ 'x' \"y\" 👩‍👩‍👧" == check_name(" 花子 & Ann / ../ 'x' \"y\" 👩‍👩‍👧\t", "session_id")
