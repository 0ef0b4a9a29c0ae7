"""Asking a loaded model, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hoshikage import ChatRequest, Chunk, Done, Message, Sampling, Started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import LoadedModel, StreamEvent

# No answer of these tests takes long; what hangs must fail the test, not stop the run.
ANSWER_LIMIT_S = 120.0
GREEDY = Sampling(temperature=0.0)
# Where the next number is certain, rounding cannot change it, and every answer has its own numbers.
COUNTS = tuple(f"{n}, {n + 1}, {n + 2}, {n + 3}," for n in (1, 10, 20, 30, 40, 50, 60, 70))


@dataclass
class Answer:
    """The events of one answer, in order."""

    events: list[StreamEvent] = field(default_factory=list)

    @property
    def chunks(self) -> list[Chunk]:
        """The pieces of text."""
        return [e for e in self.events if isinstance(e, Chunk)]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(c.text for c in self.chunks)

    @property
    def started(self) -> Started:
        """The first event."""
        event = self.events[0]
        assert isinstance(event, Started)
        return event

    @property
    def done(self) -> Done:
        """The last event."""
        event = self.events[-1]
        assert isinstance(event, Done)
        return event


def raw(prompt: str, *, max_tokens: int | None = 20, sampling: Sampling = GREEDY, **fields: Any) -> ChatRequest:
    """A request that goes to the model as it stands."""
    return ChatRequest("id", "m", prompt=prompt, sampling=sampling, max_tokens=max_tokens, **fields)


def chat(text: str, *, max_tokens: int | None = 60, sampling: Sampling = GREEDY, **fields: Any) -> ChatRequest:
    """A request of one turn."""
    return ChatRequest("id", "m", (Message("user", text),), sampling=sampling, max_tokens=max_tokens, **fields)


async def ask(model: LoadedModel, request: ChatRequest, order: list[tuple[str, str]] | None = None) -> Answer:
    """Read a whole answer; with `order`, note there when its first chunk and its end came."""
    answer = Answer()
    async with asyncio.timeout(ANSWER_LIMIT_S):
        async for event in model.generate(request):
            if order is not None and isinstance(event, Chunk) and not answer.chunks:
                order.append(("first", request.prompt or ""))
            if order is not None and isinstance(event, Done):
                order.append(("end", request.prompt or ""))
            answer.events.append(event)
    return answer


async def ask_together(model: LoadedModel, requests: Sequence[ChatRequest]) -> tuple[list[Answer], list[str]]:
    """Ask all at once. Returns the answers, and the words `first` and `end` in the order they happened."""
    order: list[tuple[str, str]] = []
    answers = await asyncio.gather(*(ask(model, request, order) for request in requests))
    return list(answers), [what for what, _ in order]
