"""The way of one request, and its account however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import aclosing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hoshikage import ChatRequest, Chunk, Done, EmbedRequest, Message, ModelRecord, Started, Usage
from hoshikage.core.demand import Demand
from hoshikage.core.errors import EngineFailed, InvalidRequest, ModelLoadFailed, QueueFull, StagingRefused
from hoshikage.core.log import set_up_logging
from hoshikage.core.settings import LogSettings
from hoshikage.plugins.access_log.observer import AccessLog
from tests.core.pipelines import CALLER, RECORD, REQUEST, World
from tests.fakes import FakeFilter, FakeObserver, FakeStager, until

MARKER = "秘密-marker-7f3a"


# --- answers ---


async def test_events_of_an_answer(world):
    """The caller gets the engine's events, and the last one carries the receipt."""
    *events, done = await world.answer()

    assert [Started(3), Chunk("one"), Chunk(" two")] == events
    assert Done("stop", Usage(3, 2), world.receipt()) == done


async def test_receipt_of_an_answer(world):
    """The receipt of an answer says who asked for what, how it ended and what it cost."""
    await world.answer()
    receipt = world.receipt()

    assert ("r1", "a", CALLER, "done", Usage(3, 2), "stop", None) == (
        receipt.request_id,
        receipt.model,
        receipt.caller,
        receipt.outcome,
        receipt.usage,
        receipt.finish_reason,
        receipt.error_code,
    )


async def test_times_of_a_receipt_add_up(world, engine):
    """Waiting for the turn and for the load are parts of the whole."""
    engine.hold.clear()
    answer = asyncio.create_task(world.answer())
    await until(lambda: engine.loads)
    engine.hold.set()
    await answer
    receipt = world.receipt()

    assert 0 <= receipt.queue_s <= receipt.queue_s + receipt.load_s <= receipt.total_s
    assert receipt.load_s > 0


async def test_places_are_given_back_after_an_answer(world):
    """After an answer nothing is held."""
    await world.answer()

    assert (0, 0, 0) == world.places()


async def test_keep_alive_of_the_request_reaches_the_slot(world, engine):
    """A request with `keep_alive` 0 leaves no model behind."""
    await world.answer(replace(REQUEST, keep_alive_s=0))
    await until(lambda: engine.models[0].closed)

    assert 1 == engine.models[0].closed


async def test_load_without_a_question(world, engine):
    """A model can be loaded without being asked anything; nothing is held afterwards, and no receipt written."""
    await world.pipeline.load(RECORD, keep_alive_s=None)

    assert (["a"], (0, 0, 0), ()) == (engine.loads, world.places(), world.book.newest())


async def test_failed_load_without_a_question_gives_back_its_place(world, engine):
    """A load that fails holds nothing afterwards."""
    engine.error = ModelLoadFailed("no memory")
    with pytest.raises(ModelLoadFailed):
        await world.pipeline.load(RECORD, keep_alive_s=None)

    assert (0, 0, 0) == world.places()


# --- filters ---


def adding(word: str) -> FakeFilter:
    return FakeFilter(lambda request: replace(request, stop=(*request.stop, word)), name=word)


def raising(error: Exception) -> FakeFilter:
    def refuse(request: ChatRequest) -> ChatRequest:
        raise error

    return FakeFilter(refuse, name="refuser")


async def test_filters_run_one_after_the_other(world_with, engine):
    """Each filter gets what the one before it made; the engine gets the last one's request."""
    world = world_with(filters=[adding("first"), adding("second")])
    seen = []
    await world.pipeline.load(RECORD, keep_alive_s=None)
    generate = engine.models[0].generate
    engine.models[0].generate = lambda request: seen.append(request) or generate(request)
    await world.answer()

    assert [("first", "second")] == [request.stop for request in seen]


