"""Between the slots and the stager: staging, falling back to the disk, fetching ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hoshikage import ModelRecord, StagedCopy, StageSpace
from hoshikage.core.errors import NotSupported, StagingRefused
from hoshikage.core.storage import Placement, Storage
from tests.fakes import FakeStager, until

WITHOUT_FILE = ModelRecord("echo", engine="echo")
A = ModelRecord("a", Path("/models/a.gguf"), size_bytes=100)
B = ModelRecord("b", Path("/models/b.gguf"), size_bytes=50)
FULL = StagingRefused("the RAM disk is full")


@pytest.fixture
def stager(tmp_path: Path) -> FakeStager:
    return FakeStager(tmp_path / "ram")


@pytest.fixture
async def storage_of():
    """Builds storages; all are stopped at the end of the test."""
    built: list[Storage] = []

    def build(*stagers: FakeStager) -> Storage:
        built.append(Storage(stagers))
        return built[-1]

    yield build
    for storage in built:
        await storage.stop()


StorageOf = Callable[..., Storage]


def asked(stager: FakeStager, what: str) -> list[str]:
    return [name for action, name in stager.done if action == what]


# --- choosing ---


async def test_the_first_available_stager_is_used(storage_of: StorageOf, tmp_path: Path):
    """Of several stagers the first that is available is in use, and the others are left alone."""
    broken, good, spare = (FakeStager(tmp_path / n, n, available=n != "broken") for n in ("broken", "good", "spare"))
    storage = storage_of(broken, good, spare)
    placement = await storage.place(A)

    assert (good, good, good.space()) == (storage.stager, placement.stager, storage.space())
    assert ([], []) == (broken.done, spare.done)


async def test_without_a_stager_there_is_the_disk(storage_of: StorageOf):
    """Nothing is staged, and there is nothing to say of it."""
    storage = storage_of()
    storage.touch(A)
    storage.pin(A, pinned=True)
    storage.prefetch(A)

    assert (Placement(), None, None, (), None) == (
        await storage.place(A),
        storage.stager,
        storage.space(),
        storage.views(),
        storage.find(A),
    )


def test_the_space_of_an_unavailable_stager_says_why(storage_of: StorageOf, stager: FakeStager):
    """Where none is available, the first one's reason is shown."""
    stager.available = False

    assert "told so" == storage_of(stager).space().reason


async def test_a_model_without_a_file_is_not_staged(storage_of: StorageOf, stager: FakeStager):
    """There is nothing to copy, find, pin or touch."""
    storage = storage_of(stager)
    placement = await storage.place(WITHOUT_FILE)
    storage.touch(WITHOUT_FILE)
    storage.pin(WITHOUT_FILE, pinned=True)
    storage.prefetch(WITHOUT_FILE)
    storage.release(WITHOUT_FILE, placement)

    assert (Placement(), None, []) == (placement, storage.find(WITHOUT_FILE), stager.done)


# --- start and stop ---


async def test_every_stager_is_started_and_stopped(storage_of: StorageOf, stager: FakeStager, tmp_path: Path):
    """The one that is not available too; its reason is in the log."""
    other = FakeStager(tmp_path, "other", available=False)
    storage = storage_of(stager, other)
    with capture_logs() as logs:
        await storage.start()
    await storage.stop()

    started = [line for line in logs if line["event"] == "stager_started"]
    assert ([("start", ""), ("stop", "")],) * 2 == (stager.done, other.done)
    assert [("fake_stager", True, None), ("other", False, "told so")] == [
        (line["stager"], line["available"], line["reason"]) for line in started
    ]


async def test_a_stager_that_breaks_at_start_is_left_out(storage_of: StorageOf, stager: FakeStager, tmp_path: Path):
    """A stager that raises is named in the log, and the next one is used."""
    broken = FakeStager(tmp_path, "broken")
    broken.start = raising
    storage = storage_of(broken, stager)
    with capture_logs() as logs:
        await storage.start()

    assert (stager, ["broken"]) == (storage.stager, [line["stager"] for line in complaints(logs)])


async def test_a_stager_that_cannot_say_what_it_has_is_left_out(storage_of: StorageOf, stager: FakeStager):
    """One that starts, and then breaks when it is asked for its room, does not stop the start either."""
    stager.space = lambda: 1 / 0
    storage = storage_of(stager)
    with capture_logs() as logs:
        await storage.start()

    assert (None, None, 1) == (storage.stager, storage.space(), len(complaints(logs)))


async def test_a_stager_that_breaks_at_stop_does_not_stop_the_stop(stager: FakeStager, tmp_path: Path):
    """The others are stopped all the same."""
    broken = FakeStager(tmp_path, "broken")
    broken.stop = raising
    with capture_logs() as logs:
        await Storage([broken, stager]).stop()

    assert ([("stop", "")], 1) == (stager.done, len(complaints(logs)))


# --- placing ---


