"""A server as callers with memories see it: each test has keys of its own, so that many share one server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import openai

if TYPE_CHECKING:
    from tests.server import ServerProcess

LIMIT_S = 10.0
FACT = "My cat is called Mikan and lives in Kyoto."
QUESTION = "What is my cat called?"


@dataclass(frozen=True)
class Remembering:
    """A server with the echo engine, on which nothing of memory is switched on.

    Attributes:
        number: of the test; its keys are those of no other.
    """

    running: ServerProcess
    number: int = 0

    @property
    def url(self) -> str:
        return self.running.url

    def key(self, name: str = "a") -> str:
        """A key of this test alone."""
        return f"key-{name}-{self.number}"

    def headers(self, key: str = "a", **names: str) -> dict[str, str]:
        """Those of a caller, e.g. `user="ann"`."""
        named = {f"X-Hoshikage-{name.title()}": value for name, value in names.items()}
        return {"Authorization": f"Bearer {self.key(key)}", **named}

    def client(self, key: str = "a", **names: str) -> openai.OpenAI:
        """The official client with these headers, e.g. `memory="on"`."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=self.key(key), max_retries=0, default_headers=self.headers(key, **names)
        )

    def web(self, key: str = "a", **names: str) -> httpx.Client:
        """Plain HTTP with these headers."""
        return httpx.Client(base_url=self.url, headers=self.headers(key, **names), timeout=LIMIT_S)

    def memories(self, *, key: str = "a", user: str = "", **query: object) -> list[dict[str, Any]]:
        """The newest first."""
        with self.web(key, user=user) as web:
            return web.get("/v1/memories", params={"limit": 1000, **query}).raise_for_status().json()["data"]

    def texts(self, *, key: str = "a", user: str = "") -> set[str]:
        """What is remembered."""
        return {row["text"] for row in self.memories(key=key, user=user)}

    def tell(self, text: str = FACT, *, extra_body: dict[str, Any] | None = None, **names: str) -> None:
        """Say something, and wait until it is written down."""
        ask(self.client(**{"memory": "on", **names}), text, extra_body=extra_body)
        self.wait_for(text, **{name: value for name, value in names.items() if name in {"key", "user"}})

    def wait_for(self, text: str, **whose: str) -> None:
        """Wait until a text is written down: that happens after the answer."""
        end = time.monotonic() + LIMIT_S
        while text not in self.texts(**whose):
            assert time.monotonic() < end, "it was not written down"
            time.sleep(0.01)


def ask(client: openai.OpenAI, text: str, model: str = "echo", **body: Any) -> str:
    """What the model saw: the echo answers with the message as it got it."""
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.create(model=model, messages=messages, **body)
    return answer.choices[0].message.content or ""
