"""Short answers under a JSON schema beside free text of the same length: what the constraint costs per token."""

from __future__ import annotations

from typing import Any

from benchmarks.answers import Answer, Work, seconds
from benchmarks.prompts import users_of_one_system
from benchmarks.rows.base import Entry, Measured, Row, Surroundings, checked
from benchmarks.servers import Hoshikage
from benchmarks.targets import FREE, SCHEMA
from benchmarks.validity import misfit

ANSWERS = 40  # a round; 200 in five
SHORT_ANSWERS = 4  # each schema once
PARALLEL = 8
MOST_TOKENS = 64


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _words(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


SCHEMAS = (
    _object(title=_words(24), rating={"type": "integer", "minimum": 1, "maximum": 5}),
    _object(name=_words(16), alive={"type": "boolean"}, kind={"enum": ["person", "place", "thing"]}),
    _object(city=_words(16), sights={"type": "array", "items": _words(12), "minItems": 1, "maxItems": 3}),
    _object(mood={"enum": ["calm", "tense", "glad"]}, score={"type": "number", "minimum": 0, "maximum": 1}),
)


class Schemas(Row):
    """40 answers a round under four schemas, 8 at a time; then free text with exactly as many tokens each."""

    name = "schema"
    title = f"Short JSON-schema answers against free text, {PARALLEL} at a time"
    headline = (("s_per_token", "s"), ("tokens", "tokens"), ("valid", ""), ("seconds", "s"))

    def __init__(self) -> None:
        self._lengths: dict[int, list[int]] = {}

    def entries(self, around: Surroundings) -> list[Entry]:
        """One server, asked in two ways."""
        ours = Hoshikage(around.setup(self.name, n_parallel=PARALLEL))
        return [Entry(SCHEMA, ours), Entry(FREE, ours)]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """The lengths of the schema answers are those of the free ones, so they are written first."""
        if entry.label == SCHEMA:
            answers = await self._schema_answers(entry, round_number, around)
            return Measured(_values(answers, valid=_n_valid(answers)))
        if round_number not in self._lengths:
            # The order of a round is not always the same; these are not measured.
            await self._schema_answers(entry, round_number, around)
        lengths = self._lengths[round_number]
        prompts = self._prompts(round_number + 500, len(lengths), around)
        works = [Work(messages, length) for messages, length in zip(prompts, lengths, strict=True)]
        answers = await self._ask(entry, works)
        return Measured(_values(answers, valid=len(answers)))

    async def _schema_answers(self, entry: Entry, round_number: int, around: Surroundings) -> list[Answer]:
        n = SHORT_ANSWERS if around.short else ANSWERS
        prompts = self._prompts(round_number, n, around)
        works = [
            Work(messages, MOST_TOKENS, {"ignore_eos": False, "response_format": response_format(number)})
            for number, messages in enumerate(prompts)
        ]
        answers = await self._ask(entry, works)
        self._lengths[round_number] = [answer.completion_tokens for answer in answers]
        return answers

    @staticmethod
    def _prompts(seed: int, n: int, around: Surroundings) -> list[Any]:
        return users_of_one_system(n, around.tokenizer.count, shared_tokens=26, prompt_tokens=51, seed=7000 + seed)

    @staticmethod
    async def _ask(entry: Entry, works: list[Work]) -> list[Answer]:
        answers: list[Answer] = []
        for begin in range(0, len(works), PARALLEL):
            answers += checked(await entry.contestant.answer(works[begin : begin + PARALLEL]))
        return answers


def response_format(number: int) -> dict[str, Any]:
    """The schema of the n-th answer, as OpenAI's clients send it."""
    schema = SCHEMAS[number % len(SCHEMAS)]
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _n_valid(answers: list[Answer]) -> int:
    return sum(not misfit(a.text, SCHEMAS[number % len(SCHEMAS)]) for number, a in enumerate(answers))


def _values(answers: list[Answer], *, valid: int) -> dict[str, float]:
    tokens = sum(answer.completion_tokens for answer in answers)
    busy_s = sum(seconds(answers[begin : begin + PARALLEL]) for begin in range(0, len(answers), PARALLEL))
    return {
        "s_per_token": busy_s / max(tokens, 1),
        "tokens": float(tokens),
        "seconds": busy_s,
        "valid": valid / max(len(answers), 1),
    }
