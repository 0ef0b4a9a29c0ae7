"""Forecasts: the same questions that a load asks, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hoshikage import LoadForecast, MemoryNeed, ModelRecord
from hoshikage.core.demand import Demand
from hoshikage.core.forecasting import Forecaster, advice
from hoshikage.core.memory import MainMemory
from hoshikage.core.residence import ASSUMED_START_S, Residence
from tests.fakes import FakeEngine, FakeStager, until

GIB = 1 << 30
MIB = 1 << 20
FLOOR = 256 * MIB
SMALL = MainMemory(GIB, GIB)
A, B, C = (ModelRecord(name, engine="fake") for name in "abc")


@pytest.fixture
def forecaster_of() -> Callable[[Residence], Forecaster]:
    """A forecaster over slots and what they stand on."""
    return lambda residence: Forecaster(residence, residence._storage)


@pytest.fixture
def on_disk(tmp_path: Path) -> ModelRecord:
    """A model with a file."""
    return ModelRecord("a", tmp_path / "a.gguf", engine="fake", size_bytes=GIB)


async def loaded(residence: Residence, record: ModelRecord, *, keep: bool = False) -> None:
    """Load a model; it stays busy where it is kept."""
    lease = residence.lease(Demand(record))
    await lease.model()
    if not keep:
        lease.release()


# --- what is found ---


async def test_a_forecast_of_an_empty_server(residence_with, forecaster_of, engine: FakeEngine):
    """What it needs, what is free, and that nobody is in the way."""
    need = engine.needs["a"] = MemoryNeed(weights_bytes=100, context_bytes=50, other_bytes=7)
    found = await forecaster_of(residence_with(memory=SMALL)).forecast(A, 0, 1)

    assert LoadForecast("a", 0, 1, "disk", fits=True, starts_at_once=True) == replace(
        found, need=MemoryNeed(), free_ram_bytes=None, expected_s=0.0, advice=()
    )
    assert (need, GIB - FLOOR, None) == (found.need, found.free_ram_bytes, found.free_vram_bytes)


async def test_nothing_is_done(residence_with, forecaster_of, engine: FakeEngine, on_disk: ModelRecord, tmp_path: Path):
    """Nothing is loaded, staged, or asked to leave."""
    stager = FakeStager(tmp_path)
    residence = residence_with(max_loaded=1, stagers=[stager])
    await loaded(residence, B)
    found = await forecaster_of(residence).forecast(on_disk, 4096, 2)

    assert (("b",), [("b", "ready")]) == (found.evicts, [(v.record.name, v.state) for v in residence.views()])
    assert (["b"], [], 0) == (engine.loads, stager.done, engine.models[0].closed)


@pytest.mark.parametrize(
    ("context_length", "parallel", "found"), [(0, 4, 0), (3000, 1, 4096), (3000, 2, 6000), (9000, 1, 6000)]
)
async def test_the_context_is_that_of_a_load(
    residence_with, forecaster_of, engine: FakeEngine, context_length: int, parallel: int, found: int
):
    """It is for all requests at once, rounded up to a step, and bounded by what the model was trained for."""
    engine.known = replace(engine.known, context_length=6000)
    forecast = await forecaster_of(residence_with()).forecast(A, context_length, parallel)

    assert (found, parallel) == (forecast.context_length, forecast.parallel)


async def test_tiers(residence_with, forecaster_of, engine: FakeEngine, on_disk: ModelRecord, tmp_path: Path):
    """A model is on disk, then staged, then loaded, and then staged again."""
    stager = FakeStager(tmp_path / "ram")
    residence = residence_with(stagers=[stager])
    forecaster = forecaster_of(residence)

    async def tier() -> tuple[str, bool]:
        found = await forecaster.forecast(on_disk, 0, 1)
        return found.tier, found.expected_s > 0

    tiers = [await tier()]
    await stager.stage(on_disk)
    tiers.append(await tier())
    await loaded(residence, on_disk)
    tiers.append(await tier())
    residence.ask_to_unload(on_disk)
    await until(lambda: not residence.views())
    tiers.append(await tier())

    assert [("disk", True), ("staged", True), ("loaded", False), ("staged", True)] == tiers


async def test_a_load_takes_as_long_as_the_last_one(residence_with, forecaster_of, on_disk: ModelRecord):
    """Before the first load the file's size lets expect how long it takes; afterwards it is known."""
    residence = residence_with()
    forecaster = forecaster_of(residence)
    guessed = (await forecaster.forecast(on_disk, 0, 1)).expected_s
    await loaded(residence, on_disk)
    (view,) = residence.views()
    residence.ask_to_unload(on_disk)
    await until(lambda: not residence.views())
    known = (await forecaster.forecast(on_disk, 0, 1)).expected_s

    assert (ASSUMED_START_S + 1.07, view.load_s) == (pytest.approx(guessed, abs=0.01), known)


async def test_what_never_fits(residence_with, forecaster_of, engine: FakeEngine):
    """The missing bytes are those of the refusal, and nobody is sent away or waited for."""
    engine.needs["a"] = MemoryNeed(weights_bytes=GIB)
    residence = residence_with(memory=SMALL)
    await loaded(residence, B, keep=True)
    found = await forecaster_of(residence).forecast(A, 0, 1)

    assert (False, False, FLOOR, (), ()) == (
        found.fits,
        found.starts_at_once,
        found.missing_ram_bytes,
        found.evicts,
        found.waits_for,
    )


async def test_who_must_end_first(residence_with, forecaster_of):
    """With every place taken by running requests, their models are named."""
    residence = residence_with(max_loaded=2)
    await loaded(residence, B, keep=True)
    await loaded(residence, C, keep=True)
    found = await forecaster_of(residence).forecast(A, 0, 1)

    assert (True, False, (), ("b", "c")) == (found.fits, found.starts_at_once, found.evicts, found.waits_for)


