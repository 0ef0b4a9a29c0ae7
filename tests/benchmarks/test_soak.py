"""The soak: what is drawn, and how replies and leftovers are judged."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from benchmarks.client import Exchange
from benchmarks.soak import Look, Soak, checks
from benchmarks.soak_work import Drawing, Reply, Request, fault, read_reply
from hoshikage.plugins.routes_openai.bodies import ChatBody

SCHEMA = {"type": "object", "required": ["a"]}
QUIET = {"running": 0, "waiting": 0, "cells_used": 0}


def look(*, rss: int = 100 * 2**20, files: int = 20) -> Look:
    return Look(0.0, rss, rss, files, files)


def reply(**fields: Any) -> Reply:
    return Reply(**{"status": 200, "complete": True, "finish": {0: "stop"}, "completion_tokens": 3, **fields})


def exchange(body: bytes, content_type: str) -> Exchange:
    made = Exchange(b"")
    made.packets = [(1.0, f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + body)]
    return made


def test_the_same_seed_draws_the_same_requests():
    """A soak that failed can be repeated."""
    first, second = Drawing(1, "m"), Drawing(1, "m")

    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]


def test_every_kind_is_drawn_and_has_a_body_that_the_server_knows():
    """What is meant to be answered is well-formed."""
    drawing = Drawing(0, "m")
    requests = [drawing.next() for _ in range(500)]

    assert {kind for kind, _ in Drawing.KINDS} == {request.kind for request in requests}
    for request in requests:
        if request.kind != "refused":
            msgspec.convert(json.loads(json.dumps(request.body)), ChatBody)


async def test_choices_and_tool_calls_are_put_together():
    """Fragments of several choices arrive mixed."""
    events = [
        {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]},
        {"choices": [{"index": 1, "delta": {"content": "c"}, "finish_reason": "stop"}]},
        {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]}}
            ]
        },
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}}]},
        {"choices": [], "usage": {"completion_tokens": 7}},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    found = read_reply(exchange(body, "text/event-stream"))

    assert {0: "a", 1: "bc"} == found.texts
    assert {(0, 0): '{"a":1}'} == found.calls
    assert ({1: "stop"}, 7, True) == (found.finish, found.completion_tokens, found.complete)


async def test_an_answer_in_one_piece_is_read_too():
    """Without events."""
    body = {
        "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 1},
    }
    found = read_reply(exchange(json.dumps(body).encode(), "application/json"))

    assert ({0: "a"}, {0: "stop"}, True) == (found.texts, found.finish, found.complete)


@pytest.mark.parametrize(
    ("request_", "got", "words"),
    [
        (Request("plain", {}), reply(), ""),
        (Request("plain", {}), reply(status=500, error="broken"), "status 500"),
        (Request("plain", {}), reply(complete=False), "[DONE]"),
        (Request("plain", {}), reply(completion_tokens=0), "usage"),
        (Request("several", {"n": 3}), reply(), "1 of 3 choices"),
        (Request("schema", {}, schema=SCHEMA), reply(texts={0: '{"a": 1}'}), ""),
        (Request("schema", {}, schema=SCHEMA), reply(texts={0: '{"b": 1}'}), "does not fit"),
        (Request("schema", {}, schema=SCHEMA), reply(texts={0: '{"a"'}), "does not fit"),
        (Request("tool", {}), reply(), "no tool was called"),
        (Request("tool", {}), reply(calls={(0, 0): '{"room": "hall", "on": true}'}), ""),
        (Request("tool", {}), reply(calls={(0, 0): '{"room": "cellar", "on": true}'}), "does not fit"),
        (Request("refused", {}), reply(status=400, error='{"param": "n"}'), ""),
        (Request("refused", {}), reply(), "not a 400"),
    ],
)
def test_faults(request_: Request, got: Reply, words: str):
    """What was promised is checked for every kind."""
    found = fault(request_, got)

    assert words in found
    assert bool(words) is bool(found)


def soaked(n_faults: int = 0) -> Soak:
    soak = Soak()
    soak.requests["plain"] = 10
    soak.n_faults = n_faults
    return soak


def test_a_clean_soak_passes_every_check():
    """Nothing runs, nothing is held, nothing has grown."""
    assert all(ok for ok, _ in checks(soaked(), look(), look(), {"running": 0, "counters": QUIET}).values())


@pytest.mark.parametrize(
    ("failed", "soak", "end", "status"),
    [
        ("answers", soaked(1), look(), {"counters": QUIET}),
        ("answers", Soak(), look(), {"counters": QUIET}),
        ("sequences", soaked(), look(), {"running": 1, "counters": QUIET}),
        ("sequences", soaked(), look(), {"counters": {**QUIET, "waiting": 1}}),
        ("cells", soaked(), look(), {"counters": {**QUIET, "cells_used": 3}}),
        ("cells", soaked(), look(), {}),
        ("file handles of the worker", soaked(), look(files=21), {"counters": QUIET}),
        ("memory of the worker", soaked(), look(rss=200 * 2**20), {"counters": QUIET}),
        ("memory of the server", soaked(), look(rss=0), {"counters": QUIET}),
    ],
)
def test_each_leftover_fails_its_check(failed: str, soak: Soak, end: Look, status: dict[str, Any]):
    """A leak is found by the check that is there for it; what was not reported is not taken for clean."""
    assert not checks(soak, look(), end, status)[failed][0]
