"""The way of requests for numbers: vectors, scores and tokens."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from hoshikage import (
    ChatRequest,
    Embeddings,
    EmbedRequest,
    ModelFacts,
    Receipt,
    RerankRequest,
    Scores,
    Usage,
)
from hoshikage.core.demand import Demand
from hoshikage.core.errors import EngineFailed, InvalidRequest, ModelLoadFailed, QueueFull
from tests.core.pipelines import CALLER, RECORD, World
from tests.fakes import FakeFilter, until


def refuse(request: ChatRequest) -> ChatRequest:
    raise InvalidRequest("filters are for requests for text")


async def embed(world: World, *inputs: str, **fields) -> tuple[Embeddings, Receipt]:
    return await world.pipeline.embed(EmbedRequest("r1", "A", inputs or ("x",), **fields), RECORD, CALLER)


async def rerank(world: World, **fields) -> tuple[Scores, Receipt]:
    return await world.pipeline.rerank(RerankRequest("r1", "A", "q", ("d", "e"), **fields), RECORD, CALLER)


ASKS = {"embed": embed, "rerank": rerank}


@pytest.fixture(params=ASKS)
def ask(request):
    """Each of the requests that have receipts."""
    return ASKS[request.param]


@pytest.fixture
def world(world_with) -> World:
    """A pipeline whose filter must not be asked."""
    return world_with(filters=[FakeFilter(refuse)])


async def test_vectors_come_with_a_receipt(world):
    """One vector per input, with the receipt, which is filed as well."""
    made, receipt = await embed(world, "x", "y")

    assert (Embeddings(((0.6, 0.8),) * 2, 4), world.receipt()) == (made, receipt)


async def test_scores_come_with_a_receipt(world):
    """One score per document, with the receipt, which is filed as well."""
    made, receipt = await rerank(world)

    assert (Scores((1.0, 0.5), 5), world.receipt()) == (made, receipt)


@pytest.mark.parametrize(("ask", "tokens"), [("embed", 2), ("rerank", 5)], indirect=["ask"])
async def test_receipt_of_numbers(world, ask, tokens: int):
    """The receipt says who asked for what, how it ended and how many tokens were read."""
    _, receipt = await ask(world)

    assert ("r1", "a", CALLER, "done", Usage(tokens), None, None) == (
        receipt.request_id,
        receipt.model,
        receipt.caller,
        receipt.outcome,
        receipt.usage,
        receipt.finish_reason,
        receipt.error_code,
    )
    assert 0 <= receipt.queue_s <= receipt.queue_s + receipt.load_s <= receipt.total_s


async def test_observers_are_not_told_but_the_log_is(world, ask):
    """Observers know requests for text only; a line in the log accounts for the others."""
    with capture_logs() as logs:
        await ask(world)
    await world.pipeline.stop()
    lines = [line for line in logs if line["event"] == "vectors_done"]

    assert ([], [("r1", "a", "10.0.0.1", "done")]) == (
        world.observer.seen,
        [(line["request_id"], line["model"], line["caller"], line["outcome"]) for line in lines],
    )


async def test_places_are_given_back(world, ask):
    """Afterwards nothing is held."""
    await ask(world)

    assert (0, 0, 0) == world.places()


async def test_keep_alive_reaches_the_slot(world, engine, ask):
    """A request with `keep_alive` 0 leaves no model behind."""
    await ask(world, keep_alive_s=0)
    await until(lambda: engine.models[0].closed)

    assert 1 == engine.models[0].closed


# --- dimensions ---


async def test_vectors_are_cut_by_the_kernel(world, engine):
    """The engine makes whole vectors, and the caller gets what it asked for, at length 1."""
    made, _ = await embed(world, "x", dimensions=1)

    assert ((1.0,),) == made.vectors


async def test_impossible_dimensions_are_refused_before_the_load(world, engine):
    """More numbers than the header tells of are refused before anything is computed, with a receipt."""
    engine.known = ModelFacts("fake", embedding_length=2)
    with pytest.raises(InvalidRequest, match="dimensions is 3"):
        await embed(world, "x", dimensions=3)

    assert ([], "error", "invalid_request") == (engine.loads, world.receipt().outcome, world.receipt().error_code)


async def test_impossible_dimensions_are_refused_afterwards_at_the_latest(world):
    """Where the header does not tell, the vectors do."""
    with pytest.raises(InvalidRequest, match="dimensions is 3"):
        await embed(world, "x", dimensions=3)

    assert ("error", (0, 0, 0)) == (world.receipt().outcome, world.places())


# --- errors and cancellation ---


@pytest.mark.parametrize(
    ("error", "code"), [(EngineFailed("broken"), "inference_failed"), (ZeroDivisionError(), "internal_error")]
)
async def test_error_of_the_engine(world, engine, ask, error: Exception, code: str):
    """An engine's error reaches the caller; it has a receipt and a line in the log, and nothing is held."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    engine.models[0].error = error
    with capture_logs() as logs, pytest.raises(type(error)):
        await ask(world)

    assert ("error", code, (0, 0, 0)) == (world.receipt().outcome, world.receipt().error_code, world.places())
    assert [code] == [line["error_code"] for line in logs if line["event"] == "vectors_done"]


async def test_failed_load(world, engine, ask):
    """A load that fails is the request's error."""
    engine.error = ModelLoadFailed("no memory")
    with pytest.raises(ModelLoadFailed):
        await ask(world)

    assert ("model_load_failed", (0, 0, 0)) == (world.receipt().error_code, world.places())


async def test_refused_by_the_queue(world_with, ask):
    """A request that finds the queue full has a receipt too."""
    world = world_with(max_running=1, max_queued=0)
    await world.admission.enter(Demand(RECORD))
    with pytest.raises(QueueFull):
        await ask(world)

    assert "queue_full" == world.receipt().error_code


async def test_cancelled_while_it_computes(world, engine, ask):
    """A request whose task is cancelled gives back its place; one receipt says so."""
    await world.pipeline.load(RECORD, keep_alive_s=None)
    model = engine.models[0]
    model.hold.clear()
    task = asyncio.create_task(ask(world))
    await until(lambda: model.running)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert ("cancelled", 0, (0, 0, 0)) == (world.receipt().outcome, model.running, world.places())


# --- tokens ---


async def test_tokens_have_no_receipt(world):
    """Text and tokens are turned into each other without a receipt; nothing is held afterwards."""
    tokens = await world.pipeline.tokenize("ab", RECORD, special=True)
    plain = await world.pipeline.tokenize("ab", RECORD, special=False)
    text = await world.pipeline.detokenize((97, 98), RECORD)

    assert ((0, 97, 98), (97, 98), "ab") == (tokens, plain, text)
    assert ((), (0, 0, 0)) == (world.book.newest(), world.places())
