"""JSQuAD: Japanese questions, and the paragraph that each was written for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import OURS, Sample
from benchmarks.memory.baselines import bm25, character_terms, min_max_sum
from benchmarks.memory.data import read_jsquad
from benchmarks.memory.ground import JSQUAD
from benchmarks.memory.ours import OurMemory
from benchmarks.memory.quality import best_of, mean_recall
from benchmarks.memory.rows.base import MemoryRow, NotHere
from benchmarks.memory.targets import ENGLISH
from hoshikage.plugins.memory.ranking import Weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEPTH = 5


class JSQuAD(MemoryRow):
    """Every paragraph is a note of one owner."""

    name = "jsquad"
    title = "JSQuAD, all paragraphs as notes of one owner: which one answers the question?"
    headline = (("recall_1", "%"), ("recall_5", "%"))

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        file = self.ground.data_file(JSQUAD)
        if file is None:
            raise NotHere(f"{self.ground.data / JSQUAD} is not there")
        collection = read_jsquad(file)
        texts, asked = [t.text for t in collection.texts], [q.text for q in collection.questions]
        evidence, ids = [q.evidence for q in collection.questions], [t.id for t in collection.texts]
        self.notes.append(f"{len(texts)} paragraphs, {len(asked)} questions")

        documents = await self.ground.vectors_of(texts, "document")
        queries = await self.ground.vectors_of(asked, "query")
        cosines = queries @ documents.T
        words = bm25(texts, asked, character_terms)
        both = min_max_sum(words, cosines, 0.5)
        orders = {
            "BM25 of characters and pairs": best_of(words, ids, DEPTH),
            f"{self.ground.embedder.name} alone": best_of(cosines, ids, DEPTH),
            "their min-max sum": best_of(both, ids, DEPTH),
        }
        if (english := self.ground.english) is not None:
            theirs = await self.ground.vectors_of(asked, "query", embedder=english)
            cosines = theirs @ (await self.ground.vectors_of(texts, "document", embedder=english)).T
            orders[f"{ENGLISH} alone"] = best_of(cosines, ids, DEPTH)
        with OurMemory(
            self.ground.folder / "jsquad.db", collection.texts, documents, self.ground.embedder.related_from
        ) as memory:
            weights = Weights()
            orders[f"{OURS}, words alone"] = [memory.order(memory.candidates(q, None), weights) for q in asked]
            orders[OURS] = [
                memory.order(memory.candidates(q, vector), weights) for q, vector in zip(asked, queries, strict=True)
            ]
        for who, found in orders.items():
            yield Sample(who, 1, {f"recall_{k}": mean_recall(found, evidence, k) for k in (1, DEPTH)})
