"""The requests of a soak, drawn at random, and the judgement on what comes back."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.client import split_response
from benchmarks.prompts import TOPICS, WORDS
from benchmarks.reading import timed_events
from benchmarks.rows.schemas import SCHEMAS, response_format
from benchmarks.validity import misfit

if TYPE_CHECKING:
    from benchmarks.client import Exchange

SCHEMA_TOKENS = 120  # more than the longest answer that the schemas allow
TOOL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"room": {"enum": ["kitchen", "hall", "attic"]}, "on": {"type": "boolean"}},
    "required": ["room", "on"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "set_lamp", "description": "Set a lamp.", "parameters": TOOL_SCHEMA},
}
REFUSED = (
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "no-such-type"}}}},
    {"logprobs": True, "top_logprobs": 50},
    {"n": 1000},
    {"tool_choice": {"type": "function", "function": {"name": "no_such_tool"}}, "tools": [TOOL]},
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request and what must become of it.

    Attributes:
        stop_after: the caller leaves after so many events; 0 stays to the end.
        leave_s: the caller leaves after this time, whatever has come; 0 stays.
        schema: what the text must fit.
    """

    kind: str
    body: dict[str, Any]
    stop_after: int = 0
    leave_s: float = 0.0
    schema: dict[str, Any] | None = None


@dataclass(slots=True)
class Reply:
    """What came back: per choice its text, the arguments of its tool calls, and why it ended."""

    status: int = 0
    complete: bool = False
    error: str = ""
    texts: dict[int, str] = field(default_factory=dict)
    calls: dict[tuple[int, int], str] = field(default_factory=dict)
    finish: dict[int, str] = field(default_factory=dict)
    completion_tokens: int = 0


class Drawing:
    """An endless, repeatable series of requests."""

    KINDS = (
        ("plain", 8),
        ("conversation", 4),
        ("sampled", 4),
        ("schema", 5),
        ("several", 2),
        ("tool", 3),
        ("whole", 2),
        ("cut", 5),
        ("left", 3),
        ("refused", 2),
    )

    def __init__(self, seed: int, model: str) -> None:
        self._random = random.Random(seed)
        self._model = model
        self._systems = [self._words(40 * (number + 1)) for number in range(4)]

    def pause_s(self, mean_s: float) -> float:
        """The time until the same caller asks again."""
        return self._random.expovariate(1 / mean_s)

    def next(self) -> Request:
        """The next request."""
        kinds, weights = zip(*self.KINDS, strict=True)
        kind = self._random.choices(kinds, weights)[0]
        body = self._body(self._random.choice(TOPICS) + ": " + self._words(self._random.randint(1, 300)))
        request: Request = getattr(self, f"_{kind}")(body)
        return request

    def _plain(self, body: dict[str, Any]) -> Request:
        return Request("plain", {**body, "temperature": 0})

    def _conversation(self, body: dict[str, Any]) -> Request:
        system = {"role": "system", "content": self._random.choice(self._systems)}
        return Request("conversation", {**body, "messages": [system, *body["messages"]]})

    def _sampled(self, body: dict[str, Any]) -> Request:
        draw = self._random
        sampling = {
            "temperature": draw.uniform(0.1, 1.5),
            "top_p": draw.uniform(0.5, 1),
            "seed": draw.randint(0, 99),
            "presence_penalty": draw.uniform(0, 1),
            "stop": draw.choice([["the"], ["\n\n", "and"], []]),
        }
        return Request("sampled", {**body, **sampling})

    def _schema(self, body: dict[str, Any]) -> Request:
        number = self._random.randrange(len(SCHEMAS))
        extras = {"response_format": response_format(number), "max_tokens": SCHEMA_TOKENS, "temperature": 1.2}
        return Request("schema", {**body, **extras}, schema=SCHEMAS[number])

    def _several(self, body: dict[str, Any]) -> Request:
        return Request("several", {**body, "n": self._random.randint(2, 4), "temperature": 1})

    def _tool(self, body: dict[str, Any]) -> Request:
        return Request("tool", {**body, "tools": [TOOL], "tool_choice": "required", "max_tokens": SCHEMA_TOKENS})

    def _whole(self, body: dict[str, Any]) -> Request:
        return Request("whole", {k: v for k, v in body.items() if k != "stream_options"} | {"stream": False})

    def _cut(self, body: dict[str, Any]) -> Request:
        return Request("cut", {**body, "max_tokens": 300}, stop_after=self._random.randint(1, 40))

    def _left(self, body: dict[str, Any]) -> Request:
        return Request("left", body, leave_s=self._random.uniform(0.0, 0.5))

    def _refused(self, body: dict[str, Any]) -> Request:
        return Request("refused", {**body, **self._random.choice(REFUSED)})

    def _body(self, content: str) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": self._random.randint(1, 120),
        }

    def _words(self, n: int) -> str:
        return " ".join(self._random.choices(WORDS, k=n))


def read_reply(exchange: Exchange) -> Reply:
    """Read a response, streamed or whole, with all of its choices."""
    reply = Reply()
    data = b"".join(packet for _, packet in exchange.packets)
    try:
        reply.status, headers, content = split_response(data)
        if reply.status != 200 or "event-stream" not in headers.get("content-type", ""):
            _take_whole(reply, content)
            return reply
        for _, payload in timed_events(exchange.packets, data):
            if payload == b"[DONE]":
                reply.complete = True
            else:
                _take(reply, json.loads(payload), "delta")
    except (OSError, ValueError) as error:
        reply.error = f"the response cannot be read: {error}"
    return reply


def _take_whole(reply: Reply, content: bytes) -> None:
    _take(reply, json.loads(content), "message")
    reply.complete = True


def _take(reply: Reply, event: dict[str, Any], part: str) -> None:
    if "error" in event:
        reply.error = json.dumps(event["error"])[:300]
    for choice in event.get("choices") or ():
        index, said = choice["index"], choice.get(part) or {}
        reply.texts[index] = reply.texts.get(index, "") + (said.get("content") or "")
        for place, call in enumerate(said.get("tool_calls") or ()):
            key = index, call.get("index", place)
            reply.calls[key] = reply.calls.get(key, "") + (call["function"].get("arguments") or "")
        if choice.get("finish_reason"):
            reply.finish[index] = choice["finish_reason"]
    if usage := event.get("usage"):
        reply.completion_tokens = usage["completion_tokens"]


def fault(request: Request, reply: Reply) -> str:
    """What is wrong with a reply; empty if nothing is."""
    if request.kind == "refused":
        return "" if reply.status == 400 and "param" in reply.error else f"not a 400 with its field: {reply}"
    if reply.status != 200 or reply.error:
        return f"status {reply.status}: {reply.error}"
    if not reply.complete:
        return "it ended without [DONE]"
    wanted = request.body.get("n", 1)
    if len(reply.finish) != wanted:
        return f"{len(reply.finish)} of {wanted} choices ended"
    if reply.completion_tokens <= 0:
        return "usage is missing"
    if request.kind == "tool":
        return _tool_fault(reply)
    return _schema_fault(request.schema, reply) if request.schema is not None else ""


def _tool_fault(reply: Reply) -> str:
    if not reply.calls:
        return "no tool was called"
    return next((found for text in reply.calls.values() if (found := misfit(text, TOOL_SCHEMA))), "")


def _schema_fault(schema: dict[str, Any], reply: Reply) -> str:
    return next((found for text in reply.texts.values() if (found := misfit(text, schema))), "")
