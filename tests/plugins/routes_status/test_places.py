"""Asking about models, and moving them between disk, RAM disk and memory."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from hoshikage import ModelFacts, ModelRecord
from hoshikage.core.errors import StagingRefused
from tests.fakes import until
from tests.plugins.routes_status.conftest import GIB, Place

ACTIONS = ("plan", "stage", "unstage", "load", "unload", "pin", "unpin")


# --- plan ---


async def test_plan_of_a_model_that_fits(place: Place):
    """It fits, with bytes, and nothing was done for it."""
    status, found = await place.post("/v1/plan", model="small", num_ctx=2048, parallel=2)

    expected = {
        "model": "small",
        "context_length": 4096,
        "parallel": 2,
        "tier": "disk",
        "fits": True,
        "starts_at_once": True,
        "need": {
            "weights_bytes": 1000,
            "context_bytes": 0,
            "other_bytes": 0,
            "vram_bytes": 0,
            "measured": False,
            "ram_bytes": 1000,
        },
        "free_vram_bytes": None,
        "missing_ram_bytes": 0,
        "missing_vram_bytes": 0,
        "evicts": [],
        "waits_for": [],
        "expected_s": 0.3,
    }
    assert (200, expected) == (status, {key: found[key] for key in expected})
    assert {*expected, "free_ram_bytes", "advice"} == set(found)
    assert ([], []) == (place.loaded(), place.stager.done[1:])


async def test_plan_of_a_model_that_never_fits(place: Place):
    """It says how many bytes are missing, and that is no error."""
    status, found = await place.post("/v1/plan", model="big")

    assert (200, False) == (status, found["fits"])
    assert found["missing_ram_bytes"] > 9 * 10**5 * GIB
    assert f"{found['missing_ram_bytes']} bytes" in found["advice"][0]


async def test_plan_follows_the_tiers(place: Place):
    """The same model on disk, on the RAM disk, and loaded."""
    tiers = []
    for action in ("stage", "load", None):
        tiers.append((await place.post("/v1/plan", model="small"))[1]["tier"])
        if action:
            await place.post(f"/v1/{action}", model="small")

    assert ["disk", "staged", "loaded"] == tiers


@pytest.mark.parametrize(
    "body",
    [{"num_ctx": None, "parallel": None}, {"num_ctx": 0, "parallel": 1}, {"color": "red"}],
    ids=["nulls", "zeros", "unknown"],
)
async def test_plan_leaves_open_what_is_not_said(place: Place, body: dict):
    """Nulls are unset, and unknown fields do no harm."""
    status, found = await place.post("/v1/plan", {"model": "small", **body})

    assert (200, 0, 1) == (status, found["context_length"], found["parallel"])


# --- stage and unstage ---


async def test_staging(place: Place):
    """A copy is made, and given up; a second time there is none."""
    answers = [(await place.post(f"/v1/{action}", model="small")) for action in ("stage", "unstage", "unstage")]

    assert [
        (200, {"model": "small", "staged": True}),
        (200, {"model": "small", "gone": True}),
        (200, {"model": "small", "gone": False}),
    ] == answers


async def test_a_loaded_model_keeps_its_copy(place: Place):
    """The copy of a loaded model cannot be given up."""
    await place.post("/v1/load", model="small")

    assert (200, {"model": "small", "gone": False}) == await place.post("/v1/unstage", model="small")


async def test_a_refused_copy_is_an_error(place: Place):
    """The stager's reason is the message."""
    place.stager.refusal = StagingRefused("the RAM disk is full")
    status, answer = await place.post("/v1/stage", model="small")

    assert (507, "the RAM disk is full", "staging_refused") == (
        status,
        answer["error"]["message"],
        answer["error"]["code"],
    )


@pytest.mark.parametrize("action", ["stage", "unstage"])
async def test_without_a_ram_disk(place_of: Callable[..., Awaitable[Place]], action: str):
    """Where no RAM disk is available, the reason is told."""
    place = await place_of(available=False)
    status, answer = await place.post(f"/v1/{action}", model="small")

    assert (507, "model 'small' cannot be staged: told so") == (status, answer["error"]["message"])


@pytest.mark.parametrize("action", ["stage", "unstage"])
async def test_a_model_without_a_file(place: Place, action: str):
    """What has no file is a bad request that names the model."""
    status, answer = await place.post(f"/v1/{action}", model="echo")

    assert (400, "model") == (status, answer["error"]["param"])


# --- load and unload ---


async def test_loading(place: Place):
    """The answer comes when the model is loaded, from its copy; asking again changes nothing."""
    answers = [await place.post("/v1/load", model="Small:latest") for _ in range(2)]
    (view,) = place.kernel.status().loaded

    assert [(200, {"model": "Small:latest", "loaded": True})] * 2 == answers
    assert ("small", "ready", True) == (view.record.name, view.state, view.staged)


