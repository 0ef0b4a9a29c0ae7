"""Reads what was written by hand: `patterns/` holds a file for each person, `talk/` one for each topic.

A person's file begins with `name:`, `voice:` and `now:` (the day of the questions), then come lines of these forms:

    25-06-10 dog | what the user says | what the assistant says      a day's session, with a key for the questions
    + cat | … | …                                                    more of the same session
    + | … | …                                                        the same, and no question is about it
    ? single dog | …                                                 any one of these answers
    ? two dog cat | …                                                both of these are needed
    ? time dog ! cat | …                                             the dog is in the time asked for, the cat is not
    ? changed dog < cat | …                                          the dog is newer than the cat
    ? never | …                                              what it is about was told, but not what it asks for
    ? never ! piano keys | …                                 it never came up: nobody says any of these words

A topic's file has lines of these forms, where `{x}` stands for the thing that is talked about:

    polite ? what the user begins with
    polite + what the user says next
    = thing | what the assistant answers first | what next

Greetings have `<`, farewells `>` and remarks that tell nothing `~`: `polite < what the user says | the assistant`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, cast

from benchmarks.memory.people.model import KINDS, Kind

HERE: Final = Path(__file__).parent
QUESTION: Final = re.compile(r"\? (\w+)([^|!<]*)(?:[!<]([^|]*))?\|(.+)")
FACT: Final = re.compile(r"(\+|\d\d-\d\d-\d\d)([^|]*)\|([^|]+)\|([^|]+)")


class BadPatternError(ValueError):
    """A line that is none of the forms."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the user says and the assistant answers; the key is empty where nothing is asked about it."""

    key: str
    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Day:
    """What is told in one session."""

    date: date
    exchanges: list[Exchange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about keys.

    Attributes:
        others: the keys of what is outdated or similar.
        unsaid: words for what the question is about, where it never came up; no turn of the person has any of them.
    """

    kind: Kind
    keys: tuple[str, ...]
    others: tuple[str, ...]
    text: str
    unsaid: tuple[str, ...] = ()


@dataclass(slots=True)
class Life:
    """One person's file.

    Attributes:
        id: the file's name.
        name: as it is written in Japanese.
        voice: how the person speaks of everyday things; one of those in `talk/`.
        now: the day of the questions.
    """

    id: str
    name: str = ""
    voice: str = ""
    now: date = date.min
    days: list[Day] = field(default_factory=list)
    questions: list[Asked] = field(default_factory=list)


@dataclass(slots=True)
class Topic:
    """What anybody talks about.

    Attributes:
        openings: by voice.
        replies: by voice, what the user says to the first answer.
        things: name, first and second answer.
    """

    id: str
    openings: dict[str, list[str]] = field(default_factory=dict)
    replies: dict[str, list[str]] = field(default_factory=dict)
    things: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Manners:
    """Greetings, farewells and remarks that tell nothing, by voice."""

    greetings: dict[str, list[Exchange]] = field(default_factory=dict)
    farewells: dict[str, list[Exchange]] = field(default_factory=dict)
    remarks: dict[str, list[Exchange]] = field(default_factory=dict)


def lives() -> list[Life]:
    """Everybody, by the names of the files."""
    return [life(path.stem, path.read_text("utf-8")) for path in sorted((HERE / "patterns").glob("*.txt"))]


def topics() -> list[Topic]:
    """All topics, by the names of the files."""
    paths = sorted((HERE / "talk").glob("*.txt"))
    return [topic(path.stem, path.read_text("utf-8")) for path in paths if path.stem != "manners"]


def manners() -> Manners:
    """How everybody begins and ends, and what they say between for no reason."""
    found = Manners()
    kept = {"<": found.greetings, ">": found.farewells, "~": found.remarks}
    for line in _lines((HERE / "talk" / "manners.txt").read_text("utf-8")):
        voice, mark, rest = line.split(" ", 2)
        user, assistant = rest.split(" | ")
        kept[mark].setdefault(voice, []).append(Exchange("", user, assistant))
    return found


def life(name: str, text: str) -> Life:
    """One person out of the text of their file.

    Raises:
        BadPatternError: with the line that has none of the forms.
    """
    found = Life(name)
    for line in _lines(text):
        if asked := QUESTION.fullmatch(line):
            found.questions.append(_asked(asked, line))
        elif fact := FACT.fullmatch(line):
            _tell(found, fact, line)
        else:
            _describe(found, line)
    return found


def topic(name: str, text: str) -> Topic:
    """One topic out of the text of its file.

    Raises:
        BadPatternError: with the line that has none of the forms.
    """
    found = Topic(name)
    for line in _lines(text):
        if line.startswith("= "):
            thing, first, second = line[2:].split(" | ")
            found.things.append((thing, first, second))
            continue
        voice, mark, said = line.split(" ", 2)
        if mark not in {"?", "+"}:
            msg = f"{name}: {line}"
            raise BadPatternError(msg)
        (found.openings if mark == "?" else found.replies).setdefault(voice, []).append(said)
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _asked(match: re.Match[str], line: str) -> Asked:
    kind, text = match[1], match[4].strip()
    keys, others = tuple(match[2].split()), tuple((match[3] or "").split())
    if kind not in KINDS:
        raise BadPatternError(line)
    if kind == "never":
        if keys or (match[3] is not None and not others):
            raise BadPatternError(line)
        return Asked("never", (), (), text, unsaid=others)
    return Asked(cast("Kind", kind), keys, others, text)


def _tell(found: Life, match: re.Match[str], line: str) -> None:
    when, key, user, assistant = (part.strip() for part in match.groups())
    if when != "+":
        found.days.append(Day(date.fromisoformat(f"20{when}")))
    elif not found.days:
        raise BadPatternError(line)
    found.days[-1].exchanges.append(Exchange(key, user, assistant))


def _describe(found: Life, line: str) -> None:
    what, colon, value = line.partition(": ")
    if not colon or what not in {"name", "voice", "now"}:
        msg = f"{found.id}: {line}"
        raise BadPatternError(msg)
    setattr(found, what, date.fromisoformat(value) if what == "now" else value)
