"""The servers among the contestants, each with the flags that make it equal to the others."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.client import fetch
from benchmarks.contestants import MODEL_NAME, HttpContestant
from benchmarks.processes import StartFailed

if TYPE_CHECKING:
    from benchmarks.contestants import Setup

OK = 200


class Hoshikage(HttpContestant):
    """Our own server: `hoshikage serve` in a project folder of its own."""

    name = "hoshikage"

    def __init__(self, setup: Setup, *, variants: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__(setup)
        self._variants = variants or {MODEL_NAME: {}}

    def command(self, port: int) -> list[str]:
        """Serve the models of a model map that is written here."""
        s = self.setup
        common = {"n_ctx": s.n_ctx, "n_threads": s.n_threads, "max_num_seqs": s.n_parallel, "n_batch": s.n_batch}
        entry = {"path": str(s.model.parent), "model": s.model.name, "stop": []}
        models = {name: {**entry, "options": {**common, **options}} for name, options in self._variants.items()}
        (s.folder / "model_map.json").write_text(json.dumps(models))
        return [sys.executable, "-m", "hoshikage", "serve", "--port", str(port)]

    def environment(self) -> dict[str, str]:
        """Only the settings given here are in force."""
        folder = str(self.setup.folder)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HOSHIKAGE_")}
        return {
            **clean,
            "HOME": folder,
            "HOSHIKAGE_PROJECT_DIR": folder,
            "HOSHIKAGE_DATA_DIR": folder,
            "HOSHIKAGE_LOG__FORMAT": "json",
            "HOSHIKAGE_ADMISSION__MAX_RUNNING": str(max(64, self.setup.n_parallel * 2)),
            "HOSHIKAGE_RESIDENCY__MAX_LOADED": str(len(self._variants)),
            "HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S": "0",
        }

    async def warm_up(self) -> None:
        """Load every variant."""
        for name in self._variants:
            self.model = name
            await super().warm_up()
        self.model = next(iter(self._variants))

    async def forget(self) -> None:
        """Unload the models, and their KV caches with them; that is sooner done than a new start."""
        for name in self._variants:
            status, content = await fetch(f"{self.url}/api/generate", {"model": name, "keep_alive": 0})
            if status != OK:
                raise StartFailed(f"{self.name} does not unload {name}: {content[:200]!r}")
        await self.warm_up()

    async def status(self) -> dict[str, Any]:
        """What `/v1/status` says of the loaded model in use."""
        _, content = await fetch(f"{self.url}/v1/status")
        loaded: list[dict[str, Any]] = json.loads(content)["loaded"]
        return next((row for row in loaded if row["name"].split(":")[0] == self.model), {})


class LlamaServer(HttpContestant):
    """llama.cpp's own server, with as many slots as there are streams and one KV cache for all."""

    name = "llama-server"

    def __init__(self, setup: Setup, binary: str, *, embedding: bool = False) -> None:
        super().__init__(setup)
        self._binary = binary
        self._embedding = embedding

    def command(self, port: int) -> list[str]:
        """Its flags. Prompts of ended requests stay in their slots, but are not copied aside, which costs time."""
        s = self.setup
        flags = {
            "-m": s.model,
            "-t": s.n_threads,
            "-tb": s.n_threads,
            "-c": s.n_ctx,
            "-np": s.n_parallel,
            "--host": "127.0.0.1",
            "--port": port,
            "--cache-ram": 0,
        }
        pairs = [str(word) for pair in flags.items() for word in pair]
        switches = ["-kvu", "--no-webui", "--offline", "--log-disable"]
        return [self._binary, *pairs, *switches, *(["--embedding", "--pooling", "mean"] if self._embedding else [])]

    async def warm_up(self) -> None:
        """A server for embeddings answers no chats."""
        if not self._embedding:
            await super().warm_up()


class PackagedServer(HttpContestant):
    """The server in the package llama-cpp-python: one request at a time."""

    name = "llama-cpp-python-server"
    health = "/v1/models"

    def __init__(self, setup: Setup, python: str) -> None:
        super().__init__(setup)
        self._python = python

    def command(self, port: int) -> list[str]:
        """Its flags. Without `logits_all` it is faster."""
        s = self.setup
        flags = {
            "--model": s.model,
            "--n_ctx": s.n_ctx,
            "--n_threads": s.n_threads,
            "--n_threads_batch": s.n_threads,
            "--n_batch": s.n_batch,
            "--logits_all": False,
            "--host": "127.0.0.1",
            "--port": port,
            "--interrupt_requests": False,
        }
        return [self._python, "-m", "llama_cpp.server", *[str(word) for pair in flags.items() for word in pair]]


class ExampleServer(HttpContestant):
    """The batching server among llama-cpp-python's examples."""

    name = "llama-cpp-python-example"
    health = "/v1/models"

    def __init__(self, setup: Setup, python: str, script: str) -> None:
        super().__init__(setup)
        self._python = python
        self._script = script

    def command(self, port: int) -> list[str]:
        """Its configuration is a file."""
        s = self.setup
        config = {
            "server": {"host": "127.0.0.1", "port": port},
            "model": {
                "path": str(s.model),
                "alias": MODEL_NAME,
                "n_ctx": s.n_ctx,
                "n_seq_max": s.n_parallel,
                "n_batch": s.n_batch,
                "n_ubatch": s.n_batch,
                "threads": s.n_threads,
                "threads_batch": s.n_threads,
                "kv_unified": True,
                "store_logits": False,
            },
        }
        file = s.folder / "example-server.json"
        file.write_text(json.dumps(config))
        return [self._python, self._script, "-C", str(file)]
