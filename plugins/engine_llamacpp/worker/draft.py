"""Guesses of a second, smaller model with the same vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import llama_cpp
import msgspec
import numpy as np

from hoshikage.plugins.engine_llamacpp.worker.native import Batch, LoadError, NativeModel
from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import common_length

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.frames import Init
    from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog

COMPARED_TOKENS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is to be guessed: at most `length` tokens after `tokens`, for the sequence in `slot`."""

    slot: int
    tokens: Seq[int]
    length: int


class DraftModel:
    """A small model that follows the slots of the large one in a cache of its own.

    Raises:
        LoadError: it cannot be loaded, has another vocabulary, or a memory that cannot take a wrong guess back.
    """

    def __init__(self, init: Init, target: NativeModel, log: NativeLog) -> None:
        self._model = NativeModel(msgspec.structs.replace(init, path=init.draft_model, adapters={}), log)
        _check_pair(init.draft_model, self._model, target)
        self._batch = Batch(init.n_batch)
        self._n_batch = init.n_batch
        self._texts: dict[int, list[int]] = {}

    @property
    def size_bytes(self) -> int:
        """Weights and cache."""
        return self._model.size_bytes

    @property
    def buffers(self) -> Buffers:
        """What llama.cpp says of them."""
        return self._model.buffers

    def guess(self, questions: Seq[Question]) -> dict[int, list[int]]:
        """Guess for many sequences in one batch, by slot.

        What is missing of the texts is computed first, at most one batch of it, so that a long prompt holds up
        nobody; a sequence that is not that far gets no guess this time.
        """
        fitting = self._fitting(questions)
        ready = self._catch_up(fitting)
        guesses: dict[int, list[int]] = {q.slot: [] for q in ready}
        tokens = {q.slot: q.tokens[-1] for q in ready}
        while ready:
            chosen = self._step({q.slot: [tokens[q.slot]] for q in ready})
            if chosen is None:
                break
            for slot, token in chosen.items():
                guesses[slot].append(token)
                tokens[slot] = token
            ready = [q for q in ready if len(guesses[q.slot]) < q.length]
        return guesses

    def close(self) -> None:
        """Free the model."""
        self._batch.close()
        self._model.close()

    def _fitting(self, questions: Seq[Question]) -> list[Question]:
        """Make room for these texts by forgetting others; leaves out those for which there is none."""
        asked = {q.slot for q in questions}
        for slot in [s for s in self._texts if s not in asked]:
            self._forget(slot)
        fitting: list[Question] = []
        room = self._model.n_ctx
        for question in questions:
            needed = len(question.tokens) + question.length
            if needed <= room:
                fitting.append(question)
                room -= needed
            else:
                self._forget(question.slot)
        return fitting

    def _catch_up(self, questions: Seq[Question]) -> list[Question]:
        """Compute all but the last token of the texts. Returns those that are ready for guessing."""
        room = self._n_batch
        missing: dict[int, list[int]] = {}
        ready: list[Question] = []
        for q in questions:
            known = self._rewind(q)
            rest = list(q.tokens[known:-1])
            if rest and room:
                missing[q.slot] = rest[:room]
                room -= len(missing[q.slot])
            if len(rest) == len(missing.get(q.slot, ())):
                ready.append(q)
        if missing and self._step(missing) is None:
            return []
        return ready

    def _rewind(self, q: Question) -> int:
        """Forget what the large model did not say after all. Returns how much of the text is computed."""
        text = self._texts.setdefault(q.slot, [])
        known = common_length(q.tokens, text, 0, len(q.tokens) - 1)
        if known < len(text):
            self._model.free(q.slot, known)
            del text[known:]
        return known

    def _step(self, tokens: dict[int, list[int]]) -> dict[int, int] | None:
        """Compute tokens of several slots. Returns the likeliest next token of each; `None` if it failed."""
        self._batch.clear()
        rows: dict[int, int] = {}
        for slot, new in tokens.items():
            rows[slot] = self._batch.add(new, position=len(self._texts[slot]), slot=slot, choose=1)
        if self._batch.decode(self._model) != 0:
            for slot in tokens:
                self._forget(slot)
            return None
        for slot, new in tokens.items():
            self._texts[slot] += new
        return {slot: self._likeliest(row) for slot, row in rows.items()}

    def _likeliest(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._model.context, row)
        return int(np.ctypeslib.as_array(logits, (self._model.n_vocab,)).argmax())

    def _forget(self, slot: int) -> None:
        if self._texts.pop(slot, None):
            self._model.forget(slot)


def _check_pair(path: str, draft: NativeModel, target: NativeModel) -> None:
    """A guess is a token id, so the ids must mean the same to both."""
    if not draft.cuttable:
        raise LoadError(f"draft_model {path}: its memory cannot take a wrong guess back; choose a plain transformer")
    step = max(target.n_vocab // COMPARED_TOKENS, 1)
    same = draft.n_vocab == target.n_vocab and all(
        draft.piece(t, special=True) == target.piece(t, special=True) for t in range(0, target.n_vocab, step)
    )
    if not same:
        raise LoadError(
            f"draft_model {path}: its vocabulary ({draft.n_vocab} tokens) is not that of the model "
            f"({target.n_vocab} tokens); choose a smaller model of the same family"
        )
