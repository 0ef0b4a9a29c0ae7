"""Small things that tests of the HTTP side share: a chat body, reading streams, waiting for a condition."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

POLL_S = 0.02


def chat(text: str = "one two three", model: str = "echo", **fields: Any) -> dict[str, Any]:
    """The body of an OpenAI chat."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def sse_events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The JSON events of a stream."""
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def text_of(events: list[dict[str, Any]]) -> str:
    """The text that a stream's events add up to."""
    choices = [e["choices"][0] for e in events if e.get("choices")]
    return "".join(c["delta"].get("content") or "" for c in choices)


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait for a condition, and fail if it does not come."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come in time"
        time.sleep(POLL_S)


def raw_request(url: str, body: bytes, path: str = "/v1/chat/completions") -> socket.socket:
    """Send a POST and leave the answer unread."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection
