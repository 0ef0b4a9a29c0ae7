"""Why copies stay: loaded models read from them, somebody has just asked for them, or they are pinned."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.plugins.ramdisk.staging import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hoshikage import ModelRecord
    from hoshikage.plugins.ramdisk.guards import Guards
    from hoshikage.plugins.ramdisk.shelf import ShelfCopy

# A record's file and its time: an old version may still be held when a new one is copied.
RecordKey = tuple[Path, float]


def record_key(record: ModelRecord) -> RecordKey:
    """What holds are counted by."""
    return (record.file or Path(), record.modified_at)


class Uses:
    """The uses of one stager's copies; lives in the event loop. Each reason keeps one guard."""

    def __init__(self, guards: Guards, clock: Callable[[], float] = time.monotonic) -> None:
        self.pins: frozenset[Path] = frozenset()
        self._guards = guards
        self._clock = clock
        self._since: dict[str, float] = {}
        self._seen_ns: dict[str, int] = {}
        self._holds: Counter[RecordKey] = Counter()
        self._held: dict[RecordKey, str] = {}  # which copy a record's holds keep; none where there was no copy
        self._pin_guards: set[str] = set()

    def usage(self) -> Usage:
        """For the decision who goes; called from threads."""
        return Usage(dict(self._since), self.pins)

    # --- idle time ---

    def used(self, copy: ShelfCopy) -> None:
        """It was used just now."""
        now_ns = time.time_ns()
        copy.mark_used(now_ns)
        self._seen_ns[copy.key] = now_ns
        self._since[copy.key] = self._clock()

    def look_at(self, copies: Sequence[ShelfCopy]) -> None:
        """See which copies there are, and which of them other processes have used since the last look.

        The time on a marker says *that* it was used, by being another one than before; when, our own clock says.
        """
        now = self._clock()
        for copy in copies:
            if self._seen_ns.get(copy.key) != copy.used_ns:
                self._since[copy.key] = now
        self._seen_ns = {copy.key: copy.used_ns for copy in copies}
        self._since = {copy.key: self._since[copy.key] for copy in copies}

    def idle_s(self, copy: ShelfCopy) -> float:
        """For how long it has not been used, by a clock that nobody can set."""
        now = self._clock()
        return now - self._since.get(copy.key, now)

    def rank(self, copy: ShelfCopy) -> tuple[float, int]:
        """Larger is used later."""
        return (self._since.get(copy.key, 0.0), copy.used_ns)

    # --- holds ---

    def hold(self, record: ModelRecord, copy: ShelfCopy | None) -> None:
        """Count one hold; the first takes the guard."""
        key = record_key(record)
        self._holds[key] += 1
        if key not in self._held and copy is not None and self._guards.take(copy.key, copy.folder):
            self._held[key] = copy.key
            self.used(copy)

    def release(self, record: ModelRecord) -> None:
        """Take back one hold; a release too many is none."""
        key = record_key(record)
        if self._holds[key] > 1:
            self._holds[key] -= 1
            return
        del self._holds[key]
        if (held := self._held.pop(key, None)) is not None:
            self._guards.drop(held)

    def is_held(self, copy: ShelfCopy) -> bool:
        """Whether a model that this process loaded reads from it."""
        return copy.key in self._held.values()

    # --- pins ---

    def guard_pinned(self, copies: Iterable[ShelfCopy]) -> None:
        """Keep the pinned ones of these, and no others, from going in other processes too.

        One that is not whole is not worth it: the guard would keep it from being made anew.
        """
        wanted = {copy.key: copy for copy in copies if copy.source in self.pins and copy.state() == "whole"}
        for key in self._pin_guards - wanted.keys():
            self._guards.drop(key)
        added = {k for k, c in wanted.items() if k not in self._pin_guards and self._guards.take(k, c.folder)}
        self._pin_guards = (self._pin_guards & wanted.keys()) | added

    def drop_pin_guard(self, copy: ShelfCopy) -> None:
        """Let a pinned one go all the same."""
        if copy.key in self._pin_guards:
            self._pin_guards.remove(copy.key)
            self._guards.drop(copy.key)

    def clear(self) -> None:
        """Nothing is used any more."""
        self._holds.clear()
        self._held.clear()
        self._pin_guards.clear()
        self._guards.drop_all()
