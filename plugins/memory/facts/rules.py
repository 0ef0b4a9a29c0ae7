"""The form of the rules by which statements are recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to say something of oneself.

    Attributes:
        slot: what it is about.
        pattern: with the group `v` for the value, `s` for what exactly it is about, `old` for what it was.
        value: where the pattern has no `v`.
        holds: see `Claim`, as for `changes` and `careful`.
        each: each value is a slot of its own, as one can like many things.
        denied: values that tell nothing.
        names: one name for several of the same subject.
    """

    slot: str
    pattern: re.Pattern[str]
    value: str = ""
    holds: bool = True
    changes: bool = False
    careful: bool = False
    each: bool = False
    denied: re.Pattern[str] | None = None
    names: Mapping[str, str] | None = None

    def one_name(self, subject: str) -> str:
        """The subject by the name that stands for all of its names."""
        return (self.names or {}).get(subject, subject)


@dataclass(slots=True)
class Clause:
    """A part of a sentence that can be a statement by itself.

    Attributes:
        rest: what it says beside its claims.
        changes: the sentence says that something was otherwise before.
    """

    text: str
    japanese: bool
    changes: bool = False
    rest: str = ""
