"""The nouns of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final, Literal

Kind = Literal["single", "two", "time", "changed", "never"]
KINDS: Final[tuple[Kind, ...]] = ("single", "two", "time", "changed", "never")
ANSWERABLE: Final[tuple[Kind, ...]] = ("single", "two", "time", "changed")

# Whatever is said, is said in Japan from noon to 21:00, when UTC has the same day.
JAPAN: Final = timezone(timedelta(hours=9), "JST")
TURN_S: Final = 120


@dataclass(frozen=True, slots=True)
class Turn:
    """One message.

    Attributes:
        id: person, session and place in it: `haruka-07-03`.
    """

    id: str
    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation, begun by the user, who speaks in turn with the assistant.

    Attributes:
        name: of its own over all people.
        started_at: seconds since the epoch.
    """

    name: str
    started_at: int
    turns: tuple[Turn, ...]

    def said_at(self, place: int) -> int:
        """When the turn at that place was said, in seconds since the epoch."""
        return self.started_at + place * TURN_S


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and all that they said, the oldest first."""

    name: str
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked after the last session of a person.

    Attributes:
        kind: `single`: one turn answers. `two`: only two turns of different sessions together do. `time`: of several
            similar events the one at the time that the question names. `changed`: the newest of two turns that
            contradict each other. `never`: nothing that was said answers it.
        asked_at: seconds since the epoch.
        evidence: ids of the turns that answer. All of them are needed where the kind is `two`, any one of them is
            enough elsewhere, and there is none where it is `never`.
        outdated: ids of the turns that answered before the newest did; only where the kind is `changed`.
        similar: ids of the turns about the same thing at another time; only where the kind is `time`.
        mentioned: whether what the question is about ever came up; of use only where the kind is `never`. If it did,
            only what is asked of it was not told, and recalling the rest is useful. If not, there is nothing to recall.
    """

    id: str
    person: str
    kind: Kind
    text: str
    asked_at: int
    evidence: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()
    mentioned: bool = True

    @property
    def sort(self) -> str:
        """The kind, and where it is `never`, which of the two: `never untold` or `never unmentioned`."""
        if self.kind != "never":
            return self.kind
        return "never untold" if self.mentioned else "never unmentioned"

    @property
    def needs_all(self) -> bool:
        """Whether one turn of the evidence alone is only a part of the answer."""
        return self.kind == "two"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Everybody, and all questions."""

    people: tuple[Person, ...]
    questions: tuple[Question, ...]

    def turns(self) -> dict[str, Turn]:
        """Every turn by its id."""
        return {turn.id: turn for person in self.people for session in person.sessions for turn in session.turns}

    def said_at(self) -> dict[str, int]:
        """When every turn was said, in seconds since the epoch, by its id."""
        return {
            turn.id: session.said_at(place)
            for person in self.people
            for session in person.sessions
            for place, turn in enumerate(session.turns)
        }


def day_of(seconds: int) -> date:
    """The day in Japan."""
    return datetime.fromtimestamp(seconds, JAPAN).date()
