"""Answers of chat and generate: as one object, and as lines of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hoshikage import Chunk, Done, Started
from hoshikage.plugins.routes_ollama.calls import CallCollector, OpenCall, finished
from hoshikage.plugins.routes_ollama.context import write_context
from hoshikage.plugins.routes_ollama.format import error_body, head, line, nanoseconds
from hoshikage.plugins.routes_ollama.logprobs import logprob_rows

if TYPE_CHECKING:
    from hoshikage import ChatRequest, FinishReason, HoshikageError, StreamEvent, TokenLogprob
    from hoshikage.core.http.collected import Collected

Kind = Literal["chat", "generate"]

DONE_REASONS: dict[FinishReason, str] = {"stop": "stop", "length": "length", "tool_calls": "stop"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one row says of the answer, or all of it."""

    text: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.thinking or self.calls or self.logprobs)

    def fields(self, kind: Kind) -> dict[str, Any]:
        """Where these stand in a row; the text is always there."""
        thinking = {"thinking": self.thinking} if self.thinking else {}
        logprobs = {"logprobs": logprob_rows(self.logprobs)} if self.logprobs else {}
        if kind == "generate":
            return {"response": self.text, **thinking, **logprobs}
        calls = {"tool_calls": list(self.calls)} if self.calls else {}
        return {"message": {"role": "assistant", "content": self.text, **thinking, **calls}, **logprobs}


class NdjsonEncoder:
    """Writes one answer as lines of JSON: no blank lines, no comments, a line feed after the last."""

    content_type = "application/x-ndjson"

    def __init__(self, kind: Kind, request: ChatRequest) -> None:
        self._kind: Kind = kind
        self._request = request
        self._text: list[str] = []
        self._calls = CallCollector()

    def encode(self, event: StreamEvent) -> bytes:
        """A line for each piece, and one for the end."""
        match event:
            case Started():
                return b""
            case Chunk():
                done = self._calls.add(event.tool_calls)
                return self._row(Piece(done.text + event.text, event.reasoning, done.rows, event.logprobs))
            case Done():
                left = self._calls.end()
                row = self._row(Piece(left.text, calls=left.rows))
                return row + line(final_row(self._kind, self._request, Piece(), "".join(self._text), event))

    def heartbeat(self) -> bytes:
        """An empty piece of text: the only sign of life that every client survives."""
        return self._line(Piece())

    def failure(self, error: HoshikageError) -> bytes:
        """An error in the stream."""
        return line(error_body(error))

    def _row(self, piece: Piece) -> bytes:
        self._text.append(piece.text)
        return self._line(piece) if piece else b""

    def _line(self, piece: Piece) -> bytes:
        return line({**head(self._request.model), **piece.fields(self._kind), "done": False})


def whole_body(kind: Kind, request: ChatRequest, answer: Collected) -> dict[str, Any]:
    """A whole answer in one object."""
    choice = answer.choices[0]
    calls = finished(OpenCall(i, c.id, c.name, [c.arguments]) for i, c in enumerate(choice.tool_calls))
    text = choice.text + calls.text
    return final_row(kind, request, Piece(text, choice.reasoning, calls.rows, choice.logprobs), text, answer.done)


def final_row(kind: Kind, request: ChatRequest, piece: Piece, answer: str, done: Done) -> dict[str, Any]:
    """The last line, or a whole answer: `piece` is what it says itself, `answer` all of the text."""
    receipt, usage = done.receipt, done.usage
    row = {
        **head(request.model),
        **piece.fields(kind),
        "done": True,
        "done_reason": DONE_REASONS[done.finish_reason],
        "total_duration": nanoseconds(receipt.total_s if receipt else 0),
        "load_duration": nanoseconds(receipt.load_s if receipt else 0),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": nanoseconds(usage.prefill_s),
        "eval_count": usage.completion_tokens,
        "eval_duration": nanoseconds(usage.decode_s),
    }
    if kind == "generate" and request.prompt is None:
        row["context"] = write_context(request.messages, answer)
    return row


def loading_row(kind: Kind, model: str, reason: Literal["load", "unload"]) -> dict[str, Any]:
    """The answer to an empty prompt, which only loads or unloads."""
    return {**head(model), **Piece().fields(kind), "done": True, "done_reason": reason}
