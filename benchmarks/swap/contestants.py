"""Who changes between models: our own server, llama-server's router, and the limit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.answers import Answer, Work
from benchmarks.client import fetch
from benchmarks.contestants import ROOT, SPIN_COUNT, Contestant, HttpContestant
from benchmarks.processes import Child, StartFailed, start
from benchmarks.prompts import chatml
from benchmarks.rows.base import MeasureFailed, checked
from benchmarks.servers import OK, Hoshikage
from benchmarks.swap import own_api
from benchmarks.swap.page_cache import warm
from benchmarks.swap.targets import LIMIT, ROUTER

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contestants import Setup

LOAD_LIMIT_S = 180.0
READY_LIMIT_S = 30.0
STAGE_LIMIT_S = 120.0
LEAVE_LIMIT_S = 30.0
LOOK_EVERY_S = 0.1
QUIET_S = 0.015  # of processor time within a look; the kernel counts in hundredths
QUIET_LOOKS = 3
QUIET_LIMIT_S = 10.0


class Changing(Protocol):
    """Answers with the model that is asked for, by changing to it."""

    async def ask(self, model: str, work: Work) -> Answer:
        """Ask a model.

        Raises:
            MeasureFailed: the answer is an error, or has no text.
        """
        ...


class OwnServer(Hoshikage):
    """Our own server with several models, of which one is loaded at a time.

    Args:
        ram_folder: where it stages; `None` turns staging off.
        state: whether it saves conversations.
    """

    def __init__(
        self, setup: Setup, models: dict[str, Path], *, ram_folder: Path | None = None, state: bool = True
    ) -> None:
        super().__init__(setup, variants={name: {} for name in models})
        self.files = models
        self._ram_folder = ram_folder
        self._state = state

    @property
    def stages(self) -> bool:
        """Whether it has a RAM disk."""
        return self._ram_folder is not None

    def command(self, port: int) -> list[str]:
        """Serve a model map that is written here."""
        models = {n: {"path": str(f.parent), "model": f.name, "stop": []} for n, f in self.files.items()}
        (self.setup.folder / "model_map.json").write_text(json.dumps(models))
        return [sys.executable, "-m", "hoshikage", "serve", "--port", str(port)]

    def environment(self) -> dict[str, str]:
        """Only the settings given here are in force."""
        s = self.setup
        return {
            **super().environment(),
            **own_api.settings(n_ctx=s.n_ctx, n_threads=s.n_threads, n_batch=s.n_batch, n_parallel=s.n_parallel),
            **own_api.ram_disk_settings(self._ram_folder),
            **own_api.state_settings(enabled=self._state),
        }

    async def ask(self, model: str, work: Work) -> Answer:
        """See `Changing.ask`."""
        await self.until_alone()
        self.model = model
        return checked(await self.answer([work]))[0]

    async def until_alone(self) -> None:
        """Wait until the model that had to leave is gone; asked before, it would be there without a load.

        Raises:
            MeasureFailed: it stays.
        """
        until, waited = time.monotonic() + LEAVE_LIMIT_S, False
        while own_api.n_occupied(await self._status()) > 1:
            if time.monotonic() > until:
                raise MeasureFailed(f"two models were still loaded after {LEAVE_LIMIT_S:g} s; max_loaded is 1")
            waited = True
            await asyncio.sleep(LOOK_EVERY_S)
        if waited:
            await until_quiet(self)

    async def load(self, model: str, n_ctx: int = 0) -> float:
        """Load a model, or change its context. Returns the seconds that it took.

        Raises:
            MeasureFailed: the server refuses.
        """
        began = time.monotonic()
        await self._post(*own_api.load_request(model, n_ctx))
        return time.monotonic() - began

    async def unload(self, model: str) -> None:
        """Let a model go.

        Raises:
            MeasureFailed: the server refuses.
        """
        await self._post("/api/generate", own_api.unload_body(model))

    async def predicted_bytes(self, model: str, n_ctx: int) -> int:
        """What the server says that a load would take.

        Raises:
            MeasureFailed: it says nothing.
        """
        return own_api.predicted_bytes(await self._post(own_api.PLAN_ROUTE, own_api.plan_body(model, n_ctx)))

    async def loaded(self, model: str) -> dict[str, Any]:
        """What `/v1/status` says of a model that must be loaded.

        Raises:
            MeasureFailed: it is not.
        """
        if row := own_api.row_of(await self._status(), model):
            return row
        raise MeasureFailed(f"/v1/status does not show {model} as loaded")

    async def is_staged(self, model: str) -> bool:
        """Whether a whole copy is on the RAM disk.

        Raises:
            MeasureFailed: the server does not say.
        """
        return own_api.is_staged(await self._status(), self.files[model])

    async def stage(self, model: str) -> None:
        """Have a model copied to the RAM disk.

        Raises:
            MeasureFailed: it is not there in time.
        """
        await fetch(self.url + own_api.STAGE_ROUTE, {"model": model}, limit_s=STAGE_LIMIT_S)
        until = time.monotonic() + STAGE_LIMIT_S
        while not await self.is_staged(model):
            if time.monotonic() > until:
                raise MeasureFailed(f"{model} was not on the RAM disk after {STAGE_LIMIT_S:g} s")
            await asyncio.sleep(LOOK_EVERY_S)

    def staged_file(self, model: str) -> Path:
        """Where the copy on the RAM disk is: the file there that has the size of the source.

        Raises:
            MeasureFailed: there is none.
        """
        size = self.files[model].stat().st_size
        found = [f for f in self._ram_folder.rglob("*") if f.is_file()] if self._ram_folder else []
        if copy := next((file for file in found if file.stat().st_size == size), None):
            return copy
        raise MeasureFailed(f"no file on the RAM disk has the {size} bytes of {model}")

    async def _status(self) -> dict[str, Any]:
        _, content = await fetch(f"{self.url}/v1/status")
        status: dict[str, Any] = json.loads(content)
        return status

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, content = await fetch(self.url + path, body, limit_s=LOAD_LIMIT_S)
        if status != OK:
            raise MeasureFailed(f"POST {path} {json.dumps(body)}: status {status}: {content[:200].decode()}")
        answer: dict[str, Any] = json.loads(content)
        return answer


class Router(HttpContestant):
    """llama-server in router mode, with one model at a time and otherwise as it is by default."""

    name = ROUTER

    def __init__(self, setup: Setup, binary: str, models: dict[str, Path]) -> None:
        super().__init__(setup)
        self._binary = binary
        self._models = models

    def command(self, port: int) -> list[str]:
        """Its flags, which it hands on to the server of each model."""
        s = self.setup
        preset = s.folder / "models.ini"
        preset.write_text("".join(f"[{name}]\nmodel = {file}\n" for name, file in self._models.items()))
        flags = {
            "--models-preset": preset,
            "--models-max": 1,
            "-t": s.n_threads,
            "-tb": s.n_threads,
            "-c": s.n_ctx,
            "-np": s.n_parallel,
            "--host": "127.0.0.1",
            "--port": port,
        }
        pairs = [str(word) for pair in flags.items() for word in pair]
        return [self._binary, *pairs, "-kvu", "--no-webui", "--offline"]

    async def warm_up(self) -> None:
        """Ask every model once, so that all files are in memory."""
        for name in self._models:
            self.model = name
            await super().warm_up()

    async def ask(self, model: str, work: Work) -> Answer:
        """See `Changing.ask`."""
        self.model = model
        return checked(await self.answer([work]))[0]


class Limit(Contestant):
    """A spare process for each job; the next one gets ready before anybody else has its turn."""

    name = LIMIT

    def __init__(self, setup: Setup, models: dict[str, Path]) -> None:
        super().__init__(setup)
        self._models = models

    async def start(self) -> None:
        """Bring the files into memory, and a process to the point where only the model is missing."""
        for file in self._models.values():
            await asyncio.to_thread(warm, file)
        await self._spare()

    async def answer(self, works: list[Work]) -> list[Answer]:
        """Answer with the first model, one after the other."""
        return [await self.ask(next(iter(self._models)), work) for work in works]

    async def ask(self, model: str, work: Work) -> Answer:
        """See `Changing.ask`; the clock runs inside of the process."""
        s = self.setup
        job = {"path": str(self._models[model]), "prompt": chatml(work.messages), "n_ctx": s.n_ctx}
        line = await self._exchange({**job, "n_threads": s.n_threads, "n_seqs": s.n_parallel})
        await self.stop()
        await self._spare()
        fields: dict[str, Any] = json.loads(line)
        fields.pop("open_s")
        return Answer(**fields, counted=True)

    async def _exchange(self, job: dict[str, Any]) -> bytes:
        child = self._up()
        assert child.process.stdin is not None
        child.process.stdin.write(json.dumps(job).encode() + b"\n")
        return await self._line(child)

    async def _spare(self) -> None:
        command = [sys.executable, "-m", "benchmarks.swap.limit"]
        env = {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ}  # as our own worker has it
        self.child = await start(command, self.log, cwd=ROOT, env=env, pipes=True)
        await self._line(self.child)

    async def _line(self, child: Child) -> bytes:
        assert child.process.stdout is not None
        async with asyncio.timeout(READY_LIMIT_S):
            line = await child.process.stdout.readline()
        if not line:
            raise StartFailed(f"the process of the limit ended: {child.last_words()}")
        return line

    def _up(self) -> Child:
        if self.child is None:
            raise StartFailed("the process of the limit is not up")
        return self.child


async def until_quiet(contestant: Contestant) -> None:
    """Wait until a contestant is done with what it does after an answer: saving, staging, getting a spare ready.

    People pause between requests, and what is done in the pause costs them nothing.
    """
    quiet, until = 0, time.monotonic() + QUIET_LIMIT_S
    before = contestant.used_cpu_s()
    while quiet < QUIET_LOOKS and time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        now = contestant.used_cpu_s()
        # A process that has ended takes its time with it.
        quiet = quiet + 1 if 0 <= now - before <= QUIET_S else 0
        before = now
