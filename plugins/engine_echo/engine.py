"""Echo: it answers with the last message, word by word, and obeys limits as a real engine does."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from typing import TYPE_CHECKING

import msgspec

from hoshikage import Chunk, Done, ModelFacts, Started, Usage
from hoshikage.core.errors import ContextOverflow, EngineFailed, ModelLoadFailed, WorkerDied
from hoshikage.plugins.engine_echo.settings import EchoSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import ChatRequest, FinishReason, LoadedModel, ModelRecord, StreamEvent

# A token is a run of spaces with the word after it, or one character of a script without spaces.
_TOKEN = re.compile(r"\s*[\x21-\u02ff]+|\s*\S|\s+")


def tokens_of(text: str) -> list[str]:
    """Cut text into the engine's tokens; joined, they are the text again."""
    return _TOKEN.findall(text)


class EchoEngine:
    """An engine that needs no file and no memory."""

    name = "echo"

    def __init__(self, settings: EchoSettings) -> None:
        self._settings = settings

    def supports(self, record: ModelRecord) -> bool:
        """Only what asks for it by name: it must never stand in for a real model."""
        return record.engine == self.name

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """What there is to say of a model that is none."""
        length = self._options(record).context_length
        metadata: dict[str, str | int | float | bool] = {
            "general.architecture": "echo",
            "general.basename": record.name,
            "echo.context_length": length,
        }
        return ModelFacts(architecture="echo", name=record.name, context_length=length, metadata=metadata)

    async def load(self, record: ModelRecord) -> LoadedModel:
        """Wait as long as told, then be ready."""
        options = self._options(record)
        await asyncio.sleep(options.load_delay_s)
        if options.fail_load:
            raise ModelLoadFailed(f"model {record.name!r} cannot be loaded: {options.fail_load}")
        return EchoModel(record.name, options)

    def _options(self, record: ModelRecord) -> EchoSettings:
        merged = {**dataclasses.asdict(self._settings), **record.options}
        try:
            return msgspec.convert(merged, EchoSettings)
        except msgspec.ValidationError as error:
            raise ModelLoadFailed(f"model {record.name!r} has a bad option: {error}") from error


class EchoModel:
    """A loaded echo; implements `LoadedModel`."""

    size_bytes = 0
    pid = None

    def __init__(self, name: str, options: EchoSettings) -> None:
        self._name = name
        self._options = options
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def context_length(self) -> int:
        """The context it claims."""
        return self._options.context_length

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Repeat the last message, or the raw prompt."""
        if self._end.done():
            raise WorkerDied(self._end.result())
        began = time.monotonic()
        prompt = [t for m in request.messages for t in tokens_of(m.content)] or tokens_of(request.prompt or "")
        if len(prompt) >= self.context_length:
            raise ContextOverflow.of(prompt_tokens=len(prompt), n_ctx=self.context_length)
        yield Started(len(prompt))
        await asyncio.sleep(self._options.first_token_delay_s)
        first_at = time.monotonic()
        last = request.messages[-1].content if request.messages else request.prompt or ""
        pieces, reason = _limited(tokens_of(last), request, room=self.context_length - len(prompt))
        for made, piece in enumerate(pieces):
            self._fail_if_told(made)
            yield Chunk(piece)
            await self._pace()
        usage = Usage(
            prompt_tokens=len(prompt),
            completion_tokens=len(pieces),
            prefill_s=first_at - began,
            decode_s=time.monotonic() - first_at,
        )
        yield Done(reason, usage)

    async def wait_closed(self) -> str:
        """See `LoadedModel.wait_closed`."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Be unloaded."""
        self._die("the model was unloaded")

    async def _pace(self) -> None:
        """Always give the loop a turn: a generator that never waits cannot be cancelled."""
        speed = self._options.tokens_per_second
        await asyncio.sleep(1 / speed if speed else 0)
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