async def test_a_placed_copy_is_held(storage_of: StorageOf, stager: FakeStager):
    """It is held until it is released, once for each."""
    storage = storage_of(stager)
    placements = [await storage.place(A), await storage.place(A)]
    storage.release(A, placements[0])
    one = stager.held[A.file]
    storage.release(A, placements[1])

    assert (StagedCopy(stager.folder / "a.gguf", 100, stager.folder / "state"), 1, 0) == (
        placements[0].copy,
        one,
        stager.held[A.file],
    )
    assert (placements[0].copy, "") == (storage.find(A), placements[0].note)


async def test_a_refusal_is_a_note(storage_of: StorageOf, stager: FakeStager):
    """What cannot be staged is read from disk, with the reason, and nothing is held."""
    stager.refusal = FULL
    placement = await storage_of(stager).place(A)

    assert Placement(note="loaded from disk: the RAM disk is full") == placement
    assert 0 == stager.held[A.file]


async def test_a_stager_that_breaks_is_a_note_too(storage_of: StorageOf, stager: FakeStager):
    """An error that the contract does not allow costs no load; it is in the log with the stager's name."""
    stager.refusal = ZeroDivisionError("oops")
    with capture_logs() as logs:
        placement = await storage_of(stager).place(A)

    assert Placement(note="loaded from disk: fake_stager failed: oops") == placement
    assert ["fake_stager"] == [line["stager"] for line in complaints(logs)]


@pytest.mark.parametrize("method", ["find", "hold"])
@pytest.mark.parametrize("waits", [True, False])
async def test_a_stager_that_breaks_elsewhere(storage_of: StorageOf, tmp_path: Path, method: str, waits: bool):
    """Looking and holding may break as well: the model is read from disk all the same."""
    stager = FakeStager(tmp_path / "ram", waits=waits)
    await stager.stage(A)
    setattr(stager, method, lambda _: 1 / 0)

    assert "loaded from disk: fake_stager failed: division by zero" == (await storage_of(stager).place(A)).note


async def test_a_copy_that_goes_before_it_is_held(storage_of: StorageOf, stager: FakeStager):
    """Somebody may let a copy go in the moment in which it is handed over: the disk it is, and nothing is held."""
    hold = stager.hold

    def hold_too_late(record: ModelRecord) -> None:
        del stager.copies[A.file]
        hold(record)

    stager.hold = hold_too_late

    assert Placement(note="loaded from disk: its copy was given up just now") == await storage_of(stager).place(A)
    assert 0 == stager.held[A.file]


async def test_no_stager_that_is_available_is_a_note(storage_of: StorageOf, stager: FakeStager):
    """Its reason is the note."""
    stager.available = False

    assert Placement(note="loaded from disk: told so") == await storage_of(stager).place(A)


async def test_a_copy_is_released_where_it_is_held(storage_of: StorageOf, stager: FakeStager, tmp_path: Path):
    """A stager that is not available any more gets back what it held, and no other does."""
    other = FakeStager(tmp_path / "other", "other")
    storage = storage_of(stager, other)
    placement = await storage.place(A)
    stager.available = False
    storage.release(A, placement)

    assert (0, {}) == (stager.held[A.file], dict(other.held))


# --- being asked ---


async def test_staging_by_hand(storage_of: StorageOf, stager: FakeStager):
    """A copy can be made and given up; giving it up again says that there was none."""
    storage = storage_of(stager)
    await storage.stage(A)
    views = storage.views()

    assert ([A.file], True, False) == ([v.file for v in views], await storage.unstage(A), await storage.unstage(A))
    assert 0 == stager.held[A.file]


async def test_a_held_copy_cannot_be_given_up(storage_of: StorageOf, stager: FakeStager):
    """Its model is loaded."""
    storage = storage_of(stager)
    await storage.place(A)

    assert False is await storage.unstage(A)


async def test_uses_and_pins_are_handed_on(storage_of: StorageOf, stager: FakeStager):
    """The stager knows when a model was used and what is to stay."""
    storage = storage_of(stager)
    storage.touch(A)
    storage.pin(A, pinned=True)
    storage.pin(B, pinned=True)
    storage.pin(A, pinned=False)

    assert (["a"], {B.file}) == (asked(stager, "touch"), stager.pinned)


@pytest.mark.parametrize("action", ["stage", "unstage"])
async def test_what_has_no_file_cannot_be_asked_for(storage_of: StorageOf, stager: FakeStager, action: str):
    """It is an error of the request."""
    with pytest.raises(NotSupported, match="'echo' has no file") as error:
        await getattr(storage_of(stager), action)(WITHOUT_FILE)
    assert "model" == error.value.param