async def test_a_busy_model_that_is_not_in_the_way(residence_with, forecaster_of, engine: FakeEngine):
    """Where the idle ones give enough, nobody's running requests have to end."""
    engine.needs = {"a": MemoryNeed(context_bytes=700 * MIB), "c": MemoryNeed(context_bytes=500 * MIB)}
    residence = residence_with(memory=SMALL)
    residence._budget.measure_ram = lambda: MainMemory(GIB, GIB - sum(m.memory.ram_bytes for m in engine.models))
    await loaded(residence, B, keep=True)
    await loaded(residence, C)
    found = await forecaster_of(residence).forecast(A, 0, 1)

    assert (False, ("c",), ()) == (found.starts_at_once, found.evicts, found.waits_for)


async def test_a_copy_that_would_leave(residence_with, forecaster_of, engine, on_disk: ModelRecord, tmp_path: Path):
    """A staged copy that makes room is named as such."""
    stager = FakeStager(tmp_path)
    await stager.stage(on_disk)
    engine.needs["b"] = MemoryNeed(context_bytes=GIB)
    found = await forecaster_of(residence_with(stagers=[stager], memory=SMALL)).forecast(B, 0, 1)

    assert (True, (f"copy of {on_disk.file}",)) == (found.fits, found.evicts)


@pytest.mark.parametrize(("available", "advised"), [(True, True), (False, False)])
async def test_staging_is_advised_where_it_is_possible(
    residence_with, forecaster_of, on_disk: ModelRecord, tmp_path: Path, available: bool, advised: bool
):
    """A stager that is not available, or a model without a file, is no reason to advise it."""
    forecaster = forecaster_of(residence_with(stagers=[FakeStager(tmp_path, available=available)]))
    said = [" ".join((await forecaster.forecast(record, 0, 1)).advice) for record in (on_disk, B)]

    assert [advised, False] == ["hoshikage stage" in text for text in said]


# --- advice ---

FITS = LoadForecast("a", 4096, 1, "disk", fits=True, starts_at_once=True, need=MemoryNeed(100, 50, measured=True))


def lacking(missing: int, context: int, *, vram: bool = False) -> LoadForecast:
    """A forecast of a model that does not fit."""
    kind = {"missing_vram_bytes": missing} if vram else {"missing_ram_bytes": missing}
    return replace(FITS, fits=False, starts_at_once=False, need=MemoryNeed(GIB, context), **kind)


def said(found: LoadForecast, *, context_length: int = 4096, pinned=(), can_stage: bool = False) -> str:
    return "\n".join(advice(found, context_length=context_length, pinned=pinned, can_stage=can_stage))


def test_nothing_to_say():
    """All is well: no advice."""
    assert () == advice(FITS, context_length=4096, pinned=("b",), can_stage=False)


@pytest.mark.parametrize("vram", [False, True])
def test_missing_bytes_are_said(vram: bool):
    """In bytes, and as people read them; of whatever memory."""
    assert f"{10 * MIB} bytes (10 MiB) are missing" in said(lacking(10 * MIB, GIB, vram=vram))


@pytest.mark.parametrize(
    ("missing", "context", "length", "words"),
    [
        (1, GIB, 8192, "a context of 4096 tokens would fit"),
        (GIB // 2, GIB, 8192, "a context of 4096 tokens would fit"),
        (GIB // 2 + 1, GIB, 8192, "a context of 2048 tokens would fit"),
        (1, GIB, 6000, "a context of 4096 tokens would fit"),
        (GIB - 1, GIB, 8192, "not even a context of 2048 tokens would fit"),
        (1, GIB, 2048, "not even a context of 2048 tokens would fit"),
        (GIB, GIB, 8192, "no context is small enough; choose a smaller quantisation"),
        (1, 0, 8192, "no context is small enough"),
        (1, GIB, 0, "ask for a smaller num_ctx"),
    ],
)
def test_a_context_that_would_fit(missing: int, context: int, length: int, words: str):
    """It is one that the server really makes: a wish in between would be rounded up again."""
    assert words in said(lacking(missing, context), context_length=length)


def test_what_costs_nothing_to_ask():
    """Without a context's memory its type is no advice; pinned models are named."""
    text = said(lacking(1, 0), pinned=("b", "c"))

    assert "cache_type_k" not in text
    assert "cache_type_k" in said(lacking(1, 2))
    assert "pinned models do not leave: b, c; `hoshikage unpin` lets them" in text


def test_waiting_and_leaving_are_said():
    """Who is waited for and who leaves, and how to prevent it."""
    text = said(replace(FITS, waits_for=("b",), evicts=("c", "d")))

    assert "it would wait for running answers of b\nc, d would leave; `hoshikage pin` keeps a model" == text


@pytest.mark.parametrize(("tier", "can_stage", "advised"), [("disk", True, True), ("staged", True, False)])
def test_staging_is_said(tier: str, can_stage: bool, advised: bool):
    """What is on disk and could be staged."""
    assert advised is ("`hoshikage stage a`" in said(replace(FITS, tier=tier), can_stage=can_stage))


@pytest.mark.parametrize(
    ("measured", "tier", "guessed"), [(False, "disk", True), (False, "loaded", False), (True, "disk", False)]
)
def test_a_prediction_is_called_one(measured: bool, tier: str, guessed: bool):
    """Until it was measured, the need is a prediction."""
    found = replace(FITS, tier=tier, need=replace(FITS.need, measured=measured))

    assert guessed is ("predicted" in said(found))
