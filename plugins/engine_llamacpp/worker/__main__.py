"""Entry of the worker process: `python -m …worker FD PARENT_PID [patient]`; FD is its end of the socket pair."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import signal
import socket
import sys
import threading

from hoshikage.plugins.engine_llamacpp.worker.warm_memory import WarmMemory

PR_SET_PDEATHSIG = 1
PATIENT_NICE = 19


def main() -> int:
    """Serve one model until the server says stop or goes away."""
    atexit.register(gc.freeze)  # nothing is left to collect at the end, and who waits for the memory waits for the end
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    # Ctrl-C in the terminal reaches the whole group; only the server decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    memory = WarmMemory()
    if len(sys.argv) > 3:
        _get_ready_patiently(memory)
    from hoshikage.plugins.engine_llamacpp.worker.serving import serve

    with socket.socket(fileno=descriptor) as connection:
        return serve(connection, memory)


def _get_ready_patiently(memory: WarmMemory) -> None:
    """Import everything and touch memory in a thread that yields to all others; on Linux each has its own priority.

    The process itself keeps its priority for the model that it gets: once lowered, it could not be raised again.
    """

    def load() -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PATIENT_NICE)
        importlib.import_module("hoshikage.plugins.engine_llamacpp.worker.serving")
        memory.touch()

    memory.reserve()  # not in the thread: that would have a heap of its own
    thread = threading.Thread(target=load, name="getting ready")
    thread.start()
    thread.join()
    memory.release()


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when the server dies, even in the middle of a long load."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the server ended before the worker began")


if __name__ == "__main__":
    sys.exit(main())
