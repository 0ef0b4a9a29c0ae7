"""Sampling parameters by Ollama's names: those that are honoured, and what they may be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import structlog
from msgspec import Meta

from hoshikage.core.contracts import Sampling
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.durations import keep_alive_s

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

# What llama.cpp counts with.
INT32_MAX = 2**31 - 1
# Where the names of the adapters stand that a model always uses. No client can set it: it is no parameter of Ollama's.
ADAPTERS = "adapters"

Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
LookBack = Annotated[int, Meta(ge=-1, le=INT32_MAX)]
Strength = Annotated[float, Meta(ge=0, le=100)]
StopString = Annotated[str, Meta(max_length=1000)]


class Options(msgspec.Struct, frozen=True):
    """The options of a request that are honoured; any other is taken note of and has no effect.

    The second group is not Ollama's; it stands under the names that llama.cpp's server has for it.
    """

    temperature: Strength | None = None
    top_k: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None
    repeat_last_n: LookBack | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    mirostat: Literal[0, 2] | None = None
    mirostat_tau: Strength | None = None
    mirostat_eta: Strength | None = None
    seed: Seed | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=INT32_MAX)] | None = None
    stop: StopString | Annotated[list[StopString], Meta(max_length=64)] | None = None
    num_ctx: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None

    dry_multiplier: Strength | None = None
    dry_base: Strength | None = None
    dry_allowed_length: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    dry_penalty_last_n: LookBack | None = None
    dry_sequence_breakers: Annotated[tuple[StopString, ...], Meta(max_length=64)] | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    ignore_eos: bool | None = None


class ModelParameters(Options, frozen=True):
    """What a model may bring as its defaults; `keep_alive` is a number of seconds or a duration, as in a request."""

    keep_alive: float | str | None = None


SAMPLING_FIELDS = tuple(f.name for f in dataclasses.fields(Sampling) if f.name in Options.__struct_fields__)


def check_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are honoured; others are named in the log and left out, `null` is unset.

    Raises:
        InvalidRequest: one has a wrong type or is out of range.
    """
    known = ModelParameters.__struct_fields__
    if ignored := sorted(name for name, value in given.items() if value is not None and name not in known):
        log.warning("parameters_ignored", parameters=ignored)
    kept = {name: value for name, value in given.items() if value is not None and name in known}
    for name, value in kept.items():
        try:
            msgspec.convert({name: value}, ModelParameters)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at ")[0]
            raise InvalidRequest(f"parameters.{name}: {reason}", param=f"parameters.{name}") from error
    try:
        keep_alive_s(kept.get("keep_alive"))
    except InvalidRequest as error:
        raise InvalidRequest(f"parameters.{error.message}", param="parameters.keep_alive") from error
    return kept


def usable_parameters(given: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The same for what comes from elsewhere: a parameter that makes no sense is named in the log and left out."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        try:
            kept |= check_parameters({name: value})
        except InvalidRequest as error:
            log.warning("parameter_left_out", model=model, reason=error.message)
    return kept


def sampling_of(options: Options) -> Sampling:
    """How tokens are chosen; what is unset is left to the defaults."""
    named = {name: getattr(options, name) for name in SAMPLING_FIELDS}
    return Sampling(**{name: value for name, value in named.items() if value is not None})


def max_tokens_of(options: Options) -> int | None:
    """The longest answer. Ollama's 0, -1 and -2 all mean: as far as the context goes."""
    if options.num_predict is None:
        return None
    return options.num_predict if options.num_predict > 0 else -1


def stop_of(options: Options) -> tuple[str, ...]:
    """Stop strings; an empty one would stop everything, and is what some clients send for none."""
    strings = [options.stop] if isinstance(options.stop, str) else options.stop or []
    return tuple(s for s in strings if s)
