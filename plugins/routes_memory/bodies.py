"""The bodies of requests about memories, and memories as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from hoshikage import Memory, Recalled


class NewMemory(msgspec.Struct, frozen=True):
    """A note to write down."""

    text: str
    session: str = ""


class Correction(msgspec.Struct, frozen=True):
    """What a memory is to say from now on."""

    text: str


class Line(msgspec.Struct, frozen=True):
    """One line of an export; an import needs the text alone."""

    text: str
    said_at: float | None = None
    role: str = "note"
    kind: str = "note"
    session: str = ""
    request_id: str = ""


def memory_row(memory: Memory) -> dict[str, Any]:
    """A memory as it is listed and exported."""
    return {"object": "memory", **msgspec.to_builtins(memory)}


def recalled_row(item: Recalled) -> dict[str, Any]:
    """A memory that was searched for."""
    return {**memory_row(item.memory), "score": item.score, "why": dict(item.why)}
