"""Debian's `docker-registry`, run as it is, and models pushed to it as a client pushes them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(__file__).parents[1] / ".cache" / "docker-registry"
START_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0
APT_LIMIT_S = 180.0
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.ollama.image."


def registry_program() -> str:
    """The registry's program: the installed one, else unpacked from its Debian package without any rights."""
    program = CACHE / "usr" / "bin" / "docker-registry"
    found = shutil.which("docker-registry")
    if found:
        return found
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / ".lock"):  # tests run in several processes
        if not program.is_file() and not _unpack() and not _unpack(*_own_lists()):
            pytest.fail("docker-registry is missing, and apt cannot bring it: sudo apt install docker-registry")
    return str(program)


def _own_lists() -> list[str]:
    """Let apt read the package lists anew, into folders of ours."""
    for folder in ("lists/partial", "archives/partial"):
        (CACHE / "apt" / folder).mkdir(parents=True, exist_ok=True)
    folders = {"Dir::State::lists": "lists", "Dir::Cache": ".", "Dir::Cache::archives": "archives"}
    options = [f"-o{key}={CACHE / 'apt' / value}" for key, value in folders.items()] + ["-oAPT::Sandbox::User="]
    _apt("update", *options)
    return options


def _unpack(*options: str) -> bool:
    if not _apt("download", *options, "docker-registry"):
        return False
    packages = sorted(CACHE.glob("docker-registry_*.deb"))
    return bool(packages) and subprocess.run(["dpkg", "-x", packages[-1], CACHE], check=False).returncode == 0


def _apt(command: str, *arguments: str) -> bool:
    done = subprocess.run(
        ["apt-get", "-qq", command, *arguments], cwd=CACHE, capture_output=True, timeout=APT_LIMIT_S, check=False
    )
    return done.returncode == 0


@dataclass
class OciRegistry:
    """A running registry, and a way to fill it."""

    folder: Path
    port: int
    auth: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """As a reference names it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """As a client calls it."""
        return f"http://{self.host}"

    @contextmanager
    def running(self) -> Iterator[OciRegistry]:
        """Serve until the end of the block."""
        config = self.folder / "config.yml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        environ = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        with (self.folder / "registry.log").open("wb") as log:
            process = subprocess.Popen(
                [registry_program(), "serve", str(config)], env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait(process)
            yield self
        finally:
            process.terminate()
            process.wait(STOP_LIMIT_S)

    def push(self, name: str, layers: list[tuple[str, bytes]], *, tag: str = "latest", **headers: str) -> dict:
        """Push a model: each layer with its media type's last word. Returns the manifest."""
        config = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as client:
            rows = [self._push_blob(client, name, LAYER + kind, content) for kind, content in layers]
            first = self._push_blob(client, name, "application/vnd.docker.container.image.v1+json", config)
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": first, "layers": rows}
            answer = client.put(
                f"/v2/{name}/manifests/{tag}", content=json.dumps(manifest), headers={"Content-Type": MANIFEST}
            )
            answer.raise_for_status()
        return manifest

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob, for tests that damage it."""
        hexes = digest.removeprefix("sha256:")
        return self.folder / "data/docker/registry/v2/blobs/sha256" / hexes[:2] / hexes / "data"

    # --- inside ---

    def _push_blob(self, client: httpx.Client, name: str, media_type: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = client.post(f"/v2/{name}/blobs/uploads/").raise_for_status()
        where = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
        client.put(where, content=content, headers={"Content-Type": "application/octet-stream"}).raise_for_status()
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _config(self) -> dict[str, Any]:
        return {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host, "secret": "for tests"},
            **({"auth": self.auth} if self.auth else {}),
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        pytest.fail(f"docker-registry does not listen: {(self.folder / 'registry.log').read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
