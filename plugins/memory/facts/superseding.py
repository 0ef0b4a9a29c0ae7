"""What the memories of each owner say that can change, and which of them no longer hold."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, Final, cast

from hoshikage import Memory
from hoshikage.plugins.memory.facts.claims import RULES, Claim, claims_of, current
from hoshikage.plugins.memory.facts.endings import endings_of
from hoshikage.plugins.memory.statements import among, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import apsw

MOST_ENDINGS: Final = 100
SAID_BY: Final = frozenset({"user", "note"})  # what an assistant says of the user is no statement of theirs


class Superseding:
    """Keeps `superseded_by` in step with what is written, edited and forgotten, within the caller's transactions.

    It is computed anew for each slot from all claims in it, so that nothing depends on the order of writing, and what
    was superseded comes back by itself when the newer one goes.

    Args:
        connection: to the tables.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def prepare(self) -> None:
        """Forget all claims that were read by other rules, and have all memories that are there read again."""
        if dict(self._run("SELECT name, number FROM progress")).get("claims rules") == RULES:
            return
        self._run("DELETE FROM claim")
        self._run("DELETE FROM ending")
        self._run("UPDATE memory SET superseded_by = '' WHERE superseded_by != ''")
        ((newest,),) = self._run("SELECT coalesce(max(number), 0) FROM memory")
        for name, number in (("claims rules", RULES), ("claims read", 0), ("claims until", newest)):
            self._run("INSERT OR REPLACE INTO progress (name, number) VALUES (?, ?)", name, number)

    def read_more(self, limit: int) -> tuple[int, list[list[int]]]:
        """Read the claims of the next memories that are there from before.

        Returns:
            How many, 0 if all are read; and for each owner of some, what `settle` returns.
        """
        found = self._run(
            "SELECT m.number, m.space, m.text, m.said_at, m.role, m.kind FROM memory m, progress r, progress u "
            "WHERE r.name = 'claims read' AND u.name = 'claims until' AND m.number > r.number AND m.number <= u.number "
            "ORDER BY m.number LIMIT ?",
            limit,
        )
        read: dict[int, dict[int, Memory]] = {}
        for number, space, text, said_at, role, kind in found:
            read.setdefault(space, {})[number] = Memory("", text, said_at, role, kind)
        marked = [self.learn(space, memories) for space, memories in read.items()]
        if found:
            self._run("UPDATE progress SET number = ? WHERE name = 'claims read'", found[-1][0])
        return len(found), marked

    def learn(self, space: int, memories: Mapping[int, Memory]) -> list[int]:
        """Read what memories claim, in place of what they claimed before.

        Args:
            space: whose they are.
            memories: by their numbers.

        Returns:
            See `settle`.
        """
        slots = self.slots_of(list(memories))
        for number, memory in memories.items():
            self._run("DELETE FROM claim WHERE memory = ?", number)
            self._run("DELETE FROM ending WHERE memory = ?", number)
            self._run("UPDATE memory SET superseded_by = '' WHERE number = ? AND superseded_by != ''", number)
            if memory.role not in SAID_BY or memory.kind == "digest":
                continue
            found = claims_of(memory.text)
            slots |= {claim.slot for claim in found.claims}
            for claim in found.claims:
                self._run(
                    "INSERT INTO claim (space, memory, slot, value, holds, changes, careful, whole) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    *(space, number, *astuple(claim), found.whole),
                )
            for name in endings_of(memory.text):
                self._run("INSERT INTO ending (space, memory, name) VALUES (?, ?, ?)", space, number, name)
        return self.settle(space, slots)

    def said_again(self, space: int, memory: Memory, text_hash: bytes) -> tuple[int, Memory] | None:
        """What a session has already was said once more: a statement is as new as the last time it was made.

        Returns:
            Its number and itself, where something newer had taken its place: it is to be learned again.
        """
        if memory.role not in SAID_BY or not claims_of(memory.text).claims:
            return None
        for number, identity in self._run(
            "UPDATE memory SET said_at = ?1 WHERE space = ?2 AND session = ?3 AND hash = ?4 AND said_at < ?1 "
            "RETURNING number, id",
            *(memory.said_at, space, memory.session, text_hash),
        ):
            return (number, replace(memory, id=identity)) if self.newer([number]) else None
        return None

    def slots_of(self, numbers: Sequence[int]) -> set[str]:
        """The slots that memories have claims in."""
        return {slot for (slot,) in self._among("SELECT DISTINCT slot FROM claim WHERE memory IN", numbers)}

    def newer(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """For memories that say what is no longer so: the numbers of those that say how it is."""
        found: dict[int, list[int]] = {}
        query = "SELECT DISTINCT memory, newer FROM claim WHERE newer IS NOT NULL AND memory IN"
        for number, newer in self._among(query, numbers):
            found.setdefault(number, []).append(newer)
        return found

    def endings(self, space: int) -> list[tuple[int, str]]:
        """The last memories that say what has ended: the number of each, and the name of it."""
        query = "SELECT memory, name FROM ending WHERE space = ? ORDER BY memory DESC LIMIT ?"
        return cast("list[tuple[int, str]]", self._run(query, space, MOST_ENDINGS))

    def settle(self, space: int, slots: Iterable[str]) -> list[int]:
        """Find out for each claim of some slots whether it still holds, and by which memory it does not.

        Returns:
            The memories of which something holds no longer, or holds again.
        """
        marked: list[int] = []
        for slot in sorted(slots):
            rows = self._run(
                "SELECT c.number, c.memory, c.newer, c.value, c.holds, c.changes, c.careful FROM claim c "
                "JOIN memory m ON m.number = c.memory WHERE c.space = ? AND c.slot = ? "
                "ORDER BY m.said_at, c.memory, c.number",
                *(space, slot),
            )
            claims = [Claim(slot, value, *(bool(mark) for mark in marks)) for _, _, _, value, *marks in rows]
            for (number, memory, known, *_), last in zip(rows, current(claims), strict=True):
                newer = rows[last][1] if rows[last][1] != memory else None
                if newer != known:
                    self._run("UPDATE claim SET newer = ? WHERE number = ?", newer, number)
                    self._mark(memory)
                    marked.append(memory)
        return marked

    # --- inside ---

    def _mark(self, memory: int) -> None:
        """A memory is superseded where it says little else than what no longer holds."""
        self._run(
            "UPDATE memory SET superseded_by = coalesce((SELECT n.id FROM memory n WHERE n.number = ("
            "SELECT CASE WHEN min(whole) AND count(*) = count(newer) THEN max(newer) END FROM claim WHERE memory = ?"
            ")), '') WHERE number = ?",
            *(memory, memory),
        )

    def _among(self, statement: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        return among(self._connection, statement, numbers)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return run(self._connection, statement, *values)
