"""LoCoMo: long conversations in English, and the turns that are the evidence for each answer."""

from __future__ import annotations

import datetime
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import OURS, Sample
from benchmarks.memory.baselines import bm25, min_max_sum, with_priors
from benchmarks.memory.data import LOCOMO_KINDS, read_locomo
from benchmarks.memory.ground import LOCOMO
from benchmarks.memory.ours import OurMemory
from benchmarks.memory.quality import best_of, mean_recall
from benchmarks.memory.rows.base import MemoryRow, NotHere
from benchmarks.memory.targets import ENGLISH, PRIORS, TUNED
from benchmarks.memory.tuning import BASELINE_GRID, Asked, best_elsewhere, weights_for_each
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import Bounds
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.text import terms_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.memory.data import Collection

DEPTH = 10
ASKED_AFTER = datetime.timedelta(days=1)  # the last session


class LoCoMo(MemoryRow):
    """Every conversation is all that one owner has; recall of the evidence among ten turns."""

    name = "locomo"
    title = "LoCoMo, five conversations: how much of the evidence is among ten turns?"
    headline = (
        ("recall_10", "%"),
        *((f"recall_10 {kind}", "%") for kind in LOCOMO_KINDS.values()),
        ("something_right", "%"),
        ("nothing_elsewhere", "%"),
    )

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        file = self.ground.data_file(LOCOMO)
        if file is None:
            raise NotHere(f"{self.ground.data / LOCOMO} is not there")
        talks = read_locomo(file)
        self.notes.append(f"{sum(len(t.texts) for t in talks)} turns, {sum(len(t.questions) for t in talks)} questions")
        for who, found in (await self._baselines(talks)).items():
            yield _sample(who, talks, found)
        with ExitStack() as opened:
            asked = [await self._asked(talk, n, opened) for n, talk in enumerate(talks)]
            default = [[a.order(c, Weights())[:DEPTH] for c in a.found] for a in asked]
            sample = _sample(f"{OURS}, weights as they are", talks, default)
            sample.values |= await self._injected(talks, opened)
            yield sample
            chosen = weights_for_each(asked, DEPTH)
            told = ", ".join(
                f"{t.name} {w.dense:g}/{w.neighbour:g}/{w.session:g}/{w.asking:g}/{w.coverage:g}"
                for t, w in zip(talks, chosen, strict=True)
            )
            parts = "meaning, neighbour, session, asking and coverage"
            self.notes.append(f"weights of {parts}, chosen on the other four: {told}")
            found = [[a.order(c, w)[:DEPTH] for c in a.found] for a, w in zip(asked, chosen, strict=True)]
            yield _sample(OURS, talks, found)

    async def _injected(self, talks: Sequence[Collection], opened: ExitStack) -> dict[str, float]:
        """What would go into a prompt: for a conversation's own questions, and for those of the next one."""
        settings = MemorySettings()
        bounds = Bounds(settings.max_items, settings.max_tokens, settings.threshold)
        right, nothing = [], []
        for number, (talk, other) in enumerate(zip(talks, [*talks[1:], talks[0]], strict=True)):
            memory = await self._memory(talk, f"injected-{number}", opened)
            now = _asked_at(talk)
            for asked in (talk, other):
                queries = await self.ground.vectors_of([q.text for q in asked.questions], "query")
                for question, vector in zip(asked.questions, queries, strict=True):
                    found = memory.chosen(memory.candidates(question.text, vector, now), Weights(), bounds)
                    if asked is talk:
                        right.append(bool(question.evidence & set(found)))
                    else:
                        nothing.append(not found)
        return {"something_right": 100 * float(np.mean(right)), "nothing_elsewhere": 100 * float(np.mean(nothing))}

    async def _memory(self, talk: Collection, name: str, opened: ExitStack) -> OurMemory:
        documents = await self.ground.vectors_of([t.text for t in talk.texts], "document")
        file = self.ground.folder / f"{name}.db"
        return opened.enter_context(OurMemory(file, talk.texts, documents, self.ground.embedder.related_from))

    async def _asked(self, talk: Collection, number: int, opened: ExitStack) -> Asked:
        queries = await self.ground.vectors_of([q.text for q in talk.questions], "query")
        memory = await self._memory(talk, f"locomo-{number}", opened)
        now = _asked_at(talk)
        found = [memory.candidates(q.text, vector, now) for q, vector in zip(talk.questions, queries, strict=True)]
        return Asked(talk.questions, found, memory.order)

    async def _baselines(self, talks: Sequence[Collection]) -> dict[str, list[list[list[str]]]]:
        orders: dict[str, list[list[list[str]]]] = {}
        tried: list[list[list[list[str]]]] = []
        for talk in talks:
            texts, asked = [t.text for t in talk.texts], [q.text for q in talk.questions]
            documents = await self.ground.vectors_of(texts, "document")
            queries = await self.ground.vectors_of(asked, "query")
            words, cosines = bm25(texts, asked, terms_of), queries @ documents.T
            english = await self._english(texts, asked)
            both = min_max_sum(words, cosines, 0.5)
            priors = with_priors(both, [t.session for t in talk.texts], 0.3, 0.3)
            ids = [t.id for t in talk.texts]
            for who, scores in {
                "BM25, stems without stop words": words,
                f"{self.ground.embedder.name} alone": cosines,
                "their min-max sum": both,
                PRIORS: priors,
                **({f"{ENGLISH} alone": english} if english is not None else {}),
            }.items():
                orders.setdefault(who, []).append(best_of(scores, ids, DEPTH))
            sessions = [t.session for t in talk.texts]
            tried.append(
                [
                    best_of(with_priors(min_max_sum(words, cosines, d), sessions, n, s), ids, DEPTH)
                    for d, n, s in BASELINE_GRID
                ]
            )
        evidence = [[q.evidence for q in talk.questions] for talk in talks]
        recalls = [[mean_recall(f, e, DEPTH) for f in found] for found, e in zip(tried, evidence, strict=True)]
        chosen = best_elsewhere(recalls, [len(talk.questions) for talk in talks])
        orders[TUNED] = [found[n] for found, n in zip(tried, chosen, strict=True)]
        return orders

    async def _english(self, texts: Sequence[str], asked: Sequence[str]) -> NDArray[np.float32] | None:
        """The cosines of the second embedder: shape (questions, texts)."""
        if (embedder := self.ground.english) is None:
            return None
        queries = await self.ground.vectors_of(asked, "query", embedder=embedder)
        documents = await self.ground.vectors_of(texts, "document", embedder=embedder)
        return np.asarray(queries @ documents.T)


def _asked_at(talk: Collection) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(talk.texts[-1].said_at, datetime.UTC) + ASKED_AFTER


def _sample(who: str, talks: Sequence[Collection], found: Sequence[list[list[str]]]) -> Sample:
    """Recall over all questions, and of each kind."""
    pairs = [pair for talk, mine in zip(talks, found, strict=True) for pair in zip(talk.questions, mine, strict=True)]
    values = {"recall_10": mean_recall([f for _, f in pairs], [q.evidence for q, _ in pairs], DEPTH)}
    for kind in LOCOMO_KINDS.values():
        of_kind = [(q, f) for q, f in pairs if q.kind == kind]
        values[f"recall_10 {kind}"] = mean_recall([f for _, f in of_kind], [q.evidence for q, _ in of_kind], DEPTH)
    return Sample(who, 1, values)
