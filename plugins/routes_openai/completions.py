"""Completions of raw prompts: several prompts and several answers to each make one list of choices."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hoshikage import Chunk, Started
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.plugins.routes_openai.bodies import MOST_PROMPTS
from hoshikage.plugins.routes_openai.format import SSE, SSE_END, SSE_HEARTBEAT, head, sse, sse_failure, usage_body
from hoshikage.plugins.routes_openai.inputs import several
from hoshikage.plugins.routes_openai.logprobs import CompletionLogprobs
from hoshikage.plugins.routes_openai.parse import common_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import ChatRequest, Done, HoshikageError, StreamEvent
    from hoshikage.core.http.collected import Collected
    from hoshikage.plugins.routes_openai.bodies import CompletionBody


def completion_requests(body: CompletionBody, request_id: str) -> tuple[ChatRequest, ...]:
    """One request for each prompt.

    Raises:
        NotSupported: it asks for log-probabilities of the prompt, or for a choice among more answers than it wants.
        InvalidRequest: a value has the right type but makes no sense.
    """
    if body.best_of not in (None, 1, body.n or 1):
        raise NotSupported(f"best_of: {body.best_of} is not supported; send the same as n", param="best_of")
    if body.echo and body.logprobs is not None:
        raise NotSupported("echo: log-probabilities of the prompt are not supported; send no logprobs", param="echo")
    prompts = several(body.prompt, "prompt", most=MOST_PROMPTS)
    if body.suffix and not all(isinstance(p, str) for p in prompts):
        raise InvalidRequest("suffix: a gap to fill in needs a prompt of text, not of token ids", param="suffix")
    common = dataclasses.replace(common_request(body, request_id), suffix=body.suffix or None, logprobs=body.logprobs)
    ids = [request_id] if len(prompts) == 1 else [f"{request_id}-{i}" for i in range(len(prompts))]
    return tuple(dataclasses.replace(common, request_id=i, prompt=p) for i, p in zip(ids, prompts, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How the choices of one answer look.

    Attributes:
        echoes: for each choice, the text that goes before it.
        logprobs: how many alternatives to show with each token; `None` shows nothing.
    """

    request_id: str
    model: str
    echoes: tuple[str, ...]
    logprobs: int | None = None
    include_usage: bool = False

    def counters(self) -> list[CompletionLogprobs]:
        """What writes the log-probabilities of each choice."""
        return [CompletionLogprobs(self.logprobs or 0) for _ in self.echoes]


def completion_body(layout: Layout, answer: Collected) -> dict[str, Any]:
    """A whole completion."""
    rows = zip(layout.echoes, answer.choices, layout.counters(), answer.done.finish_reasons, strict=True)
    return {
        **head("cmpl", layout.request_id, "text_completion", layout.model),
        "choices": [
            {
                "index": index,
                "text": echo + choice.text,
                "logprobs": None if layout.logprobs is None else counter.body(choice.logprobs),
                "finish_reason": reason,
            }
            for index, (echo, choice, counter, reason) in enumerate(rows)
        ],
        "usage": usage_body(answer.done.usage),
    }


class CompletionEncoder:
    """Writes completions as server-sent events."""

    content_type = SSE

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._head = head("cmpl", layout.request_id, "text_completion", layout.model)
        self._counters = layout.counters()

    def encode(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.encode`."""
        match event:
            case Started():
                return b"".join(self._event(i, echo) for i, echo in enumerate(self._layout.echoes) if echo)
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
        shown = chunk.logprobs if self._layout.logprobs is not None else ()
        if not chunk.text and not shown:
            return b""
        logprobs = self._counters[chunk.index].body(shown) if shown else None
        return self._event(chunk.index, chunk.text, logprobs=logprobs)

    def _end(self, done: Done) -> bytes:
        ends = [self._event(i, "", reason) for i, reason in enumerate(done.finish_reasons)]
        return b"".join(ends) + self._usage(done) + SSE_END

    def _usage(self, done: Done) -> bytes:
        if not self._layout.include_usage:
            return b""
        return sse({**self._head, "choices": [], "usage": usage_body(done.usage)})

    def _event(
        self, index: int, text: str, reason: str | None = None, *, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return sse({**self._head, "choices": [choice]})


def echoes(prompts: Sequence[str], n: int) -> tuple[str, ...]:
    """The text before each choice: each prompt, once for each of its answers."""
    return tuple(prompt for prompt in prompts for _ in range(n))
