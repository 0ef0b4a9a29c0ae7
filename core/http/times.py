"""Points in time as the protocols write them."""

from __future__ import annotations

import datetime


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, in UTC, with microseconds and an offset."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="microseconds")