async def test_filter_may_refuse(world_with, engine):
    """A filter's Hoshikage error refuses the request before it is queued, and it has a receipt."""
    error = InvalidRequest("too rude")
    world = world_with(filters=[raising(error), adding("never")])

    assert error is await world.failure()
    assert ([], "error", "invalid_request") == (engine.loads, world.receipt().outcome, world.receipt().error_code)


async def test_filter_that_breaks_is_passed_over(world_with):
    """A filter's other exception is logged with its name, and the request goes on as it was."""
    world = world_with(filters=[adding("first"), raising(ZeroDivisionError()), adding("second")])

    with capture_logs() as logs:
        events = await world.answer()
    await world.pipeline.stop()

    failures = [line["filter"] for line in logs if line["event"] == "request_filter_failed"]
    assert (["refuser"], Done) == (failures, type(events[-1]))


async def test_filters_change_what_observers_see(world_with):
    """Observers are told of the request as it was answered."""
    seen = []

    class Reader(FakeObserver):
        async def observe(self, request, answer, receipt):
            seen.append(request.stop)

    world = world_with(filters=[adding("x")], observers=[Reader()])
    await world.answer()
    await world.pipeline.stop()

    assert [("x",)] == seen


async def test_engine_is_told_who_asks(world_with, engine):
    """The request that the engine gets tells callers apart by the caller's key, whatever the route put there."""
    world = world_with()
    events = world.pipeline.chat(replace(REQUEST, caller_key="forged"), RECORD, replace(CALLER, key="k1"))
    async with aclosing(events):
        _ = [event async for event in events]

    assert ["k1"] == [request.caller_key for request in engine.models[0].asked]


# --- errors ---


async def test_error_of_the_engine(world, engine):
    """An engine's error reaches the caller; the receipt has its code and what was made until then."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].error = EngineFailed("broken")

    assert engine.models[0].error is await world.failure()
    receipt = world.receipt()
    assert ("error", "inference_failed", Usage(3, 2), None) == (
        receipt.outcome,
        receipt.error_code,
        receipt.usage,
        receipt.finish_reason,
    )


async def test_unknown_error_of_the_engine(world, engine):
    """An error that no engine should raise reaches the caller, and the receipt says so."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].error = ZeroDivisionError()

    assert engine.models[0].error is await world.failure()
    assert ("error", "internal_error") == (world.receipt().outcome, world.receipt().error_code)


async def test_failed_load(world, engine):
    """A load that fails is the request's error."""
    engine.error = ModelLoadFailed("no memory")

    assert engine.error is await world.failure()
    assert ("error", "model_load_failed") == (world.receipt().outcome, world.receipt().error_code)


async def test_refused_by_the_queue(world_with):
    """A request that finds the queue full has a receipt too."""
    world = world_with(max_running=1, max_queued=0)
    await world.admission.enter(Demand(RECORD))

    assert QueueFull is type(await world.failure())
    assert ("error", "queue_full", 0.0) == (
        world.receipt().outcome,
        world.receipt().error_code,
        world.receipt().load_s,
    )


@pytest.mark.parametrize("error", [EngineFailed("broken"), ZeroDivisionError()])
async def test_places_are_given_back_after_an_error(world, engine, error: Exception):
    """After an error nothing is held."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].error = error
    await world.failure()

    assert (0, 0, 0, 0) == (*world.places(), engine.models[0].running)


async def test_engine_that_ends_without_done(world, engine):
    """An answer that simply stops is an error with a receipt, not a whole answer."""
    await world.pipeline.load(RECORD, keep_alive_s=None)

    async def generate(request):
        yield Started(3)
        yield Chunk("half an")

    engine.models[0].generate = generate

    assert EngineFailed is type(await world.failure())
    assert ("error", "inference_failed", Usage(3, 1)) == (
        world.receipt().outcome,
        world.receipt().error_code,
        world.receipt().usage,
    )


# --- cancellation ---


async def test_closing_early_cancels_the_engine(world, engine):
    """A caller that closes the answer early ends the engine's work and gives back the lease."""
    events = world.chat()
    await anext(events)
    engine.models[0].hold.clear()
    running = (engine.models[0].running, world.places())
    await events.aclose()

    assert ((1, (1, 0, 1)), 0, 1, (0, 0, 0)) == (
        running,
        engine.models[0].running,
        engine.models[0].cancelled,
        world.places(),
    )


