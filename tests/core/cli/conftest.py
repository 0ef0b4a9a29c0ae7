"""Running the real command line in a process of its own, over a data directory of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import pytest

from tests.server import environment

LIMIT_S = 60


@dataclass
class CommandLine:
    """`hoshikage` with a data directory and variables."""

    data_dir: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hoshikage", *arguments],
            env=environment(self.data_dir, **{**self.variables, **variables}),
            cwd=self.data_dir,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def json(self, *arguments: str, **variables: str) -> Any:
        """The JSON that a command prints."""
        done = self(*arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def hoshikage(tmp_path: Path) -> CommandLine:
    """The command line over an empty data directory."""
    folder = tmp_path / "data"
    folder.mkdir()
    return CommandLine(folder)


@pytest.fixture
def small_gguf(tmp_path: Path) -> Path:
    """A valid GGUF without weights to speak of."""
    import numpy

    file = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("small")
    writer.add_context_length(128)
    writer.add_tensor("token_embd.weight", numpy.zeros((4, 32), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
