"""Serving HTTP: one Hypercorn in our own process, and a drain of our own at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import structlog
from hypercorn.asyncio import serve as serve_http
from hypercorn.config import Config

from hoshikage.core.app import build_app
from hoshikage.core.errors import ConfigError, PortInUse
from hoshikage.core.http.callers import is_local
from hoshikage.core.http.stream import streams_of
from hoshikage.core.kernel import Kernel
from hoshikage.core.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quart import Quart

    from hoshikage.core.kernel import Assembly

log = structlog.get_logger(__name__)

BACKLOG = 1024
ABORT_LIMIT_S = 1.0
STOP_LIMIT_S = 15.0


def run_server(assembly: Assembly, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends at once.

    Raises:
        PortInUse: another process listens there.
        ConfigError: the address is not one of this machine.
        RegistryError, PluginError: see `Kernel.start` and `build_app`.
    """
    listener = bind(host, port)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        clean = runner.run(_serve(assembly, listener, host))
    if not clean:
        # A client that does not read can hold a connection's task for ever; nothing of ours is left to save.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything else is started, so that a second server says so in one line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use by another process; stop it, or choose another port with --port"
            ) from error
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}", param="server.host") from error
    listener.setblocking(False)
    return listener


async def _serve(assembly: Assembly, listener: socket.socket, host: str) -> bool:
    """Serve and drain. Returns whether every task has ended."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _on_signal, stop)
    kernel = Kernel(assembly)
    app = build_app(kernel, bound_to=host)
    await kernel.start()
    port = listener.getsockname()[1]
    _announce(host, port)
    http = asyncio.create_task(_http(app, listener, stop.wait), name="http")
    asked = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({http, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    await kernel.end_pulls()
    clean = await _drain(app, http, kernel.settings.section(ServerSettings).drain_s)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(kernel.stop(), STOP_LIMIT_S)
    log.info("server_stopped")
    return clean


def _announce(host: str, port: int) -> None:
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104  only compared
    log.info("server_ready", url=f"http://{shown}:{port}")
    if not is_local(host):
        log.warning("server_is_open", host=host, advice="there are no keys yet: everybody who reaches it may use it")


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)
    stop.set()


async def _http(app: Quart, listener: socket.socket, until: Callable[[], Awaitable[bool]]) -> None:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "ERROR"
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.read_timeout = None  # it would cut streams, which only we know to be alive
    config.graceful_timeout = 3600  # the drain below decides, on every Python version alike
    await serve_http(app, config, shutdown_trigger=until)


async def _drain(app: Quart, http: asyncio.Task[None], drain_s: float) -> bool:
    """Let running answers end; after the limit tell their clients, and after one more second leave."""
    log.info("server_draining", answers=len(streams_of(app)), limit_s=drain_s)
    done, _ = await asyncio.wait({http}, timeout=drain_s)
    if not done:
        streams_of(app).abort_all()
        done, _ = await asyncio.wait({http}, timeout=ABORT_LIMIT_S)
    if not done:
        http.cancel()
        return False
    http.result()
    return True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop
