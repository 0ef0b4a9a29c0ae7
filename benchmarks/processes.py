"""Child processes: started with a log of their own, watched, counted, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.client import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_LIMIT_S = 60.0
STOP_LIMIT_S = 8.0
DEATH_LIMIT_S = 5.0
LOOK_S = 0.01
PR_SET_PDEATHSIG = 1
TICKS = os.sysconf("SC_CLK_TCK")


class StartFailed(Exception):
    """A contestant did not come up, with the end of its log."""


@dataclass(slots=True)
class Child:
    """A child process, and the log that it writes."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def tree(self) -> list[int]:
        """Its process id and those of its descendants."""
        return [self.process.pid, *descendants(self.process.pid)]

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-1500:] if self.log.is_file() else ""

    async def stop(self) -> None:
        """End it and all of its descendants: kindly, then not."""
        tree = self.tree
        if self.process.returncode is None:
            self.process.terminate()
            # Not `wait`: that would also wait for those who have inherited its pipes.
            await _until_gone([self.process.pid], STOP_LIMIT_S)
        for pid in tree:
            if is_alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await self.process.wait()
        # The kernel takes a moment; who starts next must not meet them.
        await _until_gone(tree, DEATH_LIMIT_S)


async def _until_gone(pids: Sequence[int], limit_s: float) -> None:
    for _ in range(round(limit_s / LOOK_S)):
        if not any(map(is_alive, pids)):
            return
        await asyncio.sleep(LOOK_S)


async def start(
    command: Sequence[str],
    log: Path,
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    pipes: bool = False,
) -> Child:
    """Start a process whose output goes to `log`; with `pipes`, its standard input and output are ours.

    Raises:
        StartFailed: the command cannot be run.
    """
    with log.open("ab") as file:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=env,
                cwd=cwd,
                stdin=asyncio.subprocess.PIPE if pipes else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipes else file,
                stderr=file,
                limit=1 << 26,
                start_new_session=True,  # a Ctrl-C is ours to handle
                preexec_fn=_die_with_parent(),
            )
        except OSError as error:
            raise StartFailed(f"{command[0]}: {error.strerror}") from error
    return Child(process, log)


def _die_with_parent() -> Callable[[], Any] | None:
    """Have the kernel end the child when we are killed ourselves."""
    with contextlib.suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None).prctl
        return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    return None


async def wait_until_up(child: Child, url: str, *, limit_s: float = START_LIMIT_S) -> None:
    """Ask `url` until it answers 200.

    Raises:
        StartFailed: the process ended, or the time is over.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while child.process.returncode is None:
                with contextlib.suppress(OSError, TimeoutError):
                    if (await fetch(url, limit_s=5.0))[0] == 200:
                        return
                await asyncio.sleep(0.05)
    raise StartFailed(f"{url} did not answer: {child.last_words()}")


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        found += (mine := children.get(queue.pop(), []))
        queue += mine
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of processor time that these processes have used."""
    return sum((int(f[11]) + int(f[12])) / TICKS for f in map(_stat, pids) if f)


def rss_bytes(pid: int) -> int:
    """Memory of a process that is in RAM; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def n_open_files(pid: int) -> int:
    """Open file handles of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
