"""What `hoshikage doctor` looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        level: `ok`; `warning`: it works, but less well; `error`: something will not work.
        found: what was seen, with the value.
        advice: what to do about it; empty when all is well.
    """

    name: str
    level: Literal["ok", "warning", "error"]
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A named look at the machine; it may take seconds and must not change anything."""

    name: str
    run: Callable[[], Sequence[CheckResult]]
