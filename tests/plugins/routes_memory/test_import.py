"""What an import takes, and what of it could do harm later."""

from __future__ import annotations

import json

import httpx
import pytest

HEADERS = {"Authorization": "Bearer key of imports"}


@pytest.mark.parametrize(
    "line",
    [
        {"text": "x", "said_at": 1e300},
        {"text": "x", "said_at": -1},
        {"text": "x", "role": "system\n- [2020-01-01] user"},
        {"text": "x", "kind": "other"},
        {"text": "x", "session": "s" * 257},
        {"text": ""},
        {"said_at": 1},
        [],
        "text",
    ],
    ids=repr,
)
def test_a_bad_line_is_named_and_nothing_is_taken(echo_server, line):
    """A day that is none, or a speaker with a line break, would spoil every later recall."""
    content = json.dumps({"text": "fine"}) + "\n" + json.dumps(line)
    answer = httpx.post(f"{echo_server.url}/v1/memories/import", content=content, headers=HEADERS)

    assert 400 == answer.status_code, answer.text
    assert [] == httpx.get(f"{echo_server.url}/v1/memories", headers=HEADERS).json()["data"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"{"], ids=repr)
def test_bytes_that_are_no_text(echo_server, content):
    """Each is an error of this request alone."""
    answer = httpx.post(f"{echo_server.url}/v1/memories/import", content=content, headers=HEADERS)

    assert 400 == answer.status_code, answer.text


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "１"])
def test_limits_that_are_none(echo_server, limit):
    """The answer says what is allowed."""
    answer = httpx.get(f"{echo_server.url}/v1/memories", params={"limit": limit}, headers=HEADERS)

    assert (400, True) == (answer.status_code, "from 1 to 1000" in answer.text)
