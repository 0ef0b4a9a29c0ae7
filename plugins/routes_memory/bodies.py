"""The bodies of requests about memories, and memories as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from hoshikage import MemoryKind  # noqa: TC001  msgspec reads it

if TYPE_CHECKING:
    from hoshikage import Memory, Recalled

YEAR_9999_S: Final = 253_370_764_800  # its first second; a day later than it can be none in some time zones
Name = Annotated[str, msgspec.Meta(max_length=256)]


class NewMemory(msgspec.Struct, frozen=True):
    """A note to write down."""

    text: str
    session: Name = ""


class Correction(msgspec.Struct, frozen=True):
    """What a memory is to say from now on."""

    text: str


class Line(msgspec.Struct, frozen=True):
    """One line of an export; an import needs the text alone."""

    text: str
    said_at: Annotated[float, msgspec.Meta(ge=0, le=YEAR_9999_S)] | None = None
    role: Literal["user", "assistant", "note", "digest"] = "note"
    kind: MemoryKind = "note"
    session: Name = ""
    request_id: Name = ""


def memory_row(memory: Memory) -> dict[str, Any]:
    """A memory as it is listed and exported."""
    return {"object": "memory", **msgspec.to_builtins(memory)}


def recalled_row(item: Recalled) -> dict[str, Any]:
    """A memory that was searched for."""
    return {**memory_row(item.memory), "score": item.score, "why": dict(item.why)}
