"""Reads a GBNF grammar before llama.cpp does.

llama.cpp's reader does not come back from some mistakes: brackets nested too deeply overflow its stack, `{5,3}` repeats
for ever, and a few lines with many ways to say nothing keep it busy for hours. So a grammar is only handed on when it
is well formed and has few readings at every place.
Source of the syntax: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintRefused

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = "root"
DEEPEST_NESTING = 50
MOST_REPETITIONS = 2000  # llama.cpp's own limit
MOST_READINGS = 2000

_ESCAPE = r'\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\"\[\]-])'
_BLANK = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_HEAD = re.compile(r"([a-zA-Z0-9-]+)[ \t]*::=")
_NAME = re.compile(r"[a-zA-Z0-9-]+")
_TERMINAL = re.compile(rf'"(?:{_ESCAPE}|[^"\\])*"|\[\^?(?:{_ESCAPE}|[^\]\\])+\]|\.|!?(?P<token><[^>\r\n]+>)')
_REPETITION = re.compile(r"[*+?]|\{[ \t\r\n]*(\d{1,6})[ \t\r\n]*(?:(,)[ \t\r\n]*(\d{1,6})?[ \t\r\n]*)?\}")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A literal, a class of characters, or a token."""

    empty: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of a rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, several times; `most` is `None` where there is no limit."""

    part: Part
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Sequences of which one is taken: a rule, or what stands between brackets."""

    sequences: list[list[Part]]


Part = Terminal | Reference | Repeat | Choice


def check_gbnf(source: str, is_token: Callable[[str], bool]) -> None:
    """Make sure that llama.cpp can follow a grammar.

    Args:
        source: the grammar.
        is_token: whether the vocabulary has a token that a grammar calls so, such as `<think>` or `<[5]>`.

    Raises:
        ConstraintRefused: with the reason, and the line where it is known.
    """
    reader = _Reader(source, is_token)
    rules = reader.read()
    if ROOT not in rules:
        raise ConstraintRefused(f"the grammar has no rule named {ROOT}")
    for name, at in reader.used.items():
        if name not in rules:
            raise ConstraintRefused(f"line {reader.line(at)}: there is no rule named {name}")
    measure = _Measure(rules)
    for sequence in reader.sequences:
        measure.check(sequence)


class _Reader:
    """Takes the text apart."""

    def __init__(self, source: str, is_token: Callable[[str], bool]) -> None:
        self._source = source
        self._is_token = is_token
        self._at = 0
        self._depth = 0
        self.sequences: list[list[Part]] = []
        self.used: dict[str, int] = {}

    def read(self) -> dict[str, Choice]:
        """All rules by their names; the last one of a name counts."""
        if "\0" in self._source:
            raise ConstraintRefused("the grammar contains a NUL character")
        rules: dict[str, Choice] = {}
        self._take(_BLANK_LINES)
        while self._at < len(self._source):
            head = self._take(_HEAD)
            if head is None:
                raise self._refusal("expected the beginning of a rule, such as root ::=")
            self._take(_BLANK_LINES)
            rules[head[1]] = self._choice()
            if self._at < len(self._source) and self._source[self._at] not in "\r\n":
                raise self._refusal("this cannot stand here")
            self._take(_BLANK_LINES)
        return rules

    def _choice(self) -> Choice:
        sequences = [self._sequence()]
        while self._source.startswith("|", self._at):
            self._at += 1
            self._take(_BLANK_LINES)
            sequences.append(self._sequence())
        self.sequences += sequences
        return Choice(sequences)

    def _sequence(self) -> list[Part]:
        parts: list[Part] = []
        while (part := self._part()) is not None:
            self._blank()
            while (found := self._take(_REPETITION)) is not None:
                part = self._repeated(part, found)
                self._blank()
            parts.append(part)
        return parts

    def _part(self) -> Part | None:
        if self._source.startswith("(", self._at):
            return self._group()
        if (found := _TERMINAL.match(self._source, self._at)) is not None:
            if found["token"] and not self._is_token(found["token"]):
                raise self._refusal("the vocabulary has no such token")
            self._at = found.end()
            return Terminal(empty=found[0] == '""')
        if (found := self._take(_NAME)) is not None:
            self.used.setdefault(found[0], self._at)
            return Reference(found[0])
        return None

    def _group(self) -> Choice:
        self._depth += 1
        if self._depth > DEEPEST_NESTING:
            raise self._refusal(f"brackets are nested deeper than {DEEPEST_NESTING}")
        self._at += 1
        self._take(_BLANK_LINES)
        group = self._choice()
        if not self._source.startswith(")", self._at):
            raise self._refusal("expected ) here")
        self._at += 1
        self._depth -= 1
        return group

    def _repeated(self, part: Part, found: re.Match[str]) -> Repeat:
        if part == Terminal(empty=True):
            raise self._refusal('"" cannot be repeated')
        if found[0] in "*+?":
            return Repeat(part, int(found[0] == "+"), 1 if found[0] == "?" else None)
        least = int(found[1])
        most = (int(found[3]) if found[3] else None) if found[2] else least
        if max(least, most or 0) > MOST_REPETITIONS:
            raise self._refusal(f"{found[0]} repeats more than {MOST_REPETITIONS} times")
        if most is not None and most < least:
            raise self._refusal(f"{found[0]} has its numbers in the wrong order")
        return Repeat(part, least, most)

    def _blank(self) -> None:
        """Inside of brackets a line break means nothing; elsewhere it ends the rule."""
        self._take(_BLANK_LINES if self._depth else _BLANK)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._source, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def line(self, at: int) -> int:
        """The number of the line of a place in the text."""
        return self._source.count("\n", 0, at) + 1

    def _refusal(self, reason: str) -> ConstraintRefused:
        return ConstraintRefused(f"line {self.line(self._at)}: {reason}: {self._source[self._at : self._at + 20]!r}")


