"""The options of a request: those that are honoured, checked, and the others, taken note of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import structlog

from hoshikage import Sampling
from hoshikage.core.http.body import check
from hoshikage.plugins.routes_ollama.bodies import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

SAMPLING_FIELDS = tuple(f.name for f in dataclasses.fields(Sampling) if f.name in Options.__struct_fields__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Wrapped:
    """Gives an error in an option its full path, `options.temperature`."""

    options: Options


def read_options(given: Mapping[str, Any] | None) -> Options:
    """Check the options of a body.

    Raises:
        InvalidRequest: one has a wrong type or is out of range.
    """
    given = given or {}
    ignored = sorted(name for name, v in given.items() if v is not None and name not in Options.__struct_fields__)
    if ignored:
        log.warning("options_ignored", options=ignored)
    return check({"options": given}, _Wrapped).options


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