async def test_receipt_of_a_closed_answer(world):
    """An answer that was closed early has one receipt, with what was made until then."""
    events = world.chat()
    for _ in range(2):
        await anext(events)
    await events.aclose()

    assert ("cancelled", Usage(3, 1)) == (world.receipt().outcome, world.receipt().usage)


async def cancelled(world: World, *, when) -> None:
    """Cancel a request's task when a condition holds."""
    answer = asyncio.create_task(world.answer())
    await until(when)
    answer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await answer


async def test_cancelled_while_it_is_answered(world, engine):
    """A task that is cancelled while the engine works ends that work; one receipt says so."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].hold.clear()
    await cancelled(world, when=lambda: engine.models[0].running)

    assert ("cancelled", 1, (0, 0, 0)) == (world.receipt().outcome, engine.models[0].cancelled, world.places())


async def test_cancelled_while_it_loads(world, engine):
    """A task that is cancelled during the load gives back its place; one receipt says so."""
    engine.hold.clear()
    await cancelled(world, when=lambda: engine.loads)
    engine.hold.set()

    assert ("cancelled", (0, 0, 0)) == (world.receipt().outcome, world.places())


async def test_cancelled_while_it_waits(world_with):
    """A task that is cancelled in the queue leaves it; one receipt says so."""
    world = world_with(max_running=1)
    lease = await world.admission.enter(Demand(RECORD))
    await cancelled(world, when=lambda: world.admission.waiting)
    world.admission.leave(lease, keep_alive_s=None, served_s=0)

    assert ("cancelled", (0, 0, 0)) == (world.receipt().outcome, world.places())


async def test_closing_after_the_last_event_is_no_cancellation(world):
    """A caller that reads to the last event and then closes has got its whole answer."""
    events = world.chat()
    while not isinstance(await anext(events), Done):
        pass
    await events.aclose()

    assert ("done", (0, 0, 0)) == (world.receipt().outcome, world.places())


# --- observers ---


@pytest.mark.parametrize("outcome", ["done", "error", "cancelled"])
async def test_observers_get_answer_and_receipt(world, engine, outcome: str):
    """Observers are told once of each request, with the text so far and the receipt."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].error = EngineFailed("broken") if outcome == "error" else None
    events = world.chat()
    with contextlib.suppress(EngineFailed):
        for _ in range(3 if outcome == "cancelled" else 5):
            await anext(events, None)
    await events.aclose()
    await world.pipeline.stop()

    assert [("one two", world.receipt())] == world.observer.seen
    assert outcome == world.receipt().outcome


async def test_failing_observer_changes_nothing(world_with):
    """An observer that raises is logged with its name; the answer and the other observers are as ever."""

    class Broken(FakeObserver):
        async def observe(self, request, answer, receipt):
            raise ZeroDivisionError

    world = world_with(observers=[Broken("broken one")])
    with capture_logs() as logs:
        events = await world.answer()
        await world.pipeline.stop()

    failures = [line["observer"] for line in logs if line["event"] == "observer_failed"]
    assert (["broken one"], Done, 1) == (failures, type(events[-1]), len(world.observer.seen))


async def test_slow_observer_does_not_hold_up_the_answer(world_with):
    """The answer is complete before observers have ended; stopping waits for them."""
    go_on = asyncio.Event()

    class Slow(FakeObserver):
        async def observe(self, request, answer, receipt):
            await go_on.wait()
            await super().observe(request, answer, receipt)

    slow = Slow()
    world = world_with(observers=[slow])
    events = await world.answer()
    before = list(slow.seen)
    go_on.set()
    await world.pipeline.stop()

    assert (Done, [], 1) == (type(events[-1]), before, len(slow.seen))


