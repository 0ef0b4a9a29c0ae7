"""The folder under a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from tests.plugins.model_folder.conftest import WHOLE
from tests.wire import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server import ServerProcess


def test_server_offers_what_is_in_the_folder_now(start_server: Callable[..., ServerProcess], folder: Path):
    """Files that are there at the start, come, or go are in the lists of both protocols without a restart."""
    (folder / "first.gguf").write_bytes(WHOLE)
    server = start_server(MODEL_DIR=str(folder))

    def listed() -> set[str]:
        tags = httpx.get(f"{server.url}/api/tags").json()["models"]
        return {row["name"] for row in tags} - {"echo:latest"}

    at_the_start = listed()
    (folder / "half.gguf").write_bytes(WHOLE[:-40])
    (folder / "second.tmp").write_bytes(WHOLE)
    (folder / "second.tmp").rename(folder / "second.gguf")
    until(lambda: listed() == {"first:latest", "second:latest"})
    (folder / "first.gguf").unlink()
    until(lambda: listed() == {"second:latest"})
    status = httpx.get(f"{server.url}/v1/models/second").status_code

    assert {"first:latest"} == at_the_start
    assert (200, 0) == (status, server.stop())
