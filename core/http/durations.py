"""Lengths of time as clients write them."""

from __future__ import annotations

import re

from hoshikage.core.errors import InvalidRequest

LONGEST_S = 1e9  # thirty years; calendars end before the largest number does
FOREVER_S = -1.0
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)"
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+)", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)


def keep_alive_s(value: float | str | None) -> float | None:
    """How long to keep the model: a number of seconds, or a Go duration such as `5m` or `-1m`; negative is for ever.

    What is longer than thirty years is for ever too: that is what such numbers are meant to say.

    Raises:
        InvalidRequest: the text is no duration.
    """
    seconds = _seconds(value) if isinstance(value, str) else value
    return FOREVER_S if seconds is not None and seconds > LONGEST_S else seconds


def _seconds(value: str) -> float:
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)  # Go refuses a bare number in a string; clients send it all the same
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"keep_alive: {value[:40]!r} is no duration; use seconds, or a text such as 5m or 1h30m",
            param="keep_alive",
        )
    seconds = sum(float(number) * SECONDS[unit] for number, unit in re.findall(_PART, match[2]))
    return -seconds if match[1] == "-" else seconds
