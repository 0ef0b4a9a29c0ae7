"""A store with many memories, made fast: what questions are about is told to the server, the rest is written for it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, cast

import apsw
import numpy as np

from benchmarks.memory.server import ROUTE
from benchmarks.prompts import TOPICS, WORDS
from benchmarks.rows.base import MeasureFailed
from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.memory.server import Remembering

OWNER: Final = Owner("127.0.0.1")  # who sends no key is known by the address
BATCH: Final = 500
TURNS_OF_A_SESSION: Final = 20
TURN_S: Final = 60.0
BEGAN_AT: Final = 1_700_000_000.0
WORDS_OF_A_TURN: Final = (8, 60)
VECTORS_LIMIT_S: Final = 300.0
LOOK_S: Final = 0.2
THINGS: Final = ("cat", "dog", "bicycle", "guitar", "sister", "brother", "teacher", "boat", "balcony", "tent", "camera")
NOTE: Final = (
    "Of the memories, {facts} are facts that the questions are about, with vectors of the embedder; the other {others} "
    "are turns of random words with random vectors of length 1, since embedding them would take longer than the "
    "measuring. They cost a search what real ones cost, and are near to nothing."
)


def facts(count: int) -> list[tuple[str, str]]:
    """Things to know, and a question about each."""
    found = []
    for number in range(count):
        thing, place = THINGS[number % len(THINGS)], TOPICS[number % len(TOPICS)]
        name = f"{WORDS[number % len(WORDS)].capitalize()}{number}"
        fact = f"The {thing} of {name} is kept at the {place} near the old station."
        found.append((fact, f"Where is the {thing} of {name} kept?"))
    return found


def turns(count: int, *, seed: int = 7) -> Iterator[Memory]:
    """Turns of many conversations, as long as people's."""
    chance = random.Random(seed)
    for number in range(count):
        text = f"{chance.choice(TOPICS)} {number} {' '.join(chance.choices(WORDS, k=chance.randint(*WORDS_OF_A_TURN)))}"
        role = ("user", "assistant")[number % 2]
        session = f"s{number // TURNS_OF_A_SESSION}"
        yield Memory("", text, BEGAN_AT + number * TURN_S, role, "turn", session, f"r{number // 2}")


async def fill(server: Remembering, told: Sequence[str], *, memories: int) -> str:
    """Fill the store of a server that is not running yet, and start it.

    Args:
        server: with an empty folder.
        told: facts, which the server is told, so that its embedder makes vectors of them.
        memories: how many there are to be, the facts included.

    Returns:
        What a reader must know of it.

    Raises:
        MeasureFailed: the server does not take them, makes no vectors of them, or does not see the others.
    """
    await server.serve()
    for text in told:
        status, answer = await server.call(ROUTE, {"text": text})
        if status != 201:
            raise MeasureFailed(f"{ROUTE} answers {status}: {answer}")
    embedder, dimensions = await _embedded(server.file, len(told))
    await server.stop()
    await asyncio.to_thread(write, server.file, embedder, dimensions, count=memories - len(told))
    await server.start()
    _, seen = await server.call(f"{ROUTE}/stats")
    if seen["memories"] != memories:
        raise MeasureFailed(f"the server sees {seen['memories']} memories, not {memories}")
    await server.quiet()
    return NOTE.format(facts=len(told), others=memories - len(told))


def write(file: Path, embedder: int, dimensions: int, *, count: int) -> None:
    """Write turns with vectors into a store that nobody else has open."""
    database = Database.open(file)
    try:
        left = list(turns(count))
        for begin in range(0, len(left), BATCH):
            database.write(OWNER, left[begin : begin + BATCH])
        give_vectors(database, embedder, dimensions)
    finally:
        database.close()


def give_vectors(database: Database, embedder: int, dimensions: int) -> None:
    """Give every memory without a vector of that embedder a random one of length 1."""
    chance = np.random.default_rng(7)
    while missing := database.unembedded(embedder, limit=BATCH):
        vectors = chance.standard_normal((len(missing), dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [(n, text, v.astype(np.float16).tobytes()) for (n, text), v in zip(missing, vectors, strict=True)]
        database.put_vectors(embedder, rows)


async def _embedded(file: Path, count: int) -> tuple[int, int]:
    """Wait until so many memories have vectors: the number of their embedder, and the dimensions.

    Raises:
        MeasureFailed: they get none.
    """
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    query = "SELECT count(*), max(embedder), max(length(numbers)) FROM vector"
    try:
        for _ in range(int(VECTORS_LIMIT_S / LOOK_S)):
            ((found, embedder, size),) = cast("list[tuple[int, int, int]]", connection.execute(query).fetchall())
            if found >= count:
                return embedder, size // np.dtype(np.float16).itemsize
            await asyncio.sleep(LOOK_S)
    finally:
        connection.close()
    raise MeasureFailed(f"after {VECTORS_LIMIT_S:g} s the memories have no vectors; is there an embedder?")
