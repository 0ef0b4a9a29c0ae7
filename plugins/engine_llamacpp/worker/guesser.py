"""Guesses for everyone who chooses in the next step: by looking up, else by the draft model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.draft import DraftModel, Question

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.frames import Init
    from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog, NativeModel
    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence


class Guesser:
    """Fills in the drafts of sequences. What they guess wrong must be taken back, so the memory must be cuttable.

    Raises:
        LoadError: the draft model cannot be loaded, or does not go with the model.
    """

    def __init__(self, init: Init, model: NativeModel, log: NativeLog) -> None:
        self._longest = init.draft_tokens
        self._draft_model = DraftModel(init, model, log) if init.draft_model and model.cuttable else None

    @property
    def size_bytes(self) -> int:
        """What the draft model takes."""
        return self._draft_model.size_bytes if self._draft_model is not None else 0

    @property
    def buffers(self) -> list[Buffers]:
        """What the draft model holds."""
        return [self._draft_model.buffers] if self._draft_model is not None else []

    def guess(self, running: Seq[Sequence]) -> None:
        """Give each sequence that has begun its answer a draft for the next step, or none."""
        open_questions: dict[Question, Sequence] = {}
        for s in running:
            s.draft = []
            if s.pace is None or s.slot is None or s.n_pending != 1 or not s.n_answer:
                continue
            length = min(s.pace.next_length(), s.max_tokens - s.n_answer - 1)
            if length > 0 and s.lookup is not None:
                s.draft = s.lookup.draft(s.tokens, length)
            if length > 0 and not s.draft:
                open_questions[Question(s.slot, s.tokens, min(length, self._longest))] = s
        if open_questions and self._draft_model is not None:
            guesses = self._draft_model.guess(list(open_questions))
            for question, s in open_questions.items():
                s.draft = guesses.get(question.slot, [])

    def close(self) -> None:
        """Free the draft model."""
        if self._draft_model is not None:
            self._draft_model.close()
