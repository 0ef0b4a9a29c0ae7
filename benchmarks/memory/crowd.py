"""Stores with very many memories, written straight into the file of a memory plug-in."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from benchmarks.memory.data import read_jsquad, read_locomo
from benchmarks.memory.filling import give_vectors
from benchmarks.memory.ground import JSQUAD, LOCOMO
from benchmarks.memory.people import generate
from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.embedding.work import name_of
from hoshikage.plugins.memory.store import FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.memory.ground import Ground

OWNERS = 100
BEGAN = 1.75e9
PER_SESSION = 20
PER_WRITE = 1_000
MIN_CHARS = 8


def owner_of(number: int) -> Owner:
    """The person of this number."""
    return Owner("", f"person-{number}")


def fill(ground: Ground, folder: Path, *, count: int, owners: int) -> list[str]:
    """Write memories with vectors. Returns questions to ask of them.

    The texts are the turns of our own benchmark and, where they are there, the sentences of JSQuAD and the turns of
    LoCoMo; each is made longer by the beginning of another one, so that hardly two are alike.
    """
    texts, questions = texts_of(ground)
    rng = random.Random(1)
    database = Database.open(folder / FILE)
    try:
        for number in range(owners):
            memories = _memories(texts, count // owners, rng)
            for start in range(0, len(memories), PER_WRITE):
                database.write(owner_of(number), memories[start : start + PER_WRITE])
        give_vectors(database, database.embedder(name_of(ground.embedder)), ground.embedder.dimensions)
    finally:
        database.close()
    return questions


def texts_of(ground: Ground) -> tuple[list[str], list[str]]:
    """Texts like people write them, and questions to them."""
    people = generate()
    texts = [turn.text for person in people.people for session in person.sessions for turn in session.turns]
    questions = [question.text for question in people.questions]
    if file := ground.data_file(JSQUAD):
        jsquad = read_jsquad(file)
        texts += [s for t in jsquad.texts for s in t.text.split("。") if len(s) >= MIN_CHARS]
        questions += [question.text for question in jsquad.questions]
    if file := ground.data_file(LOCOMO):
        for talk in read_locomo(file):
            texts += [turn.text for turn in talk.texts]
            questions += [question.text for question in talk.questions]
    return texts, questions


def _memories(texts: Sequence[str], count: int, rng: random.Random) -> list[Memory]:
    return [
        Memory(
            "",
            f"{rng.choice(texts)} {rng.choice(texts)[:20]}",
            BEGAN + 60 * n,
            "assistant" if n % 2 else "user",
            "turn",
            f"session-{n // PER_SESSION}",
        )
        for n in range(count)
    ]
