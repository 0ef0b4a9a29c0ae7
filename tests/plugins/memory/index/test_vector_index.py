"""Indexes of large spaces, with a real ChromaDB: complete, apart, gone when they must be, and never missed.

To import chromadb takes most of a second, once. Each collection takes 30 ms.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from hoshikage import Owner
from hoshikage.core.errors import HoshikageError
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.index import vector_index as module
from hoshikage.plugins.memory.index.chroma import IndexFailed
from hoshikage.plugins.memory.index.vectors import Near
from tests.fakes import until
from tests.plugins.memory.bench import OWNER, Bench, clustered

HOSTILE = ["", "a", "a/../b", "..", "a\0b", "A", "'; DROP TABLE vector; --", "%", "*", "猫", "a" * 600, "\ud800"]


async def test_an_index_finds_what_the_exact_search_finds(bench):
    """The nearest of all, and what came after it was made as well."""
    vectors = clustered(400)
    bench.tell(OWNER, vectors)
    exact = [await bench.found(OWNER, vector, 5) for vector in vectors[:20]]
    await bench.indexed(OWNER)
    by_index = [await bench.found(OWNER, vector, 5) for vector in vectors[:20]]
    later = clustered(3, seed=2)
    bench.tell(OWNER, later, "later")

    assert exact == by_index
    assert [f"later {n}" for n in range(3)] == [(await bench.found(OWNER, vector))[0] for vector in later]


@pytest.mark.parametrize("index", ["exact", "chroma"])
async def test_no_owner_finds_what_is_another_ones(bench_in, tmp_path, index):
    """Whatever they are called, and however near it lies; each has the same vectors as the others."""
    bench = bench_in(tmp_path, index=index)
    owners = [Owner(name) for name in HOSTILE] + [
        Owner("a", "u"),
        Owner("a", "", "u"),
        Owner("", "a"),
        Owner("", "", "a"),
    ]
    owners = owners if index == "exact" else owners[::2]  # a collection takes a fifth of a second
    vectors = clustered(3)
    for number, owner in enumerate(owners):
        bench.tell(owner, vectors, f"of {number}, text")
    if index == "chroma":
        await bench.indexed(*owners)
    found = [await bench.found(owner, vectors[0], 100) for owner in owners]

    assert [{f"of {number}, text {n}" for n in range(3)} for number in range(len(owners))] == [set(f) for f in found]
    assert len({folder.name for folder in bench.collections()}) == (len(owners) if index == "chroma" else 0)


async def test_what_an_index_says_of_another_owner_is_not_believed(bench):
    """Even if Chroma answered with somebody else's numbers, they are not read."""
    bench.tell(OWNER, clustered(5), "mine")
    bench.tell(Owner("b"), clustered(5), "theirs")
    await bench.indexed(OWNER)
    near = await bench.index.nearest(OWNER, clustered(1)[0])
    assert near is not None
    meaning = bench.matrices.meaning(OWNER, clustered(1)[0], 0.5, Near(near.row, range(1, 11)))

    assert [1, 2, 3, 4, 5] == meaning.numbers.tolist()
    assert np.isnan(meaning.of([6, 7])).all()


