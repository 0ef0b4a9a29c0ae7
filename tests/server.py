"""A real server in a process of its own, for tests that talk to it over a real socket."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """An environment in which no setting of this machine is in force but those given here."""
    # Without cached bytecode every command would compile the whole package again.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HOSHIKAGE_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {
        **clean,
        "HOME": str(data_dir),
        "HOSHIKAGE_PROJECT_DIR": str(data_dir),
        "HOSHIKAGE_DATA_DIR": str(data_dir),
        "HOSHIKAGE_LOG__FORMAT": "json",
        # Both are for the whole machine, and tests run side by side; those that are about them switch them on.
        "HOSHIKAGE_RAMDISK__ENABLED": "false",
        "HOSHIKAGE_LLAMACPP__SPARE_WORKERS": "0",
        # Several threads wait for each other at every layer: beside another busy test they take ten times as long.
        "HOSHIKAGE_LLAMACPP__N_THREADS": "1",
        **variables,
    }


@dataclass
class ServerProcess:
    """`hoshikage serve` on a free port; its log lines are kept."""

    data_dir: Path
    variables: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = (sys.executable, "-m", "hoshikage")
    url: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.process = subprocess.Popen(
            [*self.command, "serve", "--port", "0"],
            env=environment(self.data_dir, **self.variables),
            cwd=self.data_dir,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = str(self.wait_for("server_ready", START_LIMIT_S)["url"])

    def wait_for(self, event: str, limit_s: float = 10.0, **fields: Any) -> dict[str, Any]:
        """Wait for the next log line of this event with these fields."""
        deadline = time.monotonic() + limit_s
        while True:
            line = self._queue.get(timeout=max(deadline - time.monotonic(), 0.01))
            if line is None:
                raise AssertionError(f"the server ended before {event}: {self.lines[-5:]}")
            if line.get("event") == event and all(line.get(k) == v for k, v in fields.items()):
                return line

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the server and wait for its end. Returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(STOP_LIMIT_S)
        self._reader.join(STOP_LIMIT_S)
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                line = {"event": "text", "text": text}
            self.lines.append(line)
            self._queue.put(line)
        self.process.stderr.close()
        self._queue.put(None)
