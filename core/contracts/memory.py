"""Long-term memory: what is remembered, of whom, and how it comes back into a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from hoshikage.core.contracts.chat import Caller, ChatRequest
    from hoshikage.core.contracts.receipts import Receipt

MemoryMode = Literal["off", "read", "on"]
MemoryKind = Literal["turn", "digest", "note"]


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a request wants of memory.

    Attributes:
        mode: `read` recalls and writes nothing, `on` does both; `None` leaves it to the settings.
        user: the person, as the client names them; empty where it names nobody.
        project: a part of that person's memories that is kept apart.
        session: the conversation; empty where the client does not say.
    """

    mode: MemoryMode | None = None
    user: str = ""
    project: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose memories: nothing is ever found across two owners.

    Attributes:
        key: what tells callers apart, see `Caller.key`.
        user: the person among those who share the key.
        project: a part of the person's memories.
    """

    key: str
    user: str = ""
    project: str = ""


def owner_of(caller: Caller) -> Owner:
    """Whose memories a caller has."""
    return Owner(caller.key, caller.memory.user, caller.memory.project)


@dataclass(frozen=True, slots=True)
class Memory:
    """One thing that is remembered.

    Attributes:
        id: never used again, also after it was forgotten.
        said_at: seconds since the epoch.
        role: who said it: `user`, `assistant`, `note` for what was written by hand, or `digest` for what the store
            made of a conversation.
        session: the conversation it is from.
        request_id: of the request it is from; empty where it is from none.
        superseded_by: the id of a newer memory that says otherwise.
    """

    id: str
    text: str
    said_at: float
    role: str = "note"
    kind: MemoryKind = "note"
    session: str = ""
    request_id: str = ""
    superseded_by: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that was found.

    Attributes:
        score: how well it fits, 0 to 1.
        why: the parts of the score, by name.
    """

    memory: Memory
    score: float
    why: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecalledItem:
    """The same for a receipt, which holds no text."""

    id: str
    score: float
    why: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recall:
    """What is recalled for a request.

    Attributes:
        text: the block for the prompt; empty where nothing fits.
        items: what is in it, in its order.
    """

    text: str = ""
    items: tuple[Recalled, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """What one owner has, or all together.

    Attributes:
        bytes_on_disk: of everybody.
        embedder: the identity of what finds them by meaning; empty where nothing does.
        embedded: how many of the memories it has seen already.
    """

    memories: int
    characters: int
    owners: int
    bytes_on_disk: int
    embedder: str = ""
    embedded: int = 0


@dataclass(frozen=True, slots=True)
class MemoryCheck:
    """How far a look at the whole store, or a repair of a part of it, has come. The last one of a part is its result.

    Attributes:
        part: of the store: `file`, `words`, `vectors` or `index`.
        looked_at: how many so far, of `total`.
        wrong: how many of these are not as they should be.
        advice: what to do about it, or what else to know; empty where there is nothing to say.
    """

    part: str
    looked_at: int
    total: int
    wrong: int = 0
    advice: str = ""


class MemoryStore(Protocol):
    """Remembers what people said. One process owns it.

    Every method may be called at the same time as others; each is done, and durable, when it returns.
    """

    name: str

    async def start(self) -> None:
        """Open it; one that cannot be opened says so in the log and finds nothing."""
        ...

    async def stop(self) -> None:
        """Finish what is being written, and close it."""
        ...

    def mode_of(self, caller: Caller) -> MemoryMode:
        """What holds for a request: what it says itself, or else the settings."""
        ...

    async def recall(self, request: ChatRequest, caller: Caller) -> Recall:
        """Find what helps to answer the newest message of the user."""
        ...

    async def remember(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        """Write down the newest turn: what the user said and what was answered. `request` is as the client sent it."""
        ...

    async def newest(self, owner: Owner, *, limit: int) -> Sequence[Memory]:
        """The last memories, the newest first."""
        ...

    async def search(self, owner: Owner, query: str, *, limit: int) -> Sequence[Recalled]:
        """The memories that fit a query, the best first."""
        ...

    async def add(self, owner: Owner, text: str, *, session: str = "") -> Memory:
        """Write a note.

        Raises:
            InvalidRequest: the text is empty or too long.
        """
        ...

    async def edit(self, owner: Owner, memory_id: str, text: str) -> Memory:
        """Say something otherwise; the old text is gone without a trace.

        Raises:
            MemoryNotFound: the owner has no such memory.
        """
        ...

    async def forget(self, owner: Owner, memory_id: str) -> None:
        """Delete a memory without a trace.

        Raises:
            MemoryNotFound: the owner has no such memory.
        """
        ...

    async def forget_all(self, owner: Owner) -> int:
        """Delete everything of an owner without a trace. Returns how many memories went."""
        ...

    def export(self, owner: Owner) -> AsyncIterator[Memory]:
        """Everything of an owner, the oldest first."""
        ...

    async def take(self, owner: Owner, memories: Sequence[Memory]) -> int:
        """Write memories from elsewhere; ids are new. Returns how many were not here already.

        Digests are left out: they are made of what was said.
        """
        ...

    async def stats(self, owner: Owner | None = None) -> MemoryStats:
        """What an owner has; without one, what there is."""
        ...

    def verify(self) -> AsyncIterator[MemoryCheck]:
        """Look at everything of everybody, and change nothing. Everything else goes on meanwhile.

        Raises:
            MemoryUnavailable: the store cannot be read at all.
        """
        ...

    def rebuild(self) -> AsyncIterator[MemoryCheck]:
        """Make anew from the memories whatever is made from them. Nothing is written meanwhile; it waits.

        Raises:
            MemoryUnavailable: it cannot be written.
        """
        ...