async def churned(bench: Bench, cycles: int) -> np.ndarray:
    """Forget a fifth and write others, again and again. Returns the vectors that are left."""
    chance = np.random.default_rng(3)
    vectors = clustered(500)
    memories = bench.tell(OWNER, vectors, "first")
    for cycle in range(cycles):
        await bench.indexed(OWNER)
        gone = set(chance.choice(len(memories), len(memories) // 5, replace=False).tolist())
        for n in gone:
            bench.database.forget(OWNER, memories[n].id)
        await bench.index.sweep()
        fresh = clustered(len(gone), seed=10 + cycle)
        kept = [n for n in range(len(memories)) if n not in gone]
        memories = [memories[n] for n in kept] + bench.tell(OWNER, fresh, f"cycle {cycle}")
        vectors = np.concatenate([vectors[kept], fresh])
    return vectors


async def test_nothing_becomes_unreachable(bench, monkeypatch):
    """After cycles of deleting and writing, every memory is found by its own vector: 3 s, for five real collections."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(Database, "empty_log", lambda _: None)  # here that is not the question
    bench.database.connection.pragma("synchronous", "OFF")
    vectors = await churned(bench, cycles=4)
    await bench.indexed(OWNER)
    lost = 0
    for vector in vectors:
        near = await bench.index.nearest(OWNER, vector)
        assert near is not None
        cosines = bench.matrices.meaning(OWNER, vector, 0.5, near).cosines
        lost += cosines.max() < 0.999

    assert 0 == lost


async def test_what_chroma_does_not_find_is_looked_at_beside_it(bench, monkeypatch):
    """A collection that misses some of its own says which, and these are found all the same."""
    vectors = clustered(150)
    bench.tell(OWNER, vectors)
    real = module.Collection.nearest
    hidden = set(range(1, 31))  # as Chroma would hide them

    def hiding(self, asked, count):
        found = real(self, asked, count + len(hidden))
        pairs = [[(n, c) for n, c in zip(*one, strict=True) if n not in hidden][:count] for one in found]
        return [([n for n, _ in one], [c for _, c in one]) for one in pairs]

    monkeypatch.setattr(module.Collection, "nearest", hiding)
    await bench.indexed(OWNER)
    (row,) = bench.database.index.indexed()
    found = [(await bench.found(OWNER, vectors[n]))[0] for n in range(30)]

    assert hidden == set(row.strays)
    assert [f"text {n}" for n in range(30)] == found
    assert [(150, 150, 0)] == [step async for step in bench.index.check()][-1:]


@pytest.mark.parametrize("change", ["forget", "edit", "forget all"])
async def test_forgotten_leaves_no_byte_in_chromas_files(bench, change, monkeypatch):
    """Neither its text, which never was there, nor its vector; the others are found on."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    vectors = clustered(150)
    memories = bench.tell(OWNER, vectors, "secret")
    half = vectors[7].astype(np.float16)
    needles = [half.tobytes(), half.astype(np.float32).tobytes(), (half.astype(np.float32)[:8]).tobytes()]
    unit = half.astype(np.float32) / np.linalg.norm(half.astype(np.float32))  # as Chroma keeps it for cosines
    await bench.indexed(OWNER)
    index_files = [file for file in bench.files() if "index" in file.parts]
    before = [any(needle in file.read_bytes() for file in index_files) for needle in (b"secret", *needles[1:])]
    if change == "edit":
        bench.database.edit(OWNER, memories[7].id, "other")
    else:
        bench.database.forget(OWNER, None if change == "forget all" else memories[7].id)
    await bench.index.sweep()
    after = traces(bench, *needles, unit.tobytes(), unit[:4].tobytes())
    if change != "forget all":
        await bench.indexed(OWNER)

    assert [False, True, True] == before
    assert {} == after == traces(bench, *needles, unit.tobytes())


def traces(bench: Bench, *needles: bytes) -> dict[str, int]:
    contents = {str(file): file.read_bytes() for file in bench.files()}
    return {name: n for name, content in contents.items() for n, needle in enumerate(needles) if needle in content}


async def test_a_deletion_while_an_index_is_made(bench, monkeypatch):
    """What is half made goes before the deletion is acknowledged."""
    bench.tell(OWNER, clustered(2000))
    bench.index.start()
    await until(lambda: bench.index._making and (bench.shelf._root / bench.index._making.name).is_dir(), limit_s=10)
    first = bench.index._making.name
    bench.database.forget(OWNER, bench.database.newest(OWNER, limit=1)[0].id)
    await bench.index.sweep()

    assert not (bench.shelf._root / first).exists()


async def test_it_is_there_the_next_time(bench_in, tmp_path):
    """Nothing is made twice, and what was half made by a process that died is taken away."""
    first = bench_in(tmp_path)
    first.tell(OWNER, clustered(150))
    await first.indexed(OWNER)
    (before,) = first.collections()
    await first.close()
    half_made = tmp_path / "index" / f"hoshikage-{Database.open(tmp_path / 'm.sqlite3').index.identity()}-half"
    half_made.mkdir()
    second = bench_in(tmp_path)
    with capture_logs() as logs:
        await second.indexed(OWNER)

    assert [before] == second.collections()
    assert ["text 5"] == await second.found(OWNER, clustered(150)[5])
    assert [] == logs


async def test_a_forgotten_memory_is_taken_away_at_the_next_start(bench_in, tmp_path):
    """Where the process died between the two."""
    first = bench_in(tmp_path)
    first.tell(OWNER, clustered(150))
    await first.indexed(OWNER)
    await first.close()
    second = bench_in(tmp_path, index="exact")
    (folder,) = second.collections()
    second.database.forget(OWNER, second.database.newest(OWNER, limit=1)[0].id)
    second.index.start()
    await until(lambda: not second.database.index.indexed())

    assert not folder.exists()


def cut(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def spoil(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("chroma.sqlite3", cut),
        ("chroma.sqlite3", spoil),
        ("chroma.sqlite3", Path.unlink),
        ("data_level0.bin", cut),
        ("data_level0.bin", spoil),  # on which Chroma would take the whole process along
        ("header.bin", cut),
    ],
)
async def test_a_damaged_folder_is_made_anew(bench_in, tmp_path, pattern, damage):
    """One line in the log; meanwhile the search is exact, and afterwards nothing is missing."""
    first = bench_in(tmp_path)
    vectors = clustered(150)
    first.tell(OWNER, vectors)
    await first.indexed(OWNER)
    (before,) = first.collections()
    await first.close()
    damage(next(before.rglob(pattern)))
    second = bench_in(tmp_path)
    meanwhile = await second.found(OWNER, vectors[3])
    with capture_logs() as logs:
        await second.indexed(OWNER)

    assert [["text 3"]] * 2 == [meanwhile, await second.found(OWNER, vectors[3])]
    assert ["vector_index_damaged", "vector_index_made"] == [line["event"] for line in logs]
    assert before not in second.collections()


async def test_a_folder_that_vanishes_while_it_is_used(bench, monkeypatch):
    """A search is exact, and a new index is made."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    vectors = clustered(150)
    bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    (opened,) = bench.index._opened.values()
    opened.collection.close()
    bench.shelf.drop(opened.row.collection)
    with capture_logs() as logs:
        found = await bench.found(OWNER, vectors[3])
        await bench.indexed(OWNER)

    assert ["text 3"] == found
    assert ["vector_index_failed", "vector_index_damaged", "vector_index_made"] == [line["event"] for line in logs]


HOLDER = """
import pathlib, sys
from filelock import FileLock
pathlib.Path(sys.argv[1]).mkdir()
lock = FileLock(pathlib.Path(sys.argv[1]) / "index.lock")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_second_owner_is_refused(bench, tmp_path, monkeypatch):
    """It says so once, searches exactly, and takes over when the first one is gone."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    command = [sys.executable, "-c", HOLDER, tmp_path / "index"]
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    await other.stdout.readline()
    vectors = clustered(50)
    bench.tell(OWNER, vectors)
    with capture_logs() as logs:
        bench.index.start()
        await until(lambda: len(logs) > 0)
        found = await bench.found(OWNER, vectors[3])
        await asyncio.sleep(0.1)
    await other.communicate(b"")
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.05)
    bench.index._wake.set()
    await bench.indexed(OWNER)

    assert ["text 3"] == found
    assert ["vector_index_unavailable"] == [line["event"] for line in logs]
    assert "another process uses the vector index" in logs[0]["reason"]


async def test_a_search_that_hangs_holds_up_one_recall(bench, monkeypatch):
    """The next ones look at everything, until Chroma answers again."""
    vectors = clustered(50)
    bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    go_on = threading.Event()
    monkeypatch.setattr(module.Collection, "nearest", lambda *_: go_on.wait(20) and [([1], [1.0])])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await bench.index.nearest(OWNER, vectors[3])
    meanwhile = await bench.index.nearest(OWNER, vectors[3]), await bench.found(OWNER, vectors[3])
    go_on.set()
    await until(bench.index._asked.done)

    assert (None, ["text 3"]) == meanwhile
    assert await bench.index.nearest(OWNER, vectors[3]) is not None


async def test_small_spaces_never_touch_chroma(bench_in, tmp_path):
    """Nothing is imported, made or locked for them."""
    bench = bench_in(tmp_path, index="auto", limit=100)
    bench.tell(OWNER, clustered(50))
    bench.index.start()
    await until(lambda: bench.index._seen)

    assert not (tmp_path / "index").exists()


async def test_a_large_space_gets_an_index_and_grows_out_of_it(bench_in, tmp_path, monkeypatch):
    """The first while it grows over the limit; another one when much has come since, and the old one goes."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    bench = bench_in(tmp_path, index="auto", limit=100)
    bench.tell(OWNER, clustered(200))
    await bench.indexed(OWNER)
    (first,) = bench.collections()
    bench.tell(OWNER, clustered(1200, seed=2), "later")
    await until(lambda: [first] != bench.collections() and len(bench.collections()) == 1, limit_s=20)

    assert [1400] == [row.count for row in bench.database.index.indexed()]


async def test_a_folder_that_cannot_be_removed_is_an_error(bench, monkeypatch):
    """Then a deletion is not acknowledged, and the index is not used any more."""
    vectors = clustered(50)
    memories = bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    bench.database.forget(OWNER, memories[3].id)

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("hoshikage.plugins.memory.index.shelves.shutil.rmtree", refuse)
        with pytest.raises(IndexFailed, match="cannot be removed"):
            await bench.index.sweep()
    found = await bench.found(OWNER, vectors[3])
    await bench.index.sweep()

    assert ["text 3"] != found
    assert [] == bench.collections()
    assert issubclass(IndexFailed, HoshikageError)


async def test_vectors_without_a_direction_are_left_out(bench_in, tmp_path):
    """They stand for nothing; a space that has no others is told, and searched exactly."""
    bench = bench_in(tmp_path)
    bench.tell(OWNER, np.concatenate([clustered(50), np.zeros((3, 32), np.float32)]))
    bench.tell(Owner("b"), np.zeros((3, 32), np.float32), "nothing")
    with capture_logs() as logs:
        await bench.indexed(OWNER)
        await until(lambda: "vector_index_unavailable" in [line["event"] for line in logs])

    assert [50] == [row.count for row in bench.database.index.indexed()]
    assert ["text 3"] == await bench.found(OWNER, clustered(50)[3])
    assert 3 == len(await bench.found(Owner("b"), clustered(50)[3], 5))


async def test_how_far_away_the_rest_is_is_known(bench):
    """Scores are on a scale from the farthest of all; the nearest alone would not show it."""
    vectors = clustered(400)
    bench.tell(OWNER, vectors)
    exact = bench.matrices.meaning(OWNER, vectors[3], 0.5)
    await bench.indexed(OWNER)
    near = await bench.index.nearest(OWNER, vectors[3])
    by_index = bench.matrices.meaning(OWNER, vectors[3], 0.5, near)

    assert near is not None
    assert abs(exact.farthest - by_index.farthest) < 0.2
    assert len(by_index.numbers) < 250
    assert exact.nearest(1) == by_index.nearest(1)


async def test_after_a_deletion_an_index_is_not_made_at_once(bench, monkeypatch):
    """Others may follow, and each would end the work; until then the search is exact."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(module, "SETTLE_S", 0.3)
    vectors = clustered(50)
    memories = bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    bench.database.forget(OWNER, memories[7].id)
    await bench.index.sweep()
    await asyncio.sleep(0.1)
    at_first = bench.collections(), await bench.found(OWNER, vectors[3])
    await until(bench.collections)

    assert ([], ["text 3"]) == at_first
