"""The command that brings models from elsewhere: `pull`. It needs no server."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hoshikage.core.cli.start import assembly
from hoshikage.core.errors import HoshikageError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from hoshikage.core.contracts import DownloadProgress
    from hoshikage.core.kernel import Assembly

SUCCESS = "success"


class PullStopped(HoshikageError):
    """The user has stopped a pull."""

    code = "pull_stopped"


def add_commands(cli: typer.Typer) -> None:
    """Register the command."""
    cli.command("pull")(pull)


def pull(
    reference: Annotated[str, typer.Argument(help="name:tag, registry/name:tag or hf.co/org/repo:QUANT.")],
    name: Annotated[str, typer.Option(help="The name that clients will use; default: the reference.")] = "",
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow plain HTTP.")] = False,
) -> None:
    """Bring a model from Hugging Face or an Ollama registry. A running server sees it at once.

    What was interrupted goes on where it ended. The server and this command never bring one file at the same time:
    the later one waits for the earlier.
    """
    asyncio.run(_pull(assembly(), reference, name, insecure=insecure))
    print(f"pulled {name or reference}")


async def _pull(here: Assembly, reference: str, name: str, *, insecure: bool) -> None:
    from hoshikage.core.kernel import pulls_of

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):  # so that what has come is written down before the end
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        with _Bars() as bars:
            async with aclosing(pulls_of(here).pull(reference, name=name, insecure=insecure)) as steps:
                async for step in steps:
                    bars.show(step)
    except asyncio.CancelledError as error:
        raise PullStopped("stopped; what has come is kept: run the same command again to go on") from error


class _Bars:
    """A bar for each file; a line for each other step. In a pipe, the lines alone."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}
        self._last = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, step: DownloadProgress) -> None:
        """Draw one step."""
        if not step.digest:
            if step.status not in {self._last, SUCCESS}:
                self._progress.console.print(step.status, highlight=False)
            self._last = step.status
            return
        if step.digest not in self._tasks:
            self._tasks[step.digest] = self._progress.add_task(step.status, total=step.total)
        self._progress.update(self._tasks[step.digest], completed=step.completed, total=step.total)
