"""Our own benchmark: twenty people who talk Japanese over a year, and what they are asked afterwards."""

from __future__ import annotations

import datetime
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import OURS, Sample
from benchmarks.memory.baselines import bm25, character_terms, min_max_sum
from benchmarks.memory.data import Text
from benchmarks.memory.ours import OurMemory
from benchmarks.memory.people import generate
from benchmarks.memory.people.model import ANSWERABLE, JAPAN
from benchmarks.memory.people.scoring import K, score_injection, score_ranking
from benchmarks.memory.quality import best_of
from benchmarks.memory.rows.base import MemoryRow
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import Bounds
from hoshikage.plugins.memory.settings import MemorySettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.memory.people.model import Benchmark, Person, Question

SHORT_PEOPLE = 1
Orders = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything of one person.

    Attributes:
        documents: the vectors of the texts.
        queries: the vectors of the questions.
    """

    texts: Sequence[Text]
    questions: Sequence[Question]
    documents: NDArray[np.float32]
    queries: NDArray[np.float32]


class People(MemoryRow):
    """Every person an owner, every turn a memory."""

    name = "people"
    title = "Our own benchmark: twenty people who talk Japanese, 400 questions"
    headline = (
        ("recall_5", "%"),
        *((f"recall_5 {kind}", "%") for kind in ANSWERABLE),
        ("newest_first", "%"),
        ("nothing", "%"),
        ("nothing_unmentioned", "%"),
        ("nothing_untold", "%"),
        ("something_right", "%"),
        ("outdated", "%"),
    )

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        benchmark = generate()
        people = benchmark.people[:SHORT_PEOPLE] if self.ground.short else benchmark.people
        asked = [await self._of(person, benchmark) for person in people]
        questions = [question for one in asked for question in one.questions]
        self.notes.append(f"{sum(len(one.texts) for one in asked)} turns, {len(questions)} questions")
        for who, orders in self._baselines(asked).items():
            yield Sample(who, 1, _of_ranking(questions, orders))
        settings = MemorySettings()
        bounds = Bounds(settings.max_items, settings.max_tokens, settings.threshold)
        for who, with_meaning in ((f"{OURS}, words alone", False), (OURS, True)):
            found: Orders = {}
            injected: Orders = {}
            with ExitStack() as opened:
                for number, one in enumerate(asked):
                    file = self.ground.folder / f"people-{with_meaning:d}-{number}.db"
                    memory = opened.enter_context(
                        OurMemory(file, one.texts, one.documents, self.ground.embedder.related_from)
                    )
                    for question, vector in zip(one.questions, one.queries, strict=True):
                        now = datetime.datetime.fromtimestamp(question.asked_at, JAPAN)
                        candidates = memory.candidates(question.text, vector if with_meaning else None, now)
                        found[question.text] = memory.chosen(candidates, Weights(), Bounds(K))
                        injected[question.text] = memory.chosen(candidates, Weights(), bounds)
            yield Sample(who, 1, _of_ranking(questions, found) | _of_injection(questions, injected))

    async def _of(self, person: Person, benchmark: Benchmark) -> Asked:
        texts = [
            Text(turn.id, turn.text, session.said_at(place), session.name, turn.role)
            for session in person.sessions
            for place, turn in enumerate(session.turns)
        ]
        questions = [question for question in benchmark.questions if question.person == person.name]
        documents = await self.ground.vectors_of([text.text for text in texts], "document")
        queries = await self.ground.vectors_of([question.text for question in questions], "query")
        return Asked(texts, questions, documents, queries)

    def _baselines(self, asked: Sequence[Asked]) -> dict[str, Orders]:
        orders: dict[str, Orders] = {}
        for one in asked:
            texts, questions = [text.text for text in one.texts], [question.text for question in one.questions]
            words, cosines = bm25(texts, questions, character_terms), one.queries @ one.documents.T
            for who, scores in {
                "BM25 of characters and pairs": words,
                f"{self.ground.embedder.name} alone": cosines,
                "their min-max sum": min_max_sum(words, cosines, 0.5),
            }.items():
                found = best_of(scores, [text.id for text in one.texts], K)
                orders.setdefault(who, {}).update(zip(questions, found, strict=True))
        return orders


def _of_ranking(questions: Sequence[Question], orders: Mapping[str, list[str]]) -> dict[str, float]:
    found = score_ranking(questions, lambda _person, text, _at, _k: orders[text])
    return {
        "recall_5": 100 * found.recall,
        **{f"recall_5 {kind}": 100 * value for kind, value in found.by_kind.items()},
        "newest_first": 100 * found.newest_first,
    }


def _of_injection(questions: Sequence[Question], injected: Mapping[str, list[str]]) -> dict[str, float]:
    found = score_injection(questions, lambda _person, text, _at: injected[text])
    return {
        "nothing": 100 * found.silent,
        "nothing_unmentioned": 100 * found.silent_unmentioned,
        "nothing_untold": 100 * found.silent_untold,
        "something_right": 100 * found.right,
        "outdated": 100 * found.outdated,
    }
