"""The defaults: what a request leaves open is filled in, what it says stays."""

from __future__ import annotations

import pytest

from hoshikage import Caller, ChatRequest, ModelRecord, Sampling
from hoshikage.plugins.defaults.filter import SAMPLING_DEFAULTS, DefaultsFilter
from hoshikage.plugins.defaults.settings import DefaultsSettings

SETTINGS = DefaultsSettings(
    temperature=0.2,
    top_k=40,
    top_p=0.8,
    min_p=0.05,
    repeat_penalty=1.1,
    repeat_last_n=64,
    max_tokens_streaming=2096,
    max_tokens_non_streaming=1024,
)
OPEN = Sampling()
# What a request says, and what the settings say.
VALUES = {
    "temperature": (0.0, 0.2),
    "top_k": (0, 40),
    "top_p": (1.0, 0.8),
    "min_p": (0.0, 0.05),
    "repeat_penalty": (1.0, 1.1),
    "repeat_last_n": (-1, 64),
}


async def completed(
    *, sampling: Sampling = OPEN, record_stop: tuple[str, ...] = (), settings=SETTINGS, **fields
) -> ChatRequest:
    request = ChatRequest("r1", "m", sampling=sampling, **fields)
    return await DefaultsFilter(settings).apply(request, ModelRecord("m", stop=record_stop), Caller())


def test_table_here_is_complete():
    """No sampling default exists that the table above does not hold."""
    assert set(SAMPLING_DEFAULTS) == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
async def test_open_value_is_filled_in(name: str):
    """A sampling value that the request leaves open is that of the settings."""
    request = await completed()

    assert VALUES[name][1] == getattr(request.sampling, name)


@pytest.mark.parametrize("name", VALUES)
async def test_value_of_the_request_wins(name: str):
    """A sampling value that the request gives stays, even if it is 0."""
    request = await completed(sampling=Sampling(**{name: VALUES[name][0]}))

    assert VALUES[name][0] == getattr(request.sampling, name)


async def test_unset_default_leaves_the_value_open():
    """Where the settings say nothing either, the choice is left to the engine."""
    request = await completed(settings=DefaultsSettings())

    assert Sampling() == request.sampling


async def test_other_sampling_values_stay():
    """Values that have no default pass through."""
    sampling = Sampling(seed=7, typical_p=0.5, presence_penalty=1.0, logit_bias={5: -1.0})
    request = await completed(sampling=sampling, settings=DefaultsSettings())

    assert sampling == request.sampling


@pytest.mark.parametrize(
    ("stream", "given", "max_tokens"),
    [(True, None, 2096), (False, None, 1024), (True, 5, 5), (False, 5, 5), (True, -1, -1), (False, 0, 0)],
)
async def test_longest_answer(stream: bool, given: int | None, max_tokens: int):
    """The longest answer is the request's, or that of the settings for its kind."""
    request = await completed(stream=stream, max_tokens=given)

    assert max_tokens == request.max_tokens


@pytest.mark.parametrize(
    ("own", "models", "stop"),
    [
        ((), (), ()),
        (("a",), (), ("a",)),
        ((), ("x", "y"), ("x", "y")),
        (("a", "x"), ("x", "y"), ("a", "x", "y")),
    ],
)
async def test_stop_strings_of_the_model_are_added(own, models, stop: tuple[str, ...]):
    """The model's stop strings always apply, after those of the request, and none twice."""
    request = await completed(stop=own, record_stop=models)

    assert stop == request.stop


def test_built_in_defaults_stand_at_100():
    """Filters of others can stand before and after the defaults."""
    assert ("defaults", 100) == (DefaultsFilter.name, DefaultsFilter.order)
