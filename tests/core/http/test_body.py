from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import httpx
import msgspec
import pytest

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.body import check, json_text
from tests.wire import chat

if TYPE_CHECKING:
    from tests.server import ServerProcess

URL_PATHS = ["/v1/chat/completions", "/api/chat"]

HOSTILE = {
    "deep": b"[" * 100_000,
    "deep_balanced": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "bad_utf8": b'{"model": "\xff\xfe"}',
    "utf16": '{"model": "echo"}'.encode("utf-16"),
    "lone_surrogate": b'{"model": "\\ud800"}',
    "nan": b'{"temperature": NaN}',
    "infinity": b'{"temperature": Infinity}',
    "huge_number": b'{"temperature": 1e999}',
    "digits": b'{"seed": ' + b"9" * 10_000 + b"}",
    "array": b"[]",
    "null": b"null",
    "string": b'"hello"',
    "nul_bytes": b"\0" * 10,
    "trailing": b'{"model": "echo"} x',
    "empty": b"",
    "spaces": b"   ",
}


class Inner(msgspec.Struct):
    deep: int


class Shape(msgspec.Struct):
    name: str
    level: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    inner: list[Inner] = []


@pytest.mark.parametrize("path", URL_PATHS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies_are_400_in_the_protocols_shape(echo_server: ServerProcess, path: str, body: bytes):
    """Whatever bytes come, the answer is a 400 that says what is wrong, never a 500."""
    answer = httpx.post(f"{echo_server.url}{path}", content=body)

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["message"] if path.startswith("/v1") else error) != ""


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a", "level": 3}, "level"),
        ({"name": "a", "inner": [{"deep": 1}, {"deep": "x"}]}, "inner[1].deep"),
        ({"name": "a", "inner": [{}]}, "inner[0].deep"),
    ],
)
def test_the_field_at_fault_is_named(value: dict, field: str):
    """An error names the field by its path, however deep."""
    with pytest.raises(InvalidRequest) as caught:
        check(value, Shape)

    assert field == caught.value.param
    assert caught.value.message.startswith(f"{field}: ")


def test_null_is_unset_and_unknown_fields_are_passed_over():
    """`null` and unknown fields do no harm."""
    assert check({"name": "a", "level": None, "mystery": 1}, Shape) == Shape("a")


def test_a_body_over_the_limit_is_413(start_server):
    """A body that is too large is refused with the setting's name."""
    server = start_server(HOSHIKAGE_SERVER__MAX_BODY_BYTES="2048")

    answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat("x" * 4000))

    assert answer.status_code == 413
    assert "server.max_body_bytes" in answer.json()["error"]["message"]


def test_a_body_that_drips_is_408(start_server):
    """A body that does not come in time is refused, and others are served meanwhile."""
    import socket

    server = start_server(HOSHIKAGE_SERVER__BODY_TIMEOUT_S="0.5")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert httpx.get(f"{server.url}/health").status_code == 200
        answer = slow.recv(1000)

    assert answer.startswith(b"HTTP/1.1 408")


def test_what_is_nested_too_deeply_to_be_written_is_refused_by_name():
    """A body may be nested deeper than its text can be written again."""
    value: dict[str, object] = {}
    for _ in range(400):
        value = {"a": value}

    with pytest.raises(InvalidRequest, match="format: this is nested too deeply") as refused:
        json_text(value, "format")

    assert "format" == refused.value.param
    assert '{"a":{}}' == json_text({"a": {}}, "format")
