"""Weaves what people tell into everyday talk: the same seed makes the same benchmark."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from benchmarks.memory.people.model import JAPAN, Benchmark, Person, Question, Session, Turn
from benchmarks.memory.people.patterns import Exchange, lives, manners, topics

if TYPE_CHECKING:
    from benchmarks.memory.people.patterns import Day, Life, Manners, Topic

SEED: Final = 5
FIRST_MINUTE: Final = 18 * 60 + 30  # people tell in the evening what the day was like
LAST_MINUTE: Final = 20 * 60 + 30
ASKED_MINUTE: Final = 13 * 60
LONGEST: Final = 7  # exchanges of a session


def generate(seed: int = SEED) -> Benchmark:
    """Everybody's sessions, and the questions about them."""
    everyday = topics()
    polite = manners()
    woven = [_Loom(seed, life, everyday, polite).weave() for life in lives()]
    return Benchmark(
        tuple(person for person, _ in woven), tuple(question for _, questions in woven for question in questions)
    )


@dataclass(frozen=True, slots=True)
class _Small:
    """Two exchanges about an everyday thing, which nothing is asked about."""

    exchanges: tuple[Exchange, Exchange]


class _Loom:
    """One person's sessions."""

    def __init__(self, seed: int, life: Life, everyday: list[Topic], polite: Manners) -> None:
        self._life = life
        self._random = random.Random(f"{seed} {life.id}")
        self._small = self._small_talk(everyday)
        self._greetings = polite.greetings[life.voice]
        self._farewells = polite.farewells[life.voice]
        self._remarks = self._random.sample(polite.remarks[life.voice], len(polite.remarks[life.voice]))
        self._keys: dict[str, str] = {}

    def weave(self) -> tuple[Person, list[Question]]:
        days = sorted(self._life.days, key=lambda day: day.date)
        sessions = tuple(self._session(number, day) for number, day in enumerate(days, 1))
        return Person(self._life.id, sessions), [self._question(n) for n in range(len(self._life.questions))]

    def _small_talk(self, everyday: list[Topic]) -> list[_Small]:
        """Everything this voice can talk about, each thing once, in an order of this person."""
        voice = self._life.voice
        found = []
        for topic in everyday:
            for thing, first, second in topic.things:
                opening = self._random.choice(topic.openings[voice]).replace("{x}", thing)
                reply = self._random.choice(topic.replies[voice]).replace("{x}", thing)
                found.append(_Small((Exchange("", opening, first), Exchange("", reply, second))))
        self._random.shuffle(found)
        return found

    def _session(self, number: int, day: Day) -> Session:
        chance = self._random
        parts: list[list[Exchange]] = [list(day.exchanges)]
        for _ in range(chance.choice((1, 2, 2))):
            if sum(map(len, parts)) + 2 <= LONGEST:
                parts.insert(chance.randint(0, len(parts)), self._next_small(parts))
        if self._remarks and chance.random() < 0.5 and sum(map(len, parts)) < LONGEST:
            parts.insert(chance.randint(0, len(parts)), [self._remarks.pop()])
        told = [exchange for part in parts for exchange in part]
        if len(told) < LONGEST and chance.random() < 0.4:
            told.insert(0, chance.choice(self._greetings))
        if len(told) < LONGEST and chance.random() < 0.4:
            told.append(chance.choice(self._farewells))
        name = f"{self._life.id}-{number:02}"
        return Session(name, _seconds(day.date, chance.randint(FIRST_MINUTE, LAST_MINUTE)), self._turns(name, told))

    def _next_small(self, parts: list[list[Exchange]]) -> list[Exchange]:
        """Something to talk about whose words were not said in the session yet."""
        said = {exchange.user for part in parts for exchange in part}
        fitting = next(small for small in self._small if not said & {exchange.user for exchange in small.exchanges})
        self._small.remove(fitting)
        return list(fitting.exchanges)

    def _turns(self, session: str, told: list[Exchange]) -> tuple[Turn, ...]:
        turns = []
        for place, exchange in enumerate(told):
            user = Turn(f"{session}-{2 * place + 1:02}", "user", exchange.user)
            turns += [user, Turn(f"{session}-{2 * place + 2:02}", "assistant", exchange.assistant)]
            if exchange.key:
                self._keys[exchange.key] = user.id
        return tuple(turns)

    def _question(self, number: int) -> Question:
        asked = self._life.questions[number]
        others = tuple(self._keys[key] for key in asked.others)
        return Question(
            f"{self._life.id}-q{number + 1:02}",
            self._life.id,
            asked.kind,
            asked.text,
            _seconds(self._life.now, ASKED_MINUTE + number),
            tuple(self._keys[key] for key in asked.keys),
            others if asked.kind == "changed" else (),
            others if asked.kind == "time" else (),
            mentioned=not asked.unsaid,
        )


def _seconds(day: date, minute: int) -> int:
    start = datetime.combine(day, time(), JAPAN)
    return int((start + timedelta(minutes=minute)).timestamp())
