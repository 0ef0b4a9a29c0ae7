"""The options of a request: those that are honoured, checked, and the others, taken note of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import structlog

from hoshikage.core.http.body import check
from hoshikage.core.parameters import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)


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
