"""The life of the worker: load what the first frame says, run the loop, and leave nothing unsent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import llama_cpp

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.connection import Connection
from hoshikage.plugins.engine_llamacpp.worker.loop import Loop
from hoshikage.plugins.engine_llamacpp.worker.native import LoadError, NativeLog
from hoshikage.plugins.engine_llamacpp.worker.template import TemplateRefused

if TYPE_CHECKING:
    import socket

    from hoshikage.plugins.engine_llamacpp.worker.warm_memory import WarmMemory


def serve(socket: socket.socket, memory: WarmMemory) -> int:
    """Load what the first frame says, and answer until the server stops or goes away.

    Args:
        socket: the worker's end of the pair.
        memory: what was touched beforehand, for the load.

    Returns:
        The exit status of the process.
    """
    connection = Connection(socket)
    # Everything that takes long is imported and begun by now: a spare worker waits here for its model.
    llama_cpp.llama_backend_init()
    try:
        return _serve(connection, memory)
    finally:
        connection.close()


def _serve(connection: Connection, memory: WarmMemory) -> int:
    first = connection.receive(wait=True)
    if not first or not isinstance(first[0], frames.Init):
        return 1
    init = first[0]
    os.nice(init.nice)
    log = NativeLog(lambda level, text: connection.send(frames.Log(_log_level(level), text)))
    try:
        loop = Loop(init, connection, log)
    except (LoadError, TemplateRefused) as error:
        connection.send(frames.Failed(str(error)))
        return 1
    memory.settle()
    loop.run(first[1:])
    return 0


def _log_level(level: str) -> frames.LogLevel:
    return "error" if level == "error" else "warning"
