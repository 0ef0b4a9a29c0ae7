"""The commands that take in the models of other programs: `import ollama`, `import lmstudio`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import rich.markup
import typer

from hoshikage.core.cli.sizes import size
from hoshikage.core.cli.start import assembly, at_home
from hoshikage.core.cli.tables import new_table, print_table
from hoshikage.core.errors import InvalidRequest, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hoshikage.core.importing import Found, Unusable

Folder = Annotated[Path | None, typer.Argument(help="Where the models are; by default where the program keeps them.")]
Only = Annotated[str, typer.Option("--only", help="Take in the model of this name alone.")]

OLLAMA_FOLDERS = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
LMSTUDIO_FOLDERS = ("~/.lmstudio/models", "~/.cache/lm-studio/models")


def add_commands(cli: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Use the models of other programs where they lie, without copying.", no_args_is_help=True)
    group.command("ollama")(import_ollama)
    group.command("lmstudio")(import_lmstudio)
    cli.add_typer(group, name="import")


def import_ollama(folder: Folder = None, only: Only = "") -> None:
    """Register the models of an Ollama store. Nothing is copied, and nothing of the store is ever changed."""
    from hoshikage.core.importing import scan_ollama

    root = chosen(folder, ollama_folders(os.environ), inside="manifests")
    take_in(scan_ollama(root, only=only), root, only)


def import_lmstudio(folder: Folder = None, only: Only = "") -> None:
    """Register the models of LM Studio. Nothing is copied, and nothing of them is ever changed."""
    from hoshikage.core.importing import scan_lmstudio

    root = chosen(folder, LMSTUDIO_FOLDERS)
    take_in(scan_lmstudio(root, only=only), root, only)


def ollama_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where Ollama may keep its models."""
    named = environ.get("OLLAMA_MODELS")
    return (named,) if named else OLLAMA_FOLDERS


def chosen(folder: Path | None, usual: Sequence[str], *, inside: str = "") -> Path:
    """The folder that is named, or the first of the usual ones that exists.

    Raises:
        InvalidRequest: there is none, or none that may be looked at.
    """
    candidates = [folder] if folder is not None else [Path(name) for name in usual]
    tried: list[str] = []
    for candidate in candidates:
        path = at_home(candidate).resolve()
        try:
            if (path / inside).is_dir():
                return path
            tried.append(str(candidate / inside))
        except OSError as error:  # it is another user's
            tried.append(f"{candidate / inside} ({error.strerror})")
    looked = ", ".join(tried)
    raise InvalidRequest(f"there are no models: no folder {looked}; name the folder that holds them", param="folder")


def take_in(scanned: Iterable[Found | Unusable], root: Path, only: str) -> None:
    """Register what was found, and show what became of each."""
    from hoshikage.core.importing import Found, register_found
    from hoshikage.core.kernel import sync_tags

    here = assembly()
    table = new_table("NAME", "RESULT", "SIZE", "FILE")
    count = 0
    for item in scanned:
        if not isinstance(item, Found):
            print(f"warning: {item.path}: {item.reason}", file=sys.stderr)
            continue
        outcome = register_found(item, here.registry, here.digests)
        table.add_row(rich.markup.escape(item.name), outcome, size(item.size_bytes), rich.markup.escape(str(item.file)))
        count += 1
    if only and not count:
        raise ModelNotFound(only)
    if not count:
        print(f"no models in {root}")
        return
    asyncio.run(sync_tags(here))
    print_table(table)
