"""The commands that explain the installation: `plugins`, `config`, `doctor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.markup import escape

from hoshikage.core.cli.start import Json, Port, assembly, server_url
from hoshikage.core.cli.tables import console, new_table, print_table
from hoshikage.core.kernel import load_plugins

if TYPE_CHECKING:
    from hoshikage.config.settings import Settings

STYLES = {
    "ok": "green",
    "active": "green",
    "warning": "yellow",
    "disabled": "yellow",
    "error": "red",
    "broken": "red",
}


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    cli.command("plugins")(plugins)
    cli.command("config")(config)
    cli.command("doctor")(doctor)


def plugins(
    json: Json = False,
    safe_mode: Annotated[bool, typer.Option("--safe-mode", help="Load the built-in plug-ins only.")] = False,
) -> None:
    """List the plug-ins: where each comes from, whether it runs, and why not."""
    here = assembly(safe_mode=safe_mode)
    here.manager.request_filters(here.settings)
    here.manager.observers(here.settings)
    rows = here.manager.rows()
    if json:
        shown = [
            {
                "name": r.name,
                "door": r.door,
                "origin": r.origin,
                "state": r.state,
                "reason": r.reason,
                "hooks": r.hooks,
            }
            for r in rows
        ]
        print(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("NAME", "DOOR", "ORIGIN", "STATE", "REASON")
    for r in rows:
        table.add_row(r.name, r.door, escape(r.origin), f"[{STYLES[r.state]}]{r.state}[/]", escape(r.reason))
    print_table(table)


def config(
    json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Only check; exit 1 on the first error.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", hidden=True)] = False,
) -> None:
    """Print every effective setting and where it came from."""
    manager, settings = load_plugins(os.environ)
    if markdown:
        from hoshikage.core.cli.settings_page import settings_page
        from hoshikage.core.settings import KERNEL_SECTIONS

        print(settings_page([*KERNEL_SECTIONS, *manager.setting_sections()]), end="")
        return
    if check:
        for warning in settings.warnings:
            print(f"warning: {warning}")
        print(f"ok: {len(settings.values)} settings")
        return
    _print_settings(settings, json=json)


def doctor(json: Json = False, port: Port = None) -> None:
    """Look at compiler, llama.cpp, CPU and GPU, RAM disk, disk space, ports, extras; say what to do about each."""
    from hoshikage.core.cli.checks import kernel_checks, run_checks

    here = assembly()
    checks = [*kernel_checks(here, server_url(here.settings, port)), *here.manager.checks(here.settings)]
    results = run_checks(checks)
    if json:
        rows = [{"name": r.name, "level": r.level, "found": r.found, "advice": r.advice} for r in results]
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    else:
        table = new_table("CHECK", "", "FOUND", "WHAT TO DO")
        for r in results:
            table.add_row(r.name, f"[{STYLES[r.level]}]{r.level}[/]", escape(r.found), escape(r.advice))
        print_table(table)
    if any(r.level == "error" for r in results):
        raise typer.Exit(1)


def _print_settings(settings: Settings, *, json: bool) -> None:
    if json:
        rows = [
            {
                "key": v.field.key,
                "value": orjson.loads(v.shown()) if not v.field.secret else v.shown(),
                "source": v.source,
            }
            for v in settings.values
        ]
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("KEY", "VALUE", "UNIT", "FROM")
    for v in settings.values:
        style = "" if v.source == "default" else "bold"
        table.add_row(v.field.key, escape(v.shown()), v.field.unit, escape(v.source), style=style)
    out = console()
    out.print(table)
    out.print(f"data directory: {escape(str(settings.data_dir))}")
    for warning in settings.warnings:
        out.print(f"[yellow]warning[/]: {escape(warning)}")
