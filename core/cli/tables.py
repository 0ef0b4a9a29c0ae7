"""Printing tables so that a person sees a table and `grep` sees whole lines."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

WIDTH_IN_A_PIPE = 500


def new_table(*columns: str, header: bool = True) -> Table:
    """A table without lines around it; long cells are folded on a terminal."""
    table = Table(box=None, show_header=header, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def console() -> Console:
    """As wide as the terminal; in a pipe so wide that nothing is folded."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH_IN_A_PIPE)


def print_table(table: Table) -> None:
    """Print to stdout."""
    console().print(table)
