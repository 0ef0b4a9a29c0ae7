"""Which model follows which: what the past says of the next load."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

LEAST_SEEN = 3
LEAST_SHARE = 0.5


@dataclass(slots=True)
class SwapLog:
    """Counts, for each model, which other one was loaded next."""

    _last: str = ""
    _next: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, key: str) -> None:
        """A model has been loaded."""
        if self._last and self._last != key:
            self._next[self._last][key] += 1
        self._last = key

    def likely_next(self, key: str) -> str | None:
        """The model that followed this one in most cases; `None` while there are too few to say."""
        seen = self._next.get(key)
        if not seen:
            return None
        following, count = seen.most_common(1)[0]
        total = seen.total()
        return following if total >= LEAST_SEEN and count / total >= LEAST_SHARE else None
