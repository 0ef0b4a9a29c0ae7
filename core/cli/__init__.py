"""The command line: `hoshikage`. Errors are one line on stderr and exit status 1."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from hoshikage.core.cli import inspecting, memory, models, places, pulling, serving
from hoshikage.core.errors import HoshikageError

HELP = "Hoshikage (星影): serve local language models to OpenAI and Ollama clients."


def build_cli() -> typer.Typer:
    """Put the commands together."""
    cli = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    cli.callback()(_options)
    for module in (serving, models, pulling, places, memory, inspecting):
        module.add_commands(cli)
    return cli


def _print_version(wanted: bool) -> None:
    if wanted:
        from hoshikage import __version__

        print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before a command."""
    del version


def main() -> None:
    """Run the command line, and end with its exit status."""
    # What came with the imports stays to the end: looking through all of it once more took a fifth of a short command.
    atexit.register(gc.freeze)
    try:
        build_cli()()
    except HoshikageError as error:
        print(f"error: {error.message}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader (`| head`) went away. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
