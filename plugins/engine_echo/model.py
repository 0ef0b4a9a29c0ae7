"""A loaded echo: it answers with the last message, word by word, and obeys limits as a real model does."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hoshikage import Chunk, Done, Embeddings, EngineCounters, MemoryNeed, Scores, Started, TokenLogprob, Usage
from hoshikage.core.errors import ContextOverflow, DeadlineExceeded, EngineFailed, WorkerDied
from hoshikage.plugins.engine_echo.numbers import score_of, vector_of
from hoshikage.plugins.engine_echo.tokens import ids_of, text_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import ChatRequest, EmbedRequest, FinishReason, RerankRequest, StreamEvent
    from hoshikage.plugins.engine_echo.settings import EchoSettings


class EchoModel:
    """A model that repeats what it is told; implements `LoadedModel`.

    It cannot be made to say anything else: it takes constraints, suffixes, adapters and sampling, and repeats the text
    all the same. What the text holds of thinking and tool calls, in the way of Hermes, is taken apart by the server.
    """

    pid = None

    def __init__(self, name: str, options: EchoSettings) -> None:
        self._name = name
        self._options = options
        self._counters = EngineCounters(cells_total=options.context_length)
        self._running = 0
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def context_length(self) -> int:
        """The context it claims."""
        return self._options.context_length

    @property
    def size_bytes(self) -> int:
        """What it says it takes."""
        return self._options.memory_bytes

    @property
    def memory(self) -> MemoryNeed:
        """The same."""
        return MemoryNeed(weights_bytes=self._options.memory_bytes)

    @property
    def counters(self) -> EngineCounters:
        """Its tokens, and steps of one token for each answer."""
        return replace(self._counters, running=self._running)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Repeat the last message, or the raw prompt."""
        self._check_alive()
        began = time.monotonic()
        deadline = began + (math.inf if request.deadline_s is None else request.deadline_s)
        prompt, last = _prompt_of(request)
        if len(prompt) >= self.context_length:
            raise ContextOverflow.of(prompt_tokens=len(prompt), n_ctx=self.context_length)
        pieces, reason = _limited(tokens_of(last), request, room=self.context_length - len(prompt))
        self._running += 1
        try:
            yield Started(len(prompt))
            self._count(prefill=len(prompt))
            await self._wait(self._options.first_token_delay_s, deadline)
            first_at = time.monotonic()
            for made, piece in enumerate(pieces):
                self._fail_if_told(made)
                for index in range(request.n):
                    yield Chunk(piece, index=index, logprobs=_logprobs(piece, request.logprobs))
                self._count(decode=request.n)
                await self._pace(deadline)
        finally:
            self._running -= 1
        usage = Usage(
            prompt_tokens=len(prompt),
            completion_tokens=len(pieces) * request.n,
            prefill_s=first_at - began,
            decode_s=time.monotonic() - first_at,
        )
        yield Done(reason, usage, more=(reason,) * (request.n - 1))

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """One vector for each text; see `vector_of`."""
        self._check_alive()
        texts = [text_of(text, param="input") for text in request.inputs]
        cut = [self._fitting(text, number, truncate=request.truncate) for number, text in enumerate(texts)]
        total = sum(map(len, cut))
        self._count(prefill=total)
        return Embeddings(tuple(vector_of("".join(tokens)) for tokens in cut), total)

    async def rerank(self, request: RerankRequest) -> Scores:
        """One score for each document; see `score_of`."""
        self._check_alive()
        query = len(tokens_of(request.query))
        total = sum(query + len(tokens_of(document)) for document in request.documents)
        self._count(prefill=total)
        return Scores(tuple(score_of(request.query, document) for document in request.documents), total)

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """The code points of a text; there are no special ones."""
        del special
        self._check_alive()
        return ids_of(text)

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """The text of code points."""
        self._check_alive()
        return text_of(tokens, param="tokens")

    async def extend_context(self, context_length: int) -> None:
        """Claim more."""
        longer = max(self._options.context_length, context_length)
        self._options = replace(self._options, context_length=longer)
        self._counters = replace(self._counters, cells_total=longer)

    async def wait_closed(self) -> str:
        """See `LoadedModel.wait_closed`."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Be unloaded."""
        self._die("the model was unloaded")

    def _fitting(self, text: str, number: int, *, truncate: bool) -> list[str]:
        tokens = tokens_of(text)
        if len(tokens) > self.context_length and not truncate:
            raise ContextOverflow(
                f"the input length exceeds the context length: input {number} has {len(tokens)} tokens, but the "
                f"context holds {self.context_length}; shorten it, or let it be cut",
                param="input",
                details={"n_prompt_tokens": len(tokens), "n_ctx": self.context_length},
            )
        return tokens[: self.context_length]

    async def _pace(self, deadline: float) -> None:
        """Always give the loop a turn: a generator that never waits cannot be cancelled."""
        speed = self._options.tokens_per_second
        await self._wait(1 / speed if speed else 0, deadline)
        self._check_alive()

    async def _wait(self, seconds: float, deadline: float) -> None:
        await asyncio.sleep(max(min(seconds, deadline - time.monotonic()), 0))
        if time.monotonic() >= deadline:
            raise DeadlineExceeded("the answer was not complete by its deadline; allow more time or a shorter answer")

    def _count(self, *, prefill: int = 0, decode: int = 0) -> None:
        now = self._counters
        self._counters = replace(
            now,
            steps=now.steps + 1,
            batch_tokens=now.batch_tokens + prefill + decode,
            prefill_tokens=now.prefill_tokens + prefill,
            decode_tokens=now.decode_tokens + decode,
        )

    def _check_alive(self) -> None:
        if self._end.done():
            raise WorkerDied(self._end.result())

    def _fail_if_told(self, made: int) -> None:
        if made == self._options.fail_after:
            raise EngineFailed(f"model {self._name!r} failed after {made} tokens, as echo.fail_after says")
        if made == self._options.crash_after:
            self._die(f"model {self._name!r} crashed after {made} tokens, as echo.crash_after says")
            raise WorkerDied(self._end.result())

    def _die(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)


def _prompt_of(request: ChatRequest) -> tuple[list[str], str]:
    """The tokens of the whole prompt, and the text to repeat."""
    if request.messages:
        return [t for m in request.messages for t in tokens_of(m.content)], request.messages[-1].content
    text = text_of(request.prompt or "", param="prompt")
    return tokens_of(text), text


def _limited(tokens: list[str], request: ChatRequest, *, room: int) -> tuple[list[str], FinishReason]:
    """Cut an answer at its first stop string, at `max_tokens`, and at the end of the context."""
    text = "".join(tokens)
    stops = [at for at in (text.find(s) for s in request.stop if s) if at >= 0]
    if stops:
        tokens = tokens_of(text[: min(stops)])
    limit = room if request.max_tokens is None or request.max_tokens < 0 else min(request.max_tokens, room)
    if len(tokens) > limit:
        return tokens[:limit], "length"
    return tokens, "stop"


def _logprobs(piece: str, wanted: int | None) -> tuple[TokenLogprob, ...]:
    """Each token is certain, so there is no alternative to it but itself."""
    if wanted is None:
        return ()
    token = piece.encode("utf-8", "surrogatepass")
    top = (TokenLogprob(token, 0.0),) if wanted else ()
    return (TokenLogprob(token, 0.0, top),)
