"""A wall clock that jumps a day, either way: what is measured is not the clock's business."""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.server import ServerProcess
from tests.wire import chat, sse_events, until

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 86_400.0
IDLE_S = 4.0
LIMIT_S = 20.0
SCRIPT = Path(__file__).parents[1] / "clock_server.py"
DURATIONS = ("queue_s", "load_s", "prefill_s", "decode_s", "total_s")


class TurnedServer:
    """A server whose clock can be turned."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._offset = folder / "offset"
        self.turn(0)
        variables = {"TEST_CLOCK_FILE": str(self._offset), **variables}
        self.server = ServerProcess(folder, variables, command=(sys.executable, str(SCRIPT)))

    def turn(self, seconds: float) -> None:
        """Set the clock to so much off the true time."""
        new = self._offset.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._offset)

    def now(self) -> float:
        """What the server's clock says."""
        return time.time() + float(self._offset.read_text())

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.server.url}{path}").json()

    def loaded(self) -> list[str]:
        return [m["name"] for m in self.get("/api/ps")["models"]]

    def left_s(self) -> float:
        """How long the only loaded model may idle yet, by what the server says of it."""
        (model,) = self.get("/api/ps")["models"]
        return datetime.datetime.fromisoformat(model["expires_at"]).timestamp() - self.now()

    def ask(self) -> dict[str, Any]:
        body = {"model": "echo", "messages": [{"role": "user", "content": "one two"}], "stream": False}
        return httpx.post(f"{self.server.url}/api/chat", json=body, timeout=LIMIT_S).json()


@pytest.fixture
def turned(tmp_path: Path) -> Iterator[TurnedServer]:
    """A server that lets an idle model go after a few seconds."""
    server = TurnedServer(
        tmp_path, HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S=str(IDLE_S), HOSHIKAGE_ECHO__TOKENS_PER_SECOND="20"
    )
    yield server
    server.server.stop()


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_idle_model_goes_when_its_time_has_come(turned: TurnedServer, jump: float):
    """A jump neither unloads an idle model early nor keeps it; what is said of its end follows the new clock."""
    turned.ask()
    asked = time.monotonic()
    turned.turn(jump)
    left = turned.left_s()
    until(lambda: turned.loaded() == [], IDLE_S + LIMIT_S)
    idle = time.monotonic() - asked

    assert 0 < left <= IDLE_S
    assert IDLE_S * 0.9 < idle < IDLE_S + LIMIT_S / 2


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_no_duration_is_negative_or_a_day(turned: TurnedServer, jump: float):
    """Whatever the server measures while the clock jumps lies between nothing and the time that really passed."""
    began = time.monotonic()
    with httpx.stream(
        "POST", f"{turned.server.url}/v1/chat/completions", json=chat("1 2 3 4 5 6", stream=True), timeout=LIMIT_S
    ) as response:
        events = sse_events(response)
        next(events)
        turned.turn(jump)
        list(events)
    answer = turned.ask()
    status = turned.get("/v1/status")
    receipts = [turned.server.wait_for("request_done"), turned.server.wait_for("request_done")]
    passed = time.monotonic() - began

    measured = [r[name] for r in receipts for name in DURATIONS]
    measured += [answer[name] / 1e9 for name in answer if name.endswith("_duration")]
    assert len(measured) >= 2 * len(DURATIONS) + 4
    assert all(0 <= seconds <= passed for seconds in measured)
    assert 0 <= status["uptime_s"] <= passed + LIMIT_S
    assert ["done", "done"] == [r["outcome"] for r in receipts]
