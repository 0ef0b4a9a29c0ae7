"""Lengths of time as clients write them."""

from __future__ import annotations

import re

from hoshikage.core.errors import InvalidRequest

LONGEST_S = 1e9  # thirty years
SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"
_DURATION = re.compile(rf"(-?)((?:{_PART})+)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def keep_alive_s(value: float | str | None) -> float | None:
    """How long a model stays loaded: a number of seconds, or a text such as `5m` or `1h30m`; negative is for ever.

    Raises:
        InvalidRequest: the text is no duration, or one that no calendar holds.
    """
    seconds = _seconds(value) if isinstance(value, str) else value
    if seconds is not None and seconds > LONGEST_S:
        raise InvalidRequest(
            f"keep_alive: {seconds:g} seconds is too long; a negative number keeps the model for ever",
            param="keep_alive",
        )
    return seconds


def _seconds(value: str) -> float:
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"keep_alive: {value[:40]!r} is no duration; send seconds, or a text such as 5m or 1h30m",
            param="keep_alive",
        )
    seconds = sum(float(number) * SECONDS[unit] for number, unit in re.findall(_PART, match[2]))
    return -seconds if match[1] else seconds
