"""A conversation on the terminal, through a running server or a kernel in this process."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import orjson

from hoshikage.core.contracts import Caller, ChatRequest, Chunk, Message
from hoshikage.core.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hoshikage.core.kernel import Assembly

CONNECT_LIMIT_S = 5.0


class Answerer(Protocol):
    """Gives the pieces of an answer."""

    def answer(self, name: str, messages: list[Message]) -> AsyncIterator[str]:
        """Stream the answer to a conversation."""
        ...


class Conversation:
    """Keeps the turns and prints the answers as they come."""

    def __init__(self, name: str, answerer: Answerer, runner: asyncio.Runner) -> None:
        self._name = name
        self._answerer = answerer
        self._runner = runner
        self._messages: list[Message] = []

    @classmethod
    @contextlib.contextmanager
    def open(cls, assembly: Assembly, name: str, *, url: str | None) -> Iterator[Conversation]:
        """Talk to the server at `url`, or without one to a kernel that lives as long as the conversation."""
        with asyncio.Runner() as runner:
            if url is not None:
                yield cls(name, _Remote(url), runner)
                return
            from hoshikage.core.kernel import Kernel

            async def build() -> Kernel:
                return Kernel(assembly)

            kernel = runner.run(build())
            try:
                yield cls(name, _Local(kernel), runner)
            finally:
                runner.run(kernel.stop())

    def ask(self, prompt: str) -> None:
        """Ask once."""
        self._messages.append(Message("user", prompt))
        answer = self._runner.run(self._print_answer())
        self._messages.append(Message("assistant", answer))

    def talk(self) -> None:
        """Ask again and again until the end of the input."""
        while True:
            try:
                prompt = input(">>> ")
            except (EOFError, KeyboardInterrupt):
                print()
                return
            if prompt.strip() in {"/bye", "/exit"}:
                return
            if prompt.strip():
                self.ask(prompt)

    async def _print_answer(self) -> str:
        pieces: list[str] = []
        async for piece in self._answerer.answer(self._name, self._messages):
            print(piece, end="", flush=True)
            pieces.append(piece)
        print()
        return "".join(pieces)


class _Local:
    """Answers from a kernel in this process."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    async def answer(self, name: str, messages: list[Message]) -> AsyncIterator[str]:
        request = ChatRequest(uuid.uuid4().hex, name, tuple(messages), stream=True)
        async with contextlib.aclosing(self._kernel.chat(request, Caller())) as events:
            async for event in events:
                if isinstance(event, Chunk) and event.text:
                    yield event.text


class _Remote:
    """Answers from a running server."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def answer(self, name: str, messages: list[Message]) -> AsyncIterator[str]:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        body = {"model": name, "messages": turns, "stream": True}
        timeout = httpx.Timeout(None, connect=CONNECT_LIMIT_S)
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.stream("POST", f"{self._url}/v1/chat/completions", json=body) as response,
        ):
            if response.status_code != 200:
                raise EngineFailed(_message(await response.aread()))
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield _text(orjson.loads(line.removeprefix("data: ")))


def _text(event: dict[str, Any]) -> str:
    if "error" in event:
        raise EngineFailed(str(event["error"].get("message")))
    choices = event.get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or ""


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