@pytest.mark.parametrize(
    ("stagers", "words"), [(0, "no plug-in offers a stager"), (1, "told so")], ids=["none", "unavailable"]
)
async def test_without_a_place_staging_is_refused(storage_of: StorageOf, stager: FakeStager, stagers: int, words: str):
    """The refusal says what is in the way."""
    stager.available = False
    storage = storage_of(*[stager][:stagers])

    with pytest.raises(StagingRefused, match=f"'a' cannot be staged: {words}"):
        await storage.stage(A)
    with pytest.raises(StagingRefused, match=words):
        await storage.unstage(A)


async def test_a_refusal_reaches_who_asked(storage_of: StorageOf, stager: FakeStager):
    """Who asks for a copy is told why there is none."""
    stager.refusal = FULL

    with pytest.raises(StagingRefused, match="full"):
        await storage_of(stager).stage(A)


# --- fetching ahead ---


async def test_fetching_ahead(storage_of: StorageOf, stager: FakeStager):
    """A model is copied while nobody waits for it, once, and is held by nobody."""
    storage = storage_of(stager)
    stager.hold_up.clear()
    storage.prefetch(A)
    storage.prefetch(A)
    await until(lambda: asked(stager, "stage"))
    stager.hold_up.set()
    await until(lambda: stager.copies and not storage._prefetching)
    storage.prefetch(A)

    assert (["a"], 0) == (asked(stager, "stage"), stager.held[A.file])


async def test_fetching_ahead_pushes_nothing_out(storage_of: StorageOf, stager: FakeStager):
    """Without free room for it nothing is fetched."""
    storage = storage_of(stager)
    stager.space = lambda: StageSpace(stager.folder, True, "", 99, 0, 99)
    storage.prefetch(A)
    storage.prefetch(B)

    assert [B.file] == list(storage._prefetching)


@pytest.mark.parametrize(
    ("error", "event"), [(FULL, "prefetch_refused"), (ZeroDivisionError(), "stager_broke_its_contract")]
)
async def test_fetching_ahead_fails_in_silence(storage_of: StorageOf, stager: FakeStager, error: Exception, event: str):
    """A refusal is a line in the log, and the next one may try again."""
    stager.refusal = error
    storage = storage_of(stager)
    with capture_logs() as logs:
        for _ in range(2):
            storage.prefetch(A)
            await until(lambda: not storage._prefetching)

    assert [event] * 2 == [line["event"] for line in logs]


async def test_the_stop_ends_fetching_ahead(stager: FakeStager):
    """What is being copied is given up before the stager is stopped."""
    storage = Storage([stager])
    stager.hold_up.clear()
    ended: list[str] = []
    storage.prefetch(A)
    (task,) = storage._prefetching.values()
    task.add_done_callback(lambda t: ended.append("cancelled" if t.cancelled() else "done"))
    stop = stager.stop

    async def note_stop() -> None:
        ended.append("stop")
        await stop()

    stager.stop = note_stop
    await until(lambda: asked(stager, "stage"))
    await asyncio.wait_for(storage.stop(), 2)

    assert ["cancelled", "stop"] == ended


async def test_a_changed_size_is_looked_up_anew(storage_of: StorageOf, stager: FakeStager):
    """What is free is asked each time: a model that has become smaller is fetched."""
    storage = storage_of(stager)
    stager.space = lambda: StageSpace(stager.folder, True, "", 99, 0, 99)
    storage.prefetch(A)
    storage.prefetch(replace(A, size_bytes=99))

    assert [A.file] == list(storage._prefetching)


async def raising() -> None:
    raise ZeroDivisionError("oops")


def complaints(logs: list[dict]) -> list[dict]:
    return [line for line in logs if line["event"] == "stager_broke_its_contract"]


async def test_a_load_need_not_wait_for_a_copy(storage_of: StorageOf, tmp_path: Path):
    """A stager that lets loads go ahead is asked for the copy afterwards; the next load reads it."""
    stager = FakeStager(tmp_path / "ram", waits=False)
    storage = storage_of(stager)
    first = await storage.place(A)
    storage.copy_later(A)
    await until(lambda: stager.copies)
    second = await storage.place(A)

    assert (None, True, "made meanwhile") == (first.copy, first.copy_later, first.note[-14:])
    assert (stager.copies[A.file], False) == (second.copy, second.copy_later)


async def test_every_end_is_told(storage_of: StorageOf, stager: FakeStager):
    """A copying that succeeded, was refused or was cancelled, and a copy that went, are worth a look at the queue."""
    storage = storage_of(stager)
    seen: list[tuple[str, ...]] = []
    storage.call_on_change(lambda: seen.append(tuple(view.file.name for view in storage.views())))
    await storage.stage(A)
    await storage.unstage(A)
    await storage.unstage(A)  # there is none: nothing has changed
    stager.refusal = FULL
    await storage.place(A)
    stager.hold_up.clear()
    waiting = asyncio.create_task(storage.stage(B))
    await until(lambda: asked(stager, "stage")[-1] == "b")
    waiting.cancel()
    await asyncio.wait([waiting])

    assert [("a.gguf",), (), (), ()] == seen
