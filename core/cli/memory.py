"""`hoshikage memory …`: look after what is remembered, through the running server."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from hoshikage.core.cli.server_calls import ask_server, stream_lines
from hoshikage.core.cli.sizes import size
from hoshikage.core.cli.start import Json, Port
from hoshikage.core.cli.tables import new_table, print_table

User = Annotated[str, typer.Option(help="Whose memories, as clients name them in X-Hoshikage-User.")]
Project = Annotated[str, typer.Option(help="The part of them, as in X-Hoshikage-Project.")]
Key = Annotated[str, typer.Option(envvar="HOSHIKAGE_API_KEY", help="The key that clients send; empty: those without.")]
Limit = Annotated[int, typer.Option(help="At most so many.")]
Identity = Annotated[str, typer.Argument(help="The id that `memory list` shows.")]


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Long-term memory: list, search, correct, forget, verify.", no_args_is_help=True)
    named = (("list", list_memories), ("import", take), ("search", search), ("add", add), ("edit", edit))
    kept = (("verify", verify), ("rebuild", rebuild))
    for name, command in (*named, ("forget", forget), ("export", export), ("stats", stats), *kept):
        group.command(name)(command)
    cli.add_typer(group, name="memory")


def list_memories(
    *, limit: Limit = 20, user: User = "", project: Project = "", key: Key = "", port: Port = None, json: Json = False
) -> None:
    """Show the newest memories."""
    _show(_ask("GET", "", port, _who(user, project, key), params={"limit": limit})["data"], json=json)


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    *,
    limit: Limit = 10,
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
    json: Json = False,
) -> None:
    """Show the memories that fit a query, the best first."""
    _show(_ask("GET", "", port, _who(user, project, key), params={"q": query, "limit": limit})["data"], json=json)


def add(
    text: Annotated[str, typer.Argument(help="What to remember.")],
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
) -> None:
    """Write a note."""
    print(_ask("POST", "", port, _who(user, project, key), json={"text": text})["id"])


def edit(
    memory_id: Identity,
    text: Annotated[str, typer.Argument(help="What it is to say from now on.")],
    *,
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
) -> None:
    """Correct a memory; what it said before is gone."""
    _ask("PATCH", f"/{memory_id}", port, _who(user, project, key), json={"text": text})
    print(f"{memory_id} is corrected")


def forget(
    memory_id: Annotated[str, typer.Argument(help="The id that `memory list` shows.")] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Forget everything of this user.")] = False,
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
) -> None:
    """Delete a memory, or all of a user, without a trace."""
    if bool(memory_id) == everything:
        raise typer.BadParameter("name one memory, or say --all")
    answer = _ask("DELETE", f"/{memory_id}" if memory_id else "", port, _who(user, project, key))
    print(f"{memory_id} is forgotten" if memory_id else f"{answer['deleted']} memories are forgotten")


def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; without it, to stdout.")] = None,
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
) -> None:
    """Write everything as JSON Lines."""
    content = ask_server("GET", "/v1/memories/export", port, headers=_who(user, project, key)).content
    if file is None:
        sys.stdout.buffer.write(content)
        return
    try:
        file.touch(mode=0o600)  # as private as the store
        file.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}") from error
    print(f"{len(content.splitlines())} memories are in {file}")


def take(
    file: Annotated[Path, typer.Argument(help="JSON Lines, as `memory export` writes them.", exists=True)],
    user: User = "",
    project: Project = "",
    key: Key = "",
    port: Port = None,
) -> None:
    """Take in what was exported, all or none; what is here already is passed over."""
    if file.is_dir():
        raise typer.BadParameter(
            f"{file} is a folder; one with the predecessor's ChromaDB is taken in by the server: set chroma.path (or "
            "CHROMA_PATH) to it and start the server anew"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
    answer = _ask("POST", "/import", port, _who(user, project, key), content=content)
    print(f"{answer['imported']} memories are new")


def stats(*, user: User = "", project: Project = "", key: Key = "", port: Port = None, json: Json = False) -> None:
    """Show how much is remembered."""
    found = _ask("GET", "/stats", port, _who(user, project, key))
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    table = new_table("", "", header=False)
    table.add_row("memories", str(found["memories"]))
    table.add_row("characters", str(found["characters"]))
    meaning = (
        f"{found['embedded']} of them, by {found['embedder']}" if found["embedder"] else "none: there is no embedder"
    )
    table.add_row("found by meaning", meaning)
    table.add_row("on disk, of everybody", size(found["bytes_on_disk"]))
    print_table(table)


def verify(*, port: Port = None, json: Json = False) -> None:
    """Look whether everything that is remembered can be found: the file, words, vectors, and the index of vectors."""
    if any(check["wrong"] for check in _checks("verify", port, json=json)):
        raise typer.Exit(1)


def rebuild(*, port: Port = None, json: Json = False) -> None:
    """Make anew what is made from the memories: the index of words, damaged vectors, and the index of vectors."""
    _checks("rebuild", port, json=json)


def _checks(path: str, port: int | None, *, json: bool) -> list[dict[str, Any]]:
    """Follow the checks of the server, and show the result of each."""
    results: dict[str, dict[str, Any]] = {}
    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        for check in stream_lines("POST", f"/v1/memories/{path}", port):
            part = results[check["part"]] = check
            if check["part"] not in tasks:
                tasks[check["part"]] = bars.add_task(check["part"], total=part["total"])
            bars.update(tasks[check["part"]], completed=part["looked_at"], total=part["total"])
    rows = list(results.values())
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return rows
    table = new_table("part", "looked at", "wrong", "what to do")
    for row in rows:
        table.add_row(row["part"], f"{row['looked_at']} of {row['total']}", str(row["wrong"]), row["advice"] or "–")
    print_table(table)
    return rows


def _who(user: str, project: str, key: str) -> dict[str, bytes]:
    """The headers, in bytes: httpx itself would write no names but ASCII."""
    given = {"X-Hoshikage-User": user, "X-Hoshikage-Project": project, "Authorization": f"Bearer {key}" if key else ""}
    return {name: os.fsencode(value) for name, value in given.items() if value}


def _ask(method: str, path: str, port: int | None, headers: dict[str, bytes], **parts: Any) -> Any:
    return ask_server(method, f"/v1/memories{path}", port, headers=headers, **parts).json()


def _show(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        print("nothing is found of this key, user and project; --key, --user and --project choose others")
        return
    scored = any("score" in row for row in rows)
    table = new_table("id", "said", "who", *(["score"] if scored else []), "text")
    for row in rows:
        said = datetime.datetime.fromtimestamp(row["said_at"]).astimezone().strftime("%Y-%m-%d %H:%M")
        score = [f"{row['score']:.2f}"] if scored else []
        table.add_row(row["id"], said, row["role"], *score, " ".join(row["text"].split()))
    print_table(table)
