"""The commands that ask about, and move, models between disk, RAM disk and memory, through the running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from hoshikage.core.cli.models import Name
from hoshikage.core.cli.server_calls import ask_server
from hoshikage.core.cli.serving import ServerDown
from hoshikage.core.cli.sizes import size
from hoshikage.core.cli.start import Json, Port, assembly
from hoshikage.core.cli.tables import new_table, print_table

if TYPE_CHECKING:
    from hoshikage.core.kernel import Assembly


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    for command in (plan, stage, unstage, load, unload, pin, unpin):
        cli.command(command.__name__)(command)


def plan(
    name: Name,
    num_ctx: Annotated[int, typer.Option(help="Tokens for each request; 0: as the settings say.")] = 0,
    parallel: Annotated[int, typer.Option(help="Requests at once.")] = 1,
    port: Port = None,
    json: Json = False,
) -> None:
    """Say whether a model fits, what it takes, who would leave, and how long it takes. Nothing is done."""
    found = _post("plan", {"model": name, "num_ctx": num_ctx, "parallel": parallel}, port)
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("", "", header=False)
    for key, value in _plan_rows(found):
        table.add_row(key, value)
    print_table(table)
    for sentence in found["advice"]:
        print(f"- {sentence}")


def stage(name: Name, port: Port = None) -> None:
    """Copy a model to the RAM disk."""
    _post("stage", {"model": name}, port)
    print(f"{name} is on the RAM disk")


def unstage(name: Name, port: Port = None) -> None:
    """Give up a model's copy on the RAM disk."""
    gone = _post("unstage", {"model": name}, port)["gone"]
    print(f"{name} has left the RAM disk" if gone else f"{name} has no copy that could go: it has none, or is loaded")


def load(
    name: Name,
    num_ctx: Annotated[int, typer.Option(help="Tokens that the context must hold at least.")] = 0,
    keep_alive: Annotated[str, typer.Option(help="How long it stays when idle, e.g. 1h; -1 is for ever.")] = "",
    port: Port = None,
) -> None:
    """Load a model without asking it anything."""
    _post("load", {"model": name, "num_ctx": num_ctx, "keep_alive": keep_alive or None}, port)
    print(f"{name} is loaded")


def unload(name: Name, port: Port = None) -> None:
    """Let a model go once its running requests have ended."""
    _post("unload", {"model": name}, port)
    print(f"{name} goes as soon as it is idle")


def pin(name: Name, port: Port = None) -> None:
    """Keep a model where it is: others do not push it out, and being idle does not either."""
    _set_pin(name, port, pinned=True)
    print(f"{name} is pinned")


def unpin(name: Name, port: Port = None) -> None:
    """Let a model leave like any other again."""
    _set_pin(name, port, pinned=False)
    print(f"{name} is not pinned any more")


def _set_pin(name: str, port: int | None, *, pinned: bool) -> None:
    """Through the server, or without one in its file."""
    from hoshikage.core.pins import Pins

    here = assembly()
    record = here.catalog.model(name)
    try:
        _post("pin" if pinned else "unpin", {"model": name}, port, here)
    except ServerDown:
        Pins(here.settings.data_dir / "pins.json").set(record.name, pinned=pinned)


def _plan_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    need = found["need"]
    free = found["free_ram_bytes"]
    return [
        ("fits", "yes" if found["fits"] else "no"),
        ("now", {"loaded": "loaded", "staged": "on the RAM disk", "disk": "on disk"}[found["tier"]]),
        ("weights", size(need["weights_bytes"])),
        ("context", f"{size(need['context_bytes'])} ({found['context_length'] or 'as the settings say'})"),
        ("besides", size(need["other_bytes"])),
        ("on GPUs", size(need["vram_bytes"]) or "nothing"),
        ("free memory", size(free) if free is not None else "without bound"),
        ("would leave", ", ".join(found["evicts"]) or "nobody"),
        ("would wait for", ", ".join(found["waits_for"]) or "nobody"),
        ("expected", f"{found['expected_s']:.1f} s"),
    ]


def _post(action: str, body: dict[str, Any], port: int | None, here: Assembly | None = None) -> Any:
    """Ask the server; see `ask_server`."""
    return ask_server("POST", f"/v1/{action}", port, here=here, json=body).json()
