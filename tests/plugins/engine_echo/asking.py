"""Loading an echo and asking it."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from hoshikage import ChatRequest, Chunk, Message, ModelRecord
from hoshikage.core.errors import EngineFailed, WorkerDied
from hoshikage.plugins.engine_echo.engine import EchoEngine
from hoshikage.plugins.engine_echo.model import EchoModel
from hoshikage.plugins.engine_echo.settings import EchoSettings


async def model_of(**settings) -> EchoModel:
    return await EchoEngine(EchoSettings(**settings)).load(ModelRecord("echo", engine="echo"))


def asking(*texts: str, **fields) -> ChatRequest:
    return ChatRequest("r1", "echo", messages=tuple(Message("user", text) for text in texts), **fields)


async def events_of(model: EchoModel, request: ChatRequest) -> list:
    async with aclosing(model.generate(request)) as events:
        return [event async for event in events]


async def text_of(request: ChatRequest, **settings) -> tuple[str, str]:
    """The text of an answer, and why it ended."""
    *events, done = await events_of(await model_of(**settings), request)
    return "".join(e.text for e in events if isinstance(e, Chunk)), done.finish_reason


async def until_failure(model: EchoModel, request: ChatRequest) -> tuple[str, Exception]:
    """The text that came before the failure, and the failure."""
    text = ""
    try:
        async for event in model.generate(request):
            text += event.text if isinstance(event, Chunk) else ""
    except (EngineFailed, WorkerDied) as error:
        return text, error
    pytest.fail("the answer did not fail")
