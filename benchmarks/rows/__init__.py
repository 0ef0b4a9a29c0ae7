"""The rows of the benchmark, the ones with a figure to reach first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from benchmarks.rows.conversations import Conversations
from benchmarks.rows.decode_step import DecodeStep
from benchmarks.rows.embeddings import Embeddings
from benchmarks.rows.full_cache import FullCache
from benchmarks.rows.long_prompt import LongPrompt
from benchmarks.rows.lookup import LookupEdit, LookupNew
from benchmarks.rows.schemas import Schemas
from benchmarks.rows.streams import Streams
from benchmarks.targets import spelled

if TYPE_CHECKING:
    from benchmarks.rows.base import Row

STREAMS = (1, 4, 16, 32)


def all_rows() -> list[Row]:
    """Every row, in the order in which they run."""
    return [
        *(Streams(n) for n in STREAMS),
        Streams(
            16, name="shared", title="16 users arrive together with a shared system prompt", shared=450, prompt=475
        ),
        Conversations(),
        LongPrompt(),
        LookupEdit(),
        LookupNew(),
        Schemas(),
        DecodeStep(),
        FullCache(),
        Embeddings(),
        *(
            Streams(
                n, name=f"shared-512-{n}", title=f"{spelled(n)} with a shared system prompt", shared=512, prompt=537
            )
            for n in STREAMS
        ),
    ]


class Named(Protocol):
    """What can be chosen by its name."""

    name: str


R = TypeVar("R", bound=Named)


def chosen_rows(words: list[str], rows: list[R]) -> list[R]:
    """The rows that are called so or whose names begin so; all of them where nothing is chosen.

    Args:
        words: names or their beginnings.
        rows: among these.

    Raises:
        ValueError: a word chooses nothing.
    """
    for word in words:
        if not any(_chosen(row, word) for row in rows):
            raise ValueError(f"no row is called {word!r}; the rows are {', '.join(row.name for row in rows)}")
    return [row for row in rows if not words or any(_chosen(row, word) for word in words)]


def _chosen(row: Named, word: str) -> bool:
    return row.name == word or row.name.startswith(f"{word}-")
