"""What headers say of long-term memory."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from hoshikage import MemoryUse
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.callers import memory_use


@pytest.mark.parametrize(
    ("headers", "use"),
    [
        ({}, MemoryUse()),
        ({"X-Hoshikage-Memory": " ON "}, MemoryUse("on")),
        ({"X-Hoshikage-Memory": "read", "X-Hoshikage-User": "ann"}, MemoryUse("read", "ann")),
        ({"X-Hoshikage-Project": "p", "X-Hoshikage-Session": "s"}, MemoryUse(None, "", "p", "s")),
    ],
)
def test_headers(headers, use):
    """Each by itself; what is not said is left to the settings."""
    assert use == memory_use(Headers(headers))


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [("X-Hoshikage-Memory", "yes", "must be off, read or on"), ("X-Hoshikage-User", "x" * 201, "201 characters")],
)
def test_what_is_not_allowed(header, value, words):
    """The error names the header and says what is allowed."""
    with pytest.raises(InvalidRequest, match=words) as error:
        memory_use(Headers({header: value}))
    assert header == error.value.param
