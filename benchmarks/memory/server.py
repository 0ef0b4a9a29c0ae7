"""Our own server with its memories: one with the echo engine that is killed, one with a real model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.client import fetch
from benchmarks.processes import cpu_s
from benchmarks.rows.base import MeasureFailed
from benchmarks.servers import Hoshikage

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contestants import Setup

ROUTE = "/v1/memories"
RECEIPTS = "/v1/receipts"
MODE = "X-Hoshikage-Memory"
REQUEST_ID = "X-Request-Id"
ECHO = "echo"
FILE = ("memory", "memories.sqlite3")
LOOK_S = 0.1
QUIET_LOOKS = 3
QUIET_LIMIT_S = 60.0


class Remembering(Hoshikage):
    """A server whose process can be killed, and whose memories outlive it.

    Args:
        setup: its folder is where the memories are.
        variables: further settings, as environment variables.
    """

    def __init__(self, setup: Setup, variables: dict[str, str] | None = None) -> None:
        super().__init__(setup)
        self._variables = variables or {}

    @property
    def file(self) -> Path:
        """The store of record."""
        return self.setup.folder.joinpath(*FILE)

    def environment(self) -> dict[str, str]:
        """Those of every contestant, and the further ones."""
        return {**super().environment(), **self._variables}

    async def call(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Ask a route that answers with JSON: the status, and what it says.

        Raises:
            OSError, TimeoutError: the server is gone, or says nothing.
        """
        status, content = await fetch(f"{self.url}{path}", body)
        try:
            return status, json.loads(content)
        except ValueError as error:  # it died in the middle of an answer
            raise OSError(f"{path} answered {content[:40]!r}") from error

    async def exported(self) -> list[dict[str, Any]]:
        """Every memory, the oldest first.

        Raises:
            MeasureFailed: they cannot be read.
        """
        status, content = await fetch(f"{self.url}{ROUTE}/export", limit_s=60.0)
        if status != 200:
            raise MeasureFailed(f"{ROUTE}/export answers {status}: {content[:200]!r}")
        return [json.loads(line) for line in content.splitlines()]

    async def quiet(self) -> None:
        """Wait until nothing is computed any more: what was said is written down and has its vectors.

        Raises:
            MeasureFailed: it goes on computing.
        """
        assert self.child is not None
        still, before = 0, -1.0
        for _ in range(int(QUIET_LIMIT_S / LOOK_S)):
            now = cpu_s(self.child.tree)
            still = still + 1 if now - before < LOOK_S / 5 else 0
            if still >= QUIET_LOOKS:
                return
            before = now
            await asyncio.sleep(LOOK_S)
        raise MeasureFailed(f"the server still computes after {QUIET_LIMIT_S:g} s")


class Killable(Remembering):
    """The same with the echo engine alone, as no model is needed to remember."""

    def command(self, port: int) -> list[str]:
        """Serve what is there without a model map."""
        return [sys.executable, "-m", "hoshikage", "serve", "--port", str(port)]

    async def kill(self) -> None:
        """End it as the kernel's out-of-memory killer would."""
        assert self.child is not None
        server, *others = self.child.tree
        os.kill(server, signal.SIGKILL)
        await self.child.process.wait()
        for pid in others:  # they end by themselves, but whoever starts next must not meet them
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child = None
