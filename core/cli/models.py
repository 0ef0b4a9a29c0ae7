"""The commands that change and show the registry: `add`, `rm`, `list`, `show`. They need no server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import rich.markup
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hoshikage.core.cli import importing
from hoshikage.core.cli.sizes import size
from hoshikage.core.cli.start import Json, assembly, at_home
from hoshikage.core.cli.tables import new_table, print_table
from hoshikage.core.errors import InvalidRequest, ModelFileError
from hoshikage.core.names import check_name

if TYPE_CHECKING:
    from hoshikage.core.contracts import ModelFacts, ModelRecord
    from hoshikage.core.kernel import Assembly
    from hoshikage.core.registry import Registry

Name = Annotated[str, typer.Argument(help="The model's name.")]


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    cli.command("add")(add)
    cli.command("rm")(remove)
    cli.command("remove", hidden=True)(remove)
    cli.command("list")(list_models)
    cli.command("ls", hidden=True)(list_models)
    cli.command("show")(show)
    importing.add_commands(cli)


def add(
    path: Annotated[Path, typer.Argument(help="The GGUF file.")],
    name: Annotated[str, typer.Argument(help="The name that clients will use.")],
    stop: Annotated[
        list[str] | None, typer.Argument(help="Stop strings: one each, or one argument with commas.")
    ] = None,
    engine: Annotated[str, typer.Option(help="The engine that must load it.")] = "",
) -> None:
    """Register a model file under a name. A running server sees it at once."""
    from hoshikage.core.creation import check_model
    from hoshikage.core.gguf import read_header
    from hoshikage.core.kernel import sync_tags
    from hoshikage.core.registry import ModelEntry

    check_name(name)
    here = assembly()
    path = at_home(path)
    file = path.parent.resolve() / path.name  # the parts of a model find each other by their names, links or not
    header = read_header(file)
    if not engine:  # one that is named may take what ours do not
        check_model(header)
    entry = ModelEntry(path=str(file.parent), model=file.name, stop=split_stops(stop or []), engine=engine)
    here.registry.refuse_taken(name)
    _digest(here, file, header.file_size)
    here.registry.add(name, entry)
    asyncio.run(sync_tags(here))
    print(f"added {name}: {file} ({size(header.file_size)})")


def remove(name: Name) -> None:
    """Forget a name; a running server unloads the model.

    Its file stays where it is, unless it was pulled or sent by a client and no other model needs it.
    """
    from hoshikage.core.kernel import store_of

    here = assembly()
    record = here.catalog.model(name)
    there = bool(record.modified_at)
    asyncio.run(store_of(here).delete(name))
    print(f"removed {record.name}{_what_of(record.file, was_there=there)}")


def list_models(json: Json = False) -> None:
    """List every model: those that are registered, and those that plug-ins offer."""
    here = assembly()
    rows = [row(r, asyncio.run(here.catalog.facts_or_none(r))) for r in here.catalog.models()]
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("NAME", "PARAMETERS", "QUANTISATION", "CONTEXT", "SIZE", "FILE")
    for r in rows:
        file = r["file"] or f"(engine {r['engine']})"
        where = file if r["size_bytes"] or not r["file"] else f"{file} (missing)"
        context = str(r["context_length"] or "")
        table.add_row(r["name"], r["parameters"], r["quantization"], context, size(r["size_bytes"]), where)
    print_table(table)


def show(name: Name, json: Json = False) -> None:
    """Show what is known of one model."""
    here = assembly()
    record = here.catalog.model(name)
    facts = asyncio.run(here.catalog.facts(record))
    shown = {
        **row(record, facts),
        "digest": record.digest,
        "stop": list(record.stop),
        "options": dict(record.options),
        **said(record, here.registry),
        "embedding_length": facts.embedding_length,
        "has_chat_template": bool(facts.chat_template),
    }
    if json:
        print(orjson.dumps({**shown, "metadata": dict(facts.metadata)}, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("", "", header=False)
    for key, value in shown.items():
        text = orjson.dumps(value).decode() if isinstance(value, list | dict) else str(value)
        table.add_row(key, rich.markup.escape(text))
    print_table(table)


def said(record: ModelRecord, registry: Registry) -> dict[str, Any]:
    """What is written down of a model besides its file; what is not is left out."""
    entry = next((e for name, e in registry.entries().items() if name == record.name), None)
    shown = {
        "system": record.system,
        "sampling_parameters": dict(record.parameters),
        "messages": [{"role": m.role, "content": m.content} for m in record.messages],
        "template": record.template,
        "source": entry.source if entry else "",
        "parent": entry.parent if entry else "",
        "license": entry.license if entry else "",
    }
    return {name: value for name, value in shown.items() if value}


def row(record: ModelRecord, facts: ModelFacts) -> dict[str, Any]:
    """One model for a table or a script."""
    return {
        "name": record.name,
        "engine": record.engine,
        "architecture": facts.architecture,
        "parameters": facts.parameter_size,
        "quantization": facts.quantization,
        "context_length": facts.context_length,
        "size_bytes": record.size_bytes,
        "file": str(record.file) if record.file else "",
    }


def split_stops(given: list[str]) -> tuple[str, ...]:
    """Stop strings as earlier versions took them: a single argument is split at its commas."""
    stops = given[0].split(",") if len(given) == 1 else given
    if any(not s for s in stops):
        raise InvalidRequest("an empty stop string would end every answer at once; leave it out", param="stop")
    return tuple(stops)


def _what_of(file: Path | None, *, was_there: bool) -> str:
    """What became of a removed model's file."""
    if file is None:
        return ""
    if not was_there:
        return "; its file was not there any more"
    return "; its file stays where it is" if file.exists() else "; its file is gone too"


def _digest(here: Assembly, file: Path, size_bytes: int) -> None:
    """Read all of the model once, with a progress bar, for its SHA-256."""
    if here.digests.model(file):
        return
    columns = (TextColumn("reading {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(file.name, total=size_bytes)
        try:
            here.digests.read_model(file, progress=lambda done: progress.update(task, completed=done))
        except OSError as error:
            raise ModelFileError(f"{file} cannot be read: {error.strerror}") from error