@dataclass(frozen=True, slots=True)
class Ways:
    """In how many ways a part can begin with a character, and in how many it can be empty."""

    begin: int
    empty: int

    def then(self, following: Ways) -> Ways:
        """This part, and another one after it."""
        return Ways(self.begin + self.empty * following.begin, self.empty * following.empty)

    def either(self, other: Ways) -> Ways:
        """This part or another one."""
        return Ways(self.begin + other.begin, self.empty + other.empty)


NOTHING = Ways(0, 1)
NEVER = Ways(0, 0)


@dataclass(slots=True)
class _Measure:
    """Counts the readings that llama.cpp would follow side by side."""

    rules: dict[str, Choice]
    known: dict[str, Ways | None] = field(default_factory=dict)

    def check(self, sequence: list[Part]) -> None:
        """Refuse a sequence with too many readings at one of its places."""
        ways = NOTHING
        try:
            for part in reversed(sequence):
                ways = self._ways(part).then(ways)
                if ways.begin + ways.empty > MOST_READINGS:
                    raise ConstraintRefused(f"the grammar has more than {MOST_READINGS} readings at one place")
        except RecursionError:
            raise ConstraintRefused("the rules refer to each other in too long a chain") from None

    def _ways(self, part: Part) -> Ways:
        match part:
            case Terminal():
                return NOTHING if part.empty else Ways(1, 0)
            case Reference():
                return self._rule(part.name)
            case Repeat():
                return self._repeat(self._ways(part.part), part.least, part.most)
            case Choice():
                ways = NEVER
                for sequence in part.sequences:
                    ways = ways.either(self._left(sequence))
                return ways

    def _left(self, sequence: list[Part]) -> Ways:
        """A sequence, read only as far as its first character can stand: rules further right may refer back."""
        ways = NOTHING
        for part in sequence:
            if not ways.empty:
                break
            ways = ways.then(self._ways(part))
            if ways.begin + ways.empty > MOST_READINGS:
                raise ConstraintRefused(f"the grammar has more than {MOST_READINGS} readings at one place")
        return ways

    def _rule(self, name: str) -> Ways:
        if name not in self.known:
            self.known[name] = None
            self.known[name] = self._ways(self.rules[name])
        ways = self.known[name]
        if ways is None:
            raise ConstraintRefused(f"the rule {name} begins with itself: left recursion is not supported")
        return ways

    def _repeat(self, once: Ways, least: int, most: int | None) -> Ways:
        if not once.empty:
            return Ways(once.begin, int(least == 0)) if most != 0 else NOTHING
        # Each turn can be empty, so the first character can stand in any of them.
        turns = least + 1 if most is None else most
        ways = NOTHING
        for turn in range(turns):
            ways = once.then(ways).either(NOTHING if turn < turns - least else NEVER)
            if ways.begin + ways.empty > MOST_READINGS:
                break
        return ways