async def test_loading_with_a_longer_context(place: Place, monkeypatch: pytest.MonkeyPatch):
    """`num_ctx` is what the context holds at least; another load makes it longer, none makes it shorter."""

    async def without_bound(record: ModelRecord) -> ModelFacts:
        return ModelFacts()

    monkeypatch.setattr(place.kernel._catalog, "facts_or_none", without_bound)
    lengths = []
    for tokens in (None, 5000, 2048, 0, 20_000):
        await place.post("/v1/load", model="small", num_ctx=tokens)
        lengths.append(place.kernel.status().loaded[0].context_length)

    assert [4096, 8192, 8192, 8192, 32_768] == lengths


@pytest.mark.parametrize(
    ("keep_alive", "left_s"), [(60, 60), ("2m", 120), ("1.5h", 5400), (-1, None), ("-1", None), (None, 300)]
)
async def test_loading_for_a_time(place: Place, keep_alive, left_s: float | None):
    """How long the model stays without being asked."""
    status, _ = await place.post("/v1/load", model="small", keep_alive=keep_alive)
    (view,) = place.kernel.status().loaded

    assert 200 == status
    assert left_s == (view.expires_at and pytest.approx(view.expires_at - time.time(), abs=1))


async def test_loading_what_never_fits(place: Place):
    """The refusal says what it takes and what is missing."""
    status, answer = await place.post("/v1/load", model="big")

    assert (507, "insufficient_memory", "model") == (status, answer["error"]["code"], answer["error"]["param"])
    assert "bytes of main memory would be missing" in answer["error"]["message"]


async def test_unloading(place: Place):
    """A loaded model goes; one that is not loaded is no error."""
    await place.post("/v1/load", model="small")
    answers = [await place.post("/v1/unload", model="small")]
    await until(lambda: not place.loaded())
    answers.append(await place.post("/v1/unload", model="small"))

    assert [(200, {"model": "small", "asked": True})] * 2 == answers


# --- pin and unpin ---


async def test_pinning(place: Place):
    """A pinned model stays loaded when it is idle, and so does its copy; unpinned it goes."""
    await place.post("/v1/pin", model="small")
    await place.post("/v1/load", model="small", keep_alive=0)
    (pinned,) = place.kernel.status().loaded
    copies = set(place.stager.pinned)
    answer = await place.post("/v1/unpin", model="small")
    await until(lambda: not place.loaded())

    assert (True, None, {pinned.record.file}) == (pinned.pinned, pinned.expires_at, copies)
    assert ((200, {"model": "small", "pinned": False}), set()) == (answer, place.stager.pinned)


async def test_what_has_no_file_can_be_pinned(place: Place):
    """There is no copy of it, but it stays loaded."""
    status, _ = await place.post("/v1/pin", model="echo")
    await place.post("/v1/load", model="echo", keep_alive=0)

    assert (200, True) == (status, place.kernel.status().loaded[0].pinned)


# --- bad input ---


async def test_unknown_models(place: Place):
    """An unknown name is 404."""
    for action in ACTIONS:
        status, answer = await place.post(f"/v1/{action}", model="nobody")

        assert (404, "model_not_found") == (status, answer["error"]["code"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "model"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        (["small"], "JSON object"),
        ("small", "JSON object"),
    ],
)
async def test_bodies_without_a_model(place: Place, body: object, words: str):
    """A body that names no model is 400, and the message says what is missing."""
    for action in ACTIONS:
        status, answer = await place.post(f"/v1/{action}", body)

        assert 400 == status
        assert words in answer["error"]["message"]


@pytest.mark.parametrize(("content", "words"), [(b"", "missing request body"), (b'{"model": ', "JSON")])
async def test_bodies_that_are_none(place: Place, content: bytes, words: str):
    """No body, and a torn one, are 400."""
    for action in ACTIONS:
        response = await place.client.post(f"/v1/{action}", data=content)

        assert 400 == response.status_code
        assert words in (await response.get_json())["error"]["message"]


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [
        ("plan", "num_ctx", -1),
        ("plan", "num_ctx", "many"),
        ("plan", "num_ctx", 2**31),
        ("plan", "num_ctx", 2**70),
        ("plan", "num_ctx", 1.5),
        ("plan", "parallel", 0),
        ("plan", "parallel", 4097),
        ("plan", "parallel", True),
        ("load", "num_ctx", -1),
        ("load", "num_ctx", [1]),
        ("load", "num_ctx", 2**40),
        ("load", "keep_alive", "soon"),
        ("load", "keep_alive", True),
        ("load", "keep_alive", {}),
    ],
)
async def test_bad_fields_are_named(place: Place, action: str, field: str, value: object):
    """A value of a wrong type or out of range is 400, names its field, and nothing is loaded."""
    status, answer = await place.post(f"/v1/{action}", {"model": "small", field: value})

    assert (400, field, []) == (status, answer["error"]["param"], place.loaded())
    assert field in answer["error"]["message"]


async def test_only_post(place: Place):
    """To look at such an address changes nothing."""
    assert {405} == {(await place.client.get(f"/v1/{action}")).status_code for action in ACTIONS}
