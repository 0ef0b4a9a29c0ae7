"""What a row is: a kind of work, who does it, and how one measurement of it is taken."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import Setup

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.answers import Answer
    from benchmarks.contestants import Contestant, Peers
    from benchmarks.tokenizer import Tokenizer

FULL_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rows work with.

    Attributes:
        short: whether only to show that everything works.
    """

    model: Path
    folder: Path
    tokenizer: Tokenizer
    peers: Peers
    n_threads: int
    short: bool

    def setup(self, name: str, *, n_parallel: int, n_ctx: int = 8192) -> Setup:
        """A setup with a folder of its own."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return Setup(self.model, folder, n_ctx=n_ctx, n_threads=self.n_threads, n_parallel=n_parallel)


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a comparison. Several of them may be the same contestant, asked in different ways.

    Attributes:
        rounds: the most rounds that it takes part in.
    """

    label: str
    contestant: Contestant
    rounds: int = 1000


@dataclass(slots=True)
class Measured:
    """What one measurement gave."""

    values: dict[str, float]
    detail: dict[str, Any] = field(default_factory=dict)


class MeasureFailed(Exception):
    """A contestant answered, but not what was asked for."""


class Row(abc.ABC):
    """A kind of work.

    Attributes:
        headline: the values that the table shows, each with its unit.
        most_rounds: more rounds are not taken; less than the usual five is said in the table.
        cold: whether everybody forgets its earlier work before each measurement.
    """

    name: str
    title: str
    headline: tuple[tuple[str, str], ...]
    most_rounds: int = 1000
    cold: bool = False

    @abc.abstractmethod
    def entries(self, around: Surroundings) -> list[Entry]:
        """The sides of the comparison, not yet started; what is not there is left out."""

    def remarks(self) -> list[str]:
        """What the page must say of this row here: who was left out of the entries, and why."""
        return []

    @abc.abstractmethod
    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Take one measurement. The same round number gives everybody the same work.

        Raises:
            MeasureFailed, TimeoutError, OSError, StartFailed: there is no measurement.
        """


def checked(answers: list[Answer]) -> list[Answer]:
    """The answers, if none is an error.

    Raises:
        MeasureFailed: with the first error.
    """
    for answer in answers:
        if answer.error:
            raise MeasureFailed(answer.error)
        if not answer.times:
            raise MeasureFailed("an answer has no text")
    return answers
