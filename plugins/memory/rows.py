"""How a memory stands in the tables: its columns, its hash, its terms, and the name of its owner."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hoshikage import Memory
from hoshikage.plugins.memory.text import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Owner

COLUMNS: Final = "id, text, said_at, role, kind, session, request, superseded_by"


@dataclass(frozen=True, slots=True)
class Row:
    """A memory with what the index knows of it.

    Attributes:
        number: its place in the order of writing, and its key in the index.
        length: terms that it has.
        plain: its text, normalised.
    """

    number: int
    memory: Memory
    length: int
    plain: str = field(init=False)

    def __post_init__(self) -> None:
        """Normalise the text once: much of a recall reads it."""
        object.__setattr__(self, "plain", normalised(self.memory.text))


def memory_of(row: tuple[Any, ...]) -> Memory:
    """A memory of its `COLUMNS`."""
    identity, text, said_at, role, kind, session, request, superseded_by = row
    return Memory(identity, text, said_at, role, kind, session, request, superseded_by)


def owner_name(owner: Owner) -> str:
    """Names that clients choose can hold anything; hashed, none of them can look like another one's parts."""
    parts = (owner.key, owner.user, owner.project)
    return hashlib.sha256(b"\0".join(hashlib.sha256(p.encode("utf-8", "replace")).digest() for p in parts)).hexdigest()


def indexed(space: int, terms: Sequence[str]) -> str:
    """The terms as the index has them: with the number of the space, so that no search can reach across two."""
    return " ".join(f"{space}x{term}" for term in terms)


def hash_of(text: str) -> bytes:
    """What two texts have in common that say the same in a session."""
    return hashlib.sha256(normalised(text).strip().encode("utf-8", "replace")).digest()
