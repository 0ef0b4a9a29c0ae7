"""Killing the server while it writes: how much of what it has acknowledged is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw

from benchmarks.contestants import Setup
from benchmarks.figures import OURS, Sample
from benchmarks.memory.server import ECHO, ROUTE, Killable
from benchmarks.prompts import WORDS
from benchmarks.results import RowResult

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

NAME: Final = "durability"
OK: Final = 200
CREATED: Final = 201
KILLS: Final = 50
LIFE_S: Final = (0.0, 0.8)  # after the first acknowledgement; then it is killed
WORDS_OF_A_TEXT: Final = 60
LOOKED_AT: Final = 200  # the newest, so that turns are seen among the notes
SEARCHED: Final = 3  # of the newest that were acknowledged before each kill
ACKNOWLEDGED: Final = (
    "A note is acknowledged by the 201 of POST /v1/memories. A turn is written after its answer, so the answer "
    "acknowledges nothing: a turn counts once a list has shown it. Lost is what was acknowledged before any kill and "
    "afterwards is not in an export, or not found by its words."
)
KILLED: Final = (
    "Notes, turns and lists run side by side, and vectors are written meanwhile; the server dies by SIGKILL at a "
    "random moment of that. The disk itself loses nothing: power cuts are not in this figure."
)


@dataclass(slots=True)
class Ledger:
    """What was acknowledged so far, and what of it is gone.

    Attributes:
        notes: their texts, in the order of their acknowledgements.
        turns: what users said, as lists have shown it.
        answered: turns whose answers were complete.
        lost: of notes and turns, those that were missing after any kill.
        news: set by every new note.
    """

    notes: list[str] = field(default_factory=list)
    turns: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    kills: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def compare(self, texts: set[str]) -> None:
        """Look for everything that was acknowledged among what is there now."""
        self.lost |= (self.turns | set(self.notes)) - texts

    def values(self, texts: set[str]) -> dict[str, float]:
        """The figures; `texts` is what is there at the end."""
        return {
            "kills": float(self.kills),
            "acknowledged": float(len(self.notes) + len(self.turns)),
            "lost": float(len(self.lost)),
            "notes": float(len(self.notes)),
            "turns": float(len(self.turns)),
            "turns_answered_not_written": float(len(self.answered - texts)),
        }


async def durability(
    folder: Path, *, kills: int = KILLS, seed: int = 5, variables: dict[str, str] | None = None
) -> RowResult:
    """Kill the server so many times while it writes, and count.

    Args:
        folder: empty; the memories of all lives are there.
        kills: how often.
        seed: of the moments.
        variables: further settings of the server, e.g. which embedder.

    Raises:
        StartFailed: the server does not come up again after a kill.
        MeasureFailed: it comes up, and its memories cannot be read.
    """
    setup = Setup(Path(), folder)
    server = Killable(setup, {"HOSHIKAGE_MEMORY__MODE": "on", **(variables or {})})
    ledger, numbers, chance = Ledger(), itertools.count(), random.Random(seed)
    try:
        for _ in range(kills):
            await server.serve()
            await _check(server, ledger)
            await _write_and_die(server, ledger, numbers, chance)
        await server.serve()
        texts = await _check(server, ledger)
    finally:
        await server.stop()
    values = {**ledger.values(texts), "sound": float(_is_sound(server.file))}
    headline = [("kills", ""), ("acknowledged", "memories"), ("lost", "memories")]
    title = f"Memories lost over {kills} `kill -9` during writing"
    return RowResult(NAME, title, headline, [Sample(OURS, 0, values)], [ACKNOWLEDGED, KILLED])


async def _check(server: Killable, ledger: Ledger) -> set[str]:
    """Note what is missing, also from the index of words. Returns what is there."""
    texts = {row["text"] for row in await server.exported()}
    ledger.compare(texts)
    for text in ledger.notes[-SEARCHED:]:
        _, answer = await server.call(f"{ROUTE}?q={text.split()[0]}")
        if text not in {row["text"] for row in answer["data"]}:
            ledger.lost.add(text)
    return texts


async def _write_and_die(server: Killable, ledger: Ledger, numbers: Iterator[int], chance: random.Random) -> None:
    """Write from two sides, and look from a third, until the server is killed."""
    ledger.news.clear()
    async with asyncio.TaskGroup() as group:
        for work in (_write_notes, _talk, _look):
            group.create_task(_until_gone(work(server, ledger, numbers, chance)), name=work.__name__)
        await ledger.news.wait()
        await asyncio.sleep(chance.uniform(*LIFE_S))
        await server.kill()
        ledger.kills += 1


async def _until_gone(work: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        await work


async def _write_notes(server: Killable, ledger: Ledger, numbers: Iterator[int], chance: random.Random) -> None:
    while True:
        text = _text("note", next(numbers), chance)
        status, _ = await server.call(ROUTE, {"text": text})
        if status == CREATED:
            ledger.notes.append(text)
            ledger.news.set()


async def _talk(server: Killable, ledger: Ledger, numbers: Iterator[int], chance: random.Random) -> None:
    while True:
        text = _text("turn", next(numbers), chance)
        body = {"model": ECHO, "messages": [{"role": "user", "content": text}], "max_tokens": 4}
        status, _ = await server.call("/v1/chat/completions", body)
        if status == OK:
            ledger.answered.add(text)


async def _look(server: Killable, ledger: Ledger, _numbers: Iterator[int], _chance: random.Random) -> None:
    while True:
        _, answer = await server.call(f"{ROUTE}?limit={LOOKED_AT}")
        ledger.turns |= {row["text"] for row in answer["data"] if row["role"] == "user"}


def _text(kind: str, number: int, chance: random.Random) -> str:
    """A text whose first word no other has."""
    return f"{kind}{number:06d} {' '.join(chance.choices(WORDS, k=WORDS_OF_A_TEXT))}"


def _is_sound(file: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file, its indexes included."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    finally:
        connection.close()
