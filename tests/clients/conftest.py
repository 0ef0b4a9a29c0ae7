"""The official clients, each against the echo engine and, marked `model`, against SmolLM2."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ollama
import openai
import pytest

from tests.clients.remembering import Remembering

if TYPE_CHECKING:
    from tests.server import ServerProcess

CLIENT_LIMIT_S = 60
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Served:
    """A server and the name of a model on it."""

    server: ServerProcess
    model: str

    @property
    def url(self) -> str:
        return self.server.url


@pytest.fixture(params=["echo", pytest.param("smollm2", marks=pytest.mark.model)])
def served(request: pytest.FixtureRequest) -> Served:
    """A running server with one engine or the other."""
    fixture = "echo_server" if request.param == "echo" else "model_server"
    return Served(request.getfixturevalue(fixture), request.param)


@pytest.fixture
def openai_client(served: Served) -> openai.OpenAI:
    """The official OpenAI client; it must see errors at once, so it does not try again."""
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="dummy", max_retries=0, timeout=CLIENT_LIMIT_S)


@pytest.fixture
def ollama_client(served: Served) -> ollama.Client:
    """The official Ollama client."""
    return ollama.Client(host=served.url, timeout=CLIENT_LIMIT_S)


@pytest.fixture
def server(echo_server: ServerProcess) -> Remembering:
    """The echo server, with memories of nobody: no other test has the keys of this one."""
    return Remembering(echo_server, next(NUMBERS))
