"""The commands that serve, or talk to a server: `serve`, `run`, `ps`, `healthcheck`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import orjson
import typer

from hoshikage.core.cli.sizes import size
from hoshikage.core.cli.start import Json, Port, assembly, server_url
from hoshikage.core.cli.tables import new_table, print_table
from hoshikage.core.errors import HoshikageError
from hoshikage.core.recall import model_by_name
from hoshikage.core.settings import ServerSettings

PROBE_LIMIT_S = 5.0


class ServerDown(HoshikageError):
    """No server answers at the address of the settings."""

    code = "server_down"


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    cli.command("serve")(serve)
    cli.command("run")(run)
    cli.command("ps")(ps)
    cli.command("healthcheck", hidden=True)(healthcheck)


def serve(
    host: Annotated[str | None, typer.Option(help="The address to bind; default: server.host.")] = None,
    port: Port = None,
    safe_mode: Annotated[bool, typer.Option("--safe-mode", help="Load the built-in plug-ins only.")] = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    from hoshikage.core.server import run_server

    here = assembly(safe_mode=safe_mode, for_server=True)
    settings = here.settings.section(ServerSettings)
    run_server(here, host=host or settings.host, port=settings.port if port is None else port)


def run(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    prompt: Annotated[str | None, typer.Argument(help="What to ask; without it, a conversation.")] = None,
    port: Port = None,
) -> None:
    """Ask a model: through the running server, or without one by loading the model here."""
    from hoshikage.core.cli.conversation import Conversation

    here = assembly()
    model_by_name(name, here.catalog.model)
    url = server_url(here.settings, port)
    with Conversation.open(here, name, url=url if is_up(url) else None) as conversation:
        if prompt is None and not sys.stdin.isatty():
            prompt = sys.stdin.read()
        if prompt is not None:
            conversation.ask(prompt)
        else:
            conversation.talk()


def ps(port: Port = None, json: Json = False) -> None:
    """Show what the running server has loaded."""
    url = server_url(assembly().settings, port)
    status = _get(f"{url}/v1/status")
    if json:
        print(orjson.dumps(status, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("NAME", "STATE", "ENGINE", "SIZE", "CONTEXT", "RUNNING", "SINCE", "UNTIL", "PID")
    for m in status["loaded"]:
        until = m["expires_at"] or ("in use" if m["running"] else "for ever")
        numbers = (size(m["size_bytes"]), str(m["context_length"]), str(m["running"]))
        table.add_row(m["name"], m["state"], m["engine"], *numbers, m["since"], until, str(m["pid"] or ""))
    print_table(table)
    print_staged(status)


def print_staged(status: dict[str, Any]) -> None:
    """The RAM disk, below what is loaded."""
    space = status["ramdisk"]
    if space is None:
        return
    if not space["available"]:
        print(f"no RAM disk: {space['reason']}")
        return
    table = new_table("ON THE RAM DISK", "SIZE", "STATE", "PINNED", "LAST USED")
    for c in status["staged"]:
        done = "" if c["state"] == "ready" else f" {100 * c['done_bytes'] // max(c['size_bytes'], 1)} %"
        table.add_row(c["file"], size(c["size_bytes"]), c["state"] + done, "yes" if c["pinned"] else "", c["last_used"])
    print_table(table)
    print(f"{size(space['used_bytes']) or 'nothing'} of {size(space['limit_bytes'])} used in {space['path']}")


def healthcheck(port: Port = None) -> None:
    """Exit with 0 if the server answers, for containers."""
    _get(f"{server_url(assembly().settings, port)}/health")


def is_up(url: str) -> bool:
    """Whether a server answers there."""
    import httpx  # only what talks to a server takes the time to load it

    try:
        return httpx.get(f"{url}/health", timeout=PROBE_LIMIT_S, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _get(url: str) -> Any:
    import httpx

    try:
        response = httpx.get(url, timeout=PROBE_LIMIT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise ServerDown(f"no server answers at {url} ({error}); start one with `hoshikage serve`") from error
    if response.status_code != 200:
        raise ServerDown(f"{url} answered with status {response.status_code}")
    return response.json()
