"""What a contestant is: it starts, answers the same work, and stops. Here also the bare loop; see `servers.py`."""

from __future__ import annotations

import abc
import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.answers import Answer, Work
from benchmarks.client import exchange_all
from benchmarks.processes import Child, StartFailed, cpu_s, free_port, start, wait_until_up
from benchmarks.prompts import chatml
from benchmarks.reading import read_answer

MODEL_NAME = "bench"
JOB_LIMIT_S = 180.0
SPIN_COUNT = "2000"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Setup:
    """What is the same for all contestants of a row."""

    model: Path
    folder: Path
    n_ctx: int = 8192
    n_threads: int = 2
    n_parallel: int = 16
    n_batch: int = 512


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers are, from the environment; what is not given is left out.

    Attributes:
        llama_server: the binary (`LLAMA_SERVER`).
        llama_bench: the binary (`LLAMA_BENCH`).
        packaged_python: a Python that has `llama-cpp-python[server]` (`LLAMA_CPP_PYTHON`).
        example_server: `examples/server/server.py` of llama-cpp-python's sources (`LLAMA_CPP_EXAMPLE`), run by
            `packaged_python`.
    """

    llama_server: str = ""
    llama_bench: str = ""
    packaged_python: str = ""
    example_server: str = ""

    @classmethod
    def from_environment(cls) -> Peers:
        """Read the four variables."""
        get = os.environ.get
        return cls(
            get("LLAMA_SERVER", ""), get("LLAMA_BENCH", ""), get("LLAMA_CPP_PYTHON", ""), get("LLAMA_CPP_EXAMPLE", "")
        )


class Contestant(abc.ABC):
    """Something that answers prompts and can be measured."""

    name: str

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.child: Child | None = None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.setup.folder / f"{self.name}.log"

    @property
    def running(self) -> bool:
        """Whether its process is up."""
        return self.child is not None and self.child.process.returncode is None

    @abc.abstractmethod
    async def start(self) -> None:
        """Come up and load the model.

        Raises:
            StartFailed: with the reason.
        """

    @abc.abstractmethod
    async def answer(self, works: list[Work]) -> list[Answer]:
        """Answer works that arrive together.

        Raises:
            TimeoutError, OSError: it did not answer, or not in time.
        """

    async def forget(self) -> None:
        """Drop whatever it keeps of earlier work.

        Raises:
            StartFailed: with the reason.
        """
        await self.stop()
        await self.start()

    def used_cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return cpu_s(self.child.tree) if self.child is not None else 0.0

    async def stop(self) -> None:
        """End all its processes. Idempotent."""
        if self.child is not None:
            await self.child.stop()
            self.child = None


class HttpContestant(Contestant):
    """A server with OpenAI's chat route."""

    health = "/health"
    model = MODEL_NAME

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.url = ""

    @abc.abstractmethod
    def command(self, port: int) -> list[str]:
        """The command that serves on this port."""

    def environment(self) -> dict[str, str] | None:
        """The environment of the process; `None` is our own."""
        return None

    async def start(self) -> None:
        """Serve, and answer one request so that everything is loaded."""
        await self.serve()
        await self.warm_up()

    async def serve(self) -> None:
        """Serve, with nothing asked yet.

        Raises:
            StartFailed: with the reason.
        """
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.child = await start(self.command(port), self.log, env=self.environment(), cwd=self.setup.folder)
        await wait_until_up(self.child, self.url + self.health)

    async def warm_up(self) -> None:
        """Answer one short request."""
        work = Work((("system", "Warm up."), ("user", "Say one word.")), 2)
        for answer in await self.answer([work]):
            if answer.error:
                raise StartFailed(f"{self.name} refuses a first request: {answer.error}")

    async def answer(self, works: list[Work]) -> list[Answer]:
        """Ask over HTTP, all streamed, all at the same moment."""
        bodies = [self.body(work) for work in works]
        exchanges = await exchange_all(f"{self.url}/v1/chat/completions", bodies)
        return [read_answer(exchange) for exchange in exchanges]

    def body(self, work: Work) -> dict[str, Any]:
        """The request body: greedy, and as long as asked for."""
        return {
            "model": self.model,
            "messages": [{"role": role, "content": content} for role, content in work.messages],
            "max_tokens": work.max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **work.extras,
        }


class Bare(Contestant):
    """The bare loop in a process of its own; the clock runs inside of it."""

    name = "bare"

    async def start(self) -> None:
        """Load the model and answer a first job."""
        s = self.setup
        command = [
            sys.executable,
            "-m",
            "benchmarks.bare",
            str(s.model),
            str(s.n_ctx),
            str(s.n_threads),
            str(s.n_parallel),
        ]
        # Our worker waits for its threads in the same way, so what else happens on the machine meets both alike.
        env = {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ}
        self.child = await start(command, self.log, cwd=ROOT, env=env, pipes=True)
        await self.answer([Work((("system", "Warm up."), ("user", "Say one word.")), 2)])

    async def answer(self, works: list[Work]) -> list[Answer]:
        """Hand the rendered prompts over."""
        prompts = [chatml(work.messages) for work in works]
        found = await self.job(prompts=prompts, max_tokens=[work.max_tokens for work in works])
        return [Answer(**fields, counted=True) for fields in found]

    async def job(self, **fields: Any) -> Any:
        """Do one job.

        Raises:
            StartFailed: the process has ended.
        """
        assert self.child is not None
        stdin, stdout = self.child.process.stdin, self.child.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(fields).encode() + b"\n")
        async with asyncio.timeout(JOB_LIMIT_S):
            line = await stdout.readline()
        if not line:
            raise StartFailed(f"the bare loop ended: {self.child.last_words()}")
        return json.loads(line)
