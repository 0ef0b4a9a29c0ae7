"""`hoshikage` under a wall clock that a test may turn; run as a script, with the command's own arguments.

The clock is off by the seconds that the file named in `TEST_CLOCK_FILE` holds.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from pathlib import Path

OFFSET = Path(os.environ["TEST_CLOCK_FILE"])
real_time = time.time


def turned_time() -> float:
    return real_time() + float(OFFSET.read_text())


class TurnedDatetime(datetime.datetime):
    """The one whose `now` follows the turned clock."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(turned_time(), tz)


if __name__ == "__main__":
    time.time = turned_time
    time.time_ns = lambda: int(turned_time() * 1e9)
    datetime.datetime = TurnedDatetime  # type: ignore[misc]  # what this script is for

    from hoshikage.core.cli import main

    sys.argv[0] = "hoshikage"
    main()
