"""An embedder's own process: started when it is first needed, one call after another, and gone with the server."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from hoshikage.core.discovery import module_of
from hoshikage.core.errors import EmbedderFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

P = ParamSpec("P")
T = TypeVar("T")

PR_SET_PDEATHSIG: Final = 1
NICE: Final = 5  # answers that people read go first


class CallFailed(Exception):
    """What went wrong in the process, as a text: another library's error may not survive the way back."""


class EmbedderProcess:
    """Runs functions in a process that loads a model once and keeps it in its module.

    Args:
        embedder: its name, for messages.
    """

    def __init__(self, embedder: str) -> None:
        self._embedder = embedder
        self._pool: ProcessPoolExecutor | None = None
        self._pid: Future[int] | None = None

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a module's function over there; arguments are numbers, texts, arrays and lists of them.

        Raises:
            EmbedderFailed: it raised something, or the process died.
        """
        call, pool = functools.partial(_guarded, _place_of(function), args, kwargs), self._started()
        try:
            return cast("T", await asyncio.get_running_loop().run_in_executor(pool, call))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise EmbedderFailed(f"the embedder {self._embedder!r} was closed") from None  # before this call began
        except CallFailed as error:
            raise EmbedderFailed(f"the embedder {self._embedder!r} failed: {error}") from error
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None  # the next one gets a new process
            raise EmbedderFailed(
                f"the process of the embedder {self._embedder!r} died; the next text starts another"
            ) from error

    async def close(self) -> None:
        """End the process, whatever it does: nothing that it computes outlasts it. Idempotent."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._pid is not None and self._pid.done() and self._pid.exception() is None:
            for child in multiprocessing.active_children():  # by its number alone, it could be another one by now
                if child.pid == self._pid.result():
                    child.kill()
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork would take the server's threads and sockets along
            self._pool = ProcessPoolExecutor(1, context, _begin, (os.getpid(),))
            self._pid = self._pool.submit(os.getpid)
        return self._pool


def _begin(parent: int) -> None:
    """End with the server, however that ends, and let others compute first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)
    os.nice(NICE)


def _place_of(function: Callable[..., object]) -> tuple[str, str, str]:
    """A function's module, that module's file, and its name there."""
    module = function.__module__
    return module, str(getattr(sys.modules[module], "__file__", "")), function.__qualname__


def _function_at(module: str, file: str, name: str) -> Callable[..., Any]:
    """The function, here; a plug-in that is a single file is on no path, so its file is read."""
    if module not in sys.modules and importlib.util.find_spec(module) is None:
        module_of(module, Path(file))
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _guarded(place: tuple[str, str, str], args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
    """Make every error one that can be sent back."""
    try:
        return _function_at(*place)(*args, **kwargs)
    except Exception as error:
        raise CallFailed(" ".join(f"{type(error).__name__}: {error}".split())) from None
