"""Entry of the worker process: `python -m …worker FD PARENT_PID`; FD is its end of the socket pair."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve one model until the server says stop or goes away."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    # Ctrl-C in the terminal reaches the whole group; only the server decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from hoshikage.plugins.engine_llamacpp.worker.serving import serve

    with socket.socket(fileno=descriptor) as connection:
        return serve(connection)


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when the server dies, even in the middle of a long load."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the server ended before the worker began")


if __name__ == "__main__":
    sys.exit(main())