# --- texts ---


@pytest.mark.parametrize(("level", "told"), [("info", False), ("debug", True)])
async def test_texts_are_logged_on_debug_only(world_with, engine, logged, level: str, told: bool):
    """At info nothing of prompt or answer is in the log, however the request ends; at debug it is."""
    set_up_logging(LogSettings(level=level, format="json"), profile="development")
    world = world_with(observers=[AccessLog()], filters=[raising(ZeroDivisionError())])
    await world.pipeline.load(RECORD, keep_alive_s=None)
    model = engine.models[0]
    model.words = (f"answer {MARKER}",)
    request = replace(REQUEST, messages=(Message("user", f"prompt {MARKER}"),), prompt=f"raw {MARKER}")
    await world.answer(request)
    model.error = EngineFailed("broken")
    with pytest.raises(EngineFailed):
        await world.answer(request)
    model.error = None
    events = world.chat(request)
    await anext(events)
    await events.aclose()
    await world.pipeline.stop()
    text = logged()

    outcomes = [line.get("outcome") for line in map(json.loads, text.splitlines()) if line["event"] == "request_done"]
    assert (["done", "error", "cancelled"], told) == (outcomes, MARKER in text)


# --- where the model was read from, and how long it stays ---


async def test_notes_of_a_load_reach_the_receipts(world_with, residence_with, tmp_path):
    """The receipts of every answer of a model say why it was loaded from disk."""
    record = replace(RECORD, file=tmp_path / "a.gguf")
    stager = FakeStager(tmp_path, refusal=StagingRefused("the RAM disk is full"))
    world = World(residence_with(max_loaded=1, stagers=[stager]))
    for _ in range(2):
        await world.answer(record=record)
    _, receipt = await world.pipeline.embed(EmbedRequest("r2", "a", ("x",)), record, CALLER)

    assert [("loaded from disk: the RAM disk is full",)] * 3 == [r.notes for r in world.book.newest()]
    assert receipt in world.book.newest()


async def test_a_receipt_without_notes(world):
    """Where there is nothing to stage there is nothing to say."""
    await world.answer()

    assert () == world.receipt().notes


@pytest.mark.parametrize(
    ("keep_alive_s", "left_s"), [(None, 300), (60, 60), (0.5, 0.5), (-1, None)], ids=["settings", "s", "ms", "ever"]
)
async def test_keep_alive_of_a_request(world, keep_alive_s: float | None, left_s: float | None):
    """Each request says how long its model stays after the answer; without it the settings do."""
    await world.answer(replace(REQUEST, keep_alive_s=keep_alive_s))
    (view,) = world.residence.views()

    assert left_s == (view.expires_at and pytest.approx(view.expires_at - time.time(), abs=0.3))


async def test_keep_alive_of_zero(world, engine):
    """A request with `keep_alive` 0 is answered in full, then its model goes."""
    *_, done = await world.answer(replace(REQUEST, keep_alive_s=0))
    await until(lambda: engine.models[0].closed)

    assert "stop" == done.finish_reason


async def test_a_waiting_request_has_its_model_staged(world_with, residence_with, engine, tmp_path):
    """While a request waits behind another model, its own is copied to the RAM disk."""
    stager = FakeStager(tmp_path)
    world = World(residence_with(max_loaded=1, stagers=[stager]))
    engine.hold.clear()
    first = asyncio.create_task(world.answer())
    await until(lambda: engine.loads)
    second = asyncio.create_task(world.answer(record=ModelRecord("b", tmp_path / "b.gguf", engine="fake")))
    await until(lambda: stager.copies)
    answering = [not first.done(), not second.done()]
    engine.hold.set()
    await asyncio.gather(first, second)

    assert ([True, True], ["a", "b"]) == (answering, engine.loads)
