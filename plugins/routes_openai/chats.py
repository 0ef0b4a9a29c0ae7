"""A chat's answer: as one object, and as a stream of server-sent events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hoshikage import Chunk, Started
from hoshikage.plugins.routes_openai.format import SSE, SSE_END, SSE_HEARTBEAT, head, sse, sse_failure, usage_body
from hoshikage.plugins.routes_openai.logprobs import chat_logprobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hoshikage import ChatRequest, Done, FinishReason, HoshikageError, StreamEvent, ToolCall, ToolCallDelta
    from hoshikage.core.http.collected import Collected, CollectedChoice

Delta = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wording:
    """What a client wants to read besides the answer.

    Attributes:
        old_style: calls come as the one `function_call` that they were before tools.
        include_usage: a stream ends with the token counts.
    """

    old_style: bool = False
    include_usage: bool = False

    def finish_reason(self, reason: FinishReason) -> str:
        """Why an answer ended."""
        return "function_call" if self.old_style and reason == "tool_calls" else reason


def chat_body(request: ChatRequest, answer: Collected, wording: Wording) -> dict[str, Any]:
    """A whole chat completion."""
    reasons = answer.done.finish_reasons
    return {
        **head("chatcmpl", request.request_id, "chat.completion", request.model),
        "choices": [
            {
                "index": index,
                "message": message_body(choice, wording),
                "logprobs": None if request.logprobs is None else chat_logprobs(choice.logprobs),
                "finish_reason": wording.finish_reason(reasons[index]),
            }
            for index, choice in enumerate(answer.choices)
        ],
        "usage": usage_body(answer.done.usage),
    }


def message_body(choice: CollectedChoice, wording: Wording) -> dict[str, Any]:
    """One answer as a message; thinking stands under both names that clients look for."""
    body: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.tool_calls else ""),
        "refusal": None,
    }
    if choice.reasoning:
        body |= _reasoning(choice.reasoning)
    if choice.tool_calls and wording.old_style:
        body["function_call"] = _function(choice.tool_calls[0])
    elif choice.tool_calls:
        body["tool_calls"] = [{"id": c.id, "type": "function", "function": _function(c)} for c in choice.tool_calls]
    return body


class ChatEncoder:
    """Writes a chat as server-sent events; each event says one thing, because clients look for one at a time."""

    content_type = SSE

    def __init__(self, request: ChatRequest, wording: Wording) -> None:
        self._head = head("chatcmpl", request.request_id, "chat.completion.chunk", request.model)
        self._answers = request.n
        self._logprobs = request.logprobs is not None
        self._wording = wording

    def encode(self, event: StreamEvent) -> bytes:
        """The role comes once, in an answer's first chunk: clients add up what they get."""
        match event:
            case Started():
                return b"".join(self._event(i, {"role": "assistant", "content": ""}) for i in range(self._answers))
            case Chunk():
                return self._chunk(event)
            case done:
                return self._end(done)

    def heartbeat(self) -> bytes:
        """See `StreamEncoder.heartbeat`."""
        return SSE_HEARTBEAT

    def failure(self, error: HoshikageError) -> bytes:
        """See `StreamEncoder.failure`."""
        return sse_failure(error)

    def _chunk(self, chunk: Chunk) -> bytes:
        deltas = list(_deltas(chunk, self._wording))
        if not (self._logprobs and chunk.logprobs):
            return b"".join(self._event(chunk.index, delta) for delta in deltas)
        # Tokens whose text is held back, or is markup of a call, are told of without text.
        first, *rest = deltas or [{}]
        return b"".join(
            [
                self._event(chunk.index, first, logprobs=chat_logprobs(chunk.logprobs)),
                *(self._event(chunk.index, delta) for delta in rest),
            ]
        )

    def _end(self, done: Done) -> bytes:
        ends = [self._event(i, {}, reason) for i, reason in enumerate(done.finish_reasons)]
        return b"".join(ends) + self._usage(done) + SSE_END

    def _usage(self, done: Done) -> bytes:
        """Only for those who asked: some clients read `choices[0]` of every chunk."""
        if not self._wording.include_usage:
            return b""
        return sse({**self._head, "choices": [], "usage": usage_body(done.usage)})

    def _event(
        self, index: int, delta: Delta, reason: FinishReason | None = None, *, logprobs: Delta | None = None
    ) -> bytes:
        finish_reason = self._wording.finish_reason(reason) if reason else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return sse({**self._head, "choices": [choice]})


def _deltas(chunk: Chunk, wording: Wording) -> Iterator[Delta]:
    if chunk.reasoning:
        yield _reasoning(chunk.reasoning)
    if chunk.text:
        yield {"content": chunk.text}
    yield from (_old_calls if wording.old_style else _calls)(chunk.tool_calls)


def _calls(deltas: Sequence[ToolCallDelta]) -> Iterator[Delta]:
    for delta in deltas:
        function = {"name": delta.name, "arguments": delta.arguments} if delta.name else {"arguments": delta.arguments}
        first = {"id": delta.id, "type": "function"} if delta.id else {}
        yield {"tool_calls": [{"index": delta.index, **first, "function": function}]}


def _old_calls(deltas: Sequence[ToolCallDelta]) -> Iterator[Delta]:
    """There was room for one call only."""
    for delta in deltas:
        if delta.index == 0:
            name = {"name": delta.name} if delta.name else {}
            yield {"function_call": {**name, "arguments": delta.arguments}}


def _reasoning(text: str) -> Delta:
    return {"reasoning_content": text, "reasoning": text}


def _function(call: ToolCall) -> dict[str, str]:
    return {"name": call.name, "arguments": call.arguments}
