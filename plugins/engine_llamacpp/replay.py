"""After a worker's death: who goes on in the next one, and who may have killed it. Pure decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from collections.abc import Sequence

DEATHS_TO_BLAME = 2
MAX_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class InFlight:
    """A request that a worker was computing when it died.

    Attributes:
        deaths: workers that died with it, this one included.
    """

    number: int
    deaths: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of those that were in flight.

    Attributes:
        guilty: they end with an error.
        together: they go on at once.
        one_by_one: they go on one after another, so that the next death has one possible cause.
    """

    guilty: tuple[int, ...] = ()
    together: tuple[int, ...] = ()
    one_by_one: tuple[int, ...] = ()


def judge(in_flight: Sequence[InFlight]) -> Verdict:
    """Decide who goes on. Whoever was alone with the second worker that died has killed it.

    Others who were there twice go on one at a time: the guilty one is then alone with its next victim.
    """
    suspects = [r for r in in_flight if r.deaths >= DEATHS_TO_BLAME]
    if not suspects:
        return Verdict(together=tuple(r.number for r in in_flight))
    if len(in_flight) == 1:
        return Verdict(guilty=(suspects[0].number,))
    ordered = sorted(in_flight, key=lambda r: -r.deaths)
    return Verdict(one_by_one=tuple(r.number for r in ordered))


@dataclass(slots=True)
class Quarantine:
    """Prompts that have killed workers, by a fingerprint of all but their numbers; lives as long as the server."""

    _known: dict[bytes, None] = field(default_factory=dict)

    def add(self, model: str, frame: frames.Generate) -> None:
        """Remember a prompt; the oldest is forgotten when there are many."""
        self._known[_fingerprint(model, frame)] = None
        while len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]

    def holds(self, model: str, frame: frames.Generate) -> bool:
        """Whether this prompt has killed workers of this model."""
        return bool(self._known) and _fingerprint(model, frame) in self._known


def _fingerprint(model: str, frame: frames.Generate) -> bytes:
    bare = msgspec.structs.replace(frame, id=0, so_far=[], deadline_s=0.0, scope="")
    return hashlib.sha256(model.encode() + b"\0" + frames.pack(bare)).digest()
