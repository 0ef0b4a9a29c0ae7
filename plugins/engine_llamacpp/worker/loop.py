"""The loop of the worker: take frames, plan a step, compute it, choose tokens, send one frame."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.account import account_of
from hoshikage.plugins.engine_llamacpp.worker.cache import KvCache
from hoshikage.plugins.engine_llamacpp.worker.constraint import ConstraintFailed
from hoshikage.plugins.engine_llamacpp.worker.embedding import Embedder
from hoshikage.plugins.engine_llamacpp.worker.guesser import Guesser
from hoshikage.plugins.engine_llamacpp.worker.intake import Intake, RequestRefused, close
from hoshikage.plugins.engine_llamacpp.worker.measuring import measure
from hoshikage.plugins.engine_llamacpp.worker.native import NO_SLOT, Batch, LoadError, NativeModel
from hoshikage.plugins.engine_llamacpp.worker.saved_states import SavedStates
from hoshikage.plugins.engine_llamacpp.worker.scheduler import Limits, StepPlan, Work, plan_step, prefill_chunk
from hoshikage.plugins.engine_llamacpp.worker.state_keeper import StateKeeper

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.usage import Usage
    from hoshikage.plugins.engine_llamacpp.worker.connection import Connection
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog
    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence

FIRST_CHUNK = 64  # tokens of the first prompt, while nothing is known of the model's speed
SMALLEST_MEASURED = 8  # tokens; a smaller step says little about the speed of prefill
TELL_INTERVAL_S = 0.1
CLOSING_NICE = 19
ALONE_PAUSES = 4  # nobody reads while only prompts are computed, but a newcomer waits for the end of the step


class Loop:
    """One model and its sequences. All of its state belongs to this one thread."""

    def __init__(self, init: frames.Init, connection: Connection, log: NativeLog) -> None:
        self._connection = connection
        self._init = init
        self._model = NativeModel(init, log)
        self._intake = Intake(self._model, init)
        states = SavedStates(init.state, self._warn) if init.state is not None and self._model.generates else None
        self._cache = KvCache(self._model, reuses=init.reuses_prefixes, states=states)
        self._states = states
        self._keeper = StateKeeper(self._model, self._cache, states, init.state)
        self._embedder = Embedder(self._model, init)
        self._guesser = Guesser(init, self._model, log)
        self._batch = Batch(init.n_batch)
        self._tally = frames.Counters()
        self._told = frames.Counters()
        self._tell_at = 0.0
        self._speed = 0.0  # tokens per second in prefill; 0 until it has been measured
        self._plan = StepPlan()
        self._running: list[Sequence] = []
        self._waiting: list[Sequence] = []
        self._stopping = False

    def run(self, frames_so_far: list[frames.ToWorker]) -> None:
        """Serve until stopped."""
        size_bytes = self._model.size_bytes + self._guesser.size_bytes
        self._connection.send(frames.Ready(self._model.n_ctx, size_bytes, self._usage()))
        received = frames_so_far
        while not self._stopping and not self._connection.closed:
            for frame in received:
                self._take(frame)
            if self._running or self._waiting:
                self._step()
            if self._embedder.busy:
                for answer in self._embedder.step(yielding=bool(self._running or self._waiting)):
                    self._connection.send(answer)
            self._keeper.tick()
            idle = self._idle()
            received = self._connection.receive(wait=idle, limit_s=self._keeper.wait_s() if idle else None)
        _yield_to_the_next()
        self._keeper.save_all()
        self._embedder.close()
        self._guesser.close()
        self._batch.close()
        self._model.close()

    def _idle(self) -> bool:
        """Whether there is nothing to do; if so, the server learns how things stand."""
        if self._running or self._waiting or self._embedder.busy:
            return False
        if self._counters() != self._told:
            self._tell([])
        return True

    # --- frames in ---

    def _take(self, frame: frames.ToWorker) -> None:
        match frame:
            case frames.Generate():
                self._begin(frame)
            case frames.Embed() | frames.Rerank():
                if (refused := self._embedder.add(frame)) is not None:
                    self._connection.send(refused)
            case frames.Tokenize():
                tokens = self._model.tokenize(frame.text, templated=False, special=frame.special)
                self._connection.send(frames.Tokenized(frame.id, tokens))
            case frames.Detokenize():
                self._detokenize(frame)
            case frames.Extend():
                self._extend(frame)
            case frames.Cancel():
                self._drop(frame.id)
                self._embedder.cancel(frame.id)
            case frames.Stop():
                self._stopping = True
            case frames.Init():
                pass  # a worker holds one model for its whole life

    def _begin(self, frame: frames.Generate) -> None:
        try:
            sequences, tail = self._intake.sequences(frame)
        except RequestRefused as error:
            self._connection.send(error.frame)
            return
        self._waiting.extend(sequences)
        self._connection.send(frames.Begun(frame.id, sequences[0].n_prompt, tail))

    def _extend(self, frame: frames.Extend) -> None:
        if frame.n_ctx > self._model.n_ctx:
            try:
                self._model.extend_context(frame.n_ctx)
            except LoadError as error:
                n_ctx = self._model.n_ctx
                self._connection.send(frames.Refused(frame.id, str(error), "context", frame.n_ctx, n_ctx, "num_ctx"))
                return
        size_bytes = self._model.size_bytes + self._guesser.size_bytes
        self._connection.send(frames.Extended(frame.id, self._model.n_ctx, size_bytes, self._usage()))

    def _usage(self) -> Usage:
        return measure([self._model.buffers, *self._guesser.buffers])

    def _warn(self, text: str) -> None:
        self._connection.send(frames.Log("info", text))

    def _detokenize(self, frame: frames.Detokenize) -> None:
        wrong = [token for token in frame.tokens if not 0 <= token < self._model.n_vocab]
        if wrong:
            reason = f"tokens: {wrong[0]} is no token; the model has tokens 0 to {self._model.n_vocab - 1}"
            self._connection.send(frames.Refused(frame.id, reason, "invalid", param="tokens"))
        else:
            self._connection.send(frames.Detokenized(frame.id, self._model.text_of(frame.tokens)))

    # --- one step ---

    def _step(self) -> None:
        self._end_overdue()
        plan = self._next_plan()
        if not plan.work:
            return
        rows = self._compute(plan)
        if rows is None:
            return
        advanced = (self._advance(work, row) for work, row in rows)
        deltas = [delta for delta in advanced if delta is not None]
        self._guesser.guess(self._running)
        self._tell(deltas)

    def _next_plan(self) -> StepPlan:
        """Decide the next step, and do what must be done before it can be computed."""
        for sequence in self._running:
            if not sequence.joined and not sequence.blocked:
                self._cache.join(sequence)
        plan = self._planned(self._waiting)
        while plan.preempted is not None:
            self._preempt(plan.preempted)
            plan = self._planned(())
        for sequence in plan.admitted:
            self._admit(sequence)
        if plan.admitted:
            # What is shared needs no computing, so the step may have room for more.
            plan = self._planned(())
        self._plan = plan
        return plan

    def _planned(self, waiting: list[Sequence] | tuple[()]) -> StepPlan:
        return plan_step(
            self._running,
            waiting,
            self._limits(),
            n_used=self._cache.n_used(self._running),
            shared=lambda sequence: self._cache.shared(sequence, self._running),
            last_adapters=self._plan.adapters,
        )

    def _limits(self) -> Limits:
        pause_s, n_batch = self._init.max_pause_s, self._init.n_batch
        speed = self._speed or FIRST_CHUNK / (pause_s * ALONE_PAUSES)
        return Limits(
            n_cells=self._model.n_ctx,
            n_batch=n_batch,
            max_num_seqs=self._init.max_num_seqs,
            prefill_chunk=prefill_chunk(speed, pause_s, longest=n_batch),
            prefill_alone=prefill_chunk(speed, pause_s * ALONE_PAUSES, longest=n_batch),
        )

    def _compute(self, plan: StepPlan) -> list[tuple[Work, int]] | None:
        """Fill and decode the batch. Returns the work that can choose a token, and its first row."""
        self._batch.clear()
        self._cache.make_room(plan.n_tokens, self._running)
        self._model.use_adapters(plan.adapters)
        rows: list[tuple[Work, int]] = []
        for work in plan.work:
            s, start = work.sequence, work.sequence.n_computed
            assert s.slot is not None
            tokens = s.tokens[start : start + work.count] + s.draft[: work.draft]
            choose = work.draft + 1 if work.completes else 0
            row = self._batch.add(tokens, position=start, slot=s.slot, choose=choose)
            if work.completes:
                rows.append((work, row - work.draft))
        began = time.monotonic()
        code = self._batch.decode(self._model)
        self._account(plan, time.monotonic() - began)
        if code != 0:
            self._recover(code, [work.sequence for work in plan.work])
            return None
        for work in plan.work:
            work.sequence.n_computed += work.count
            self._cache.note_progress(work.sequence)
        return rows

    def _account(self, plan: StepPlan, compute_s: float) -> None:
        prefill = sum(w.count for w in plan.work if w.sequence.n_computed < w.sequence.n_prompt)
        self._tally.steps += 1
        self._tally.compute_s += compute_s
        self._tally.batch_tokens += plan.n_tokens
        self._tally.prefill_tokens += prefill
        if prefill >= SMALLEST_MEASURED:
            measured = plan.n_tokens / max(compute_s, 1e-6)
            self._speed = (self._speed + measured) / 2 if self._speed else measured

    def _recover(self, code: int, sequences: list[Sequence]) -> None:
        """Undo a step that llama.cpp refused: without room the youngest waits, all else ends the step's callers."""
        if code == NO_SLOT and len(self._running) > 1:
            for sequence in sequences:
                self._cache.rewind(sequence)
            if not self._cache.drop_kept():
                self._preempt(self._running[-1])
            return
        for sequence_id in {s.id for s in sequences}:
            self._fail(sequence_id, f"llama_decode failed with code {code}", "failed")

    # --- choosing ---

    def _advance(self, work: Work, first_row: int) -> frames.Delta | None:
        """Choose the next tokens of a sequence: one, and one more for each guess that was right."""
        s = work.sequence
        if s.slot is None:  # another answer to its request has failed, and took this one along
            return None
        draft, s.draft = s.draft[: work.draft], []
        try:
            return self._chosen(s, first_row, draft)
        except ConstraintFailed as error:
            self._fail(s.id, f"the answer cannot go on in the form that was asked for: {error}", "failed")
            return None

    def _chosen(self, s: Sequence, first_row: int, draft: list[int]) -> frames.Delta:
        assert s.sampler is not None
        text, logprobs, finish = "", [], None
        n_before = s.n_answer
        for at, guess in enumerate([*draft, None]):
            choice = s.sampler.choose(first_row + at)
            s.tokens.append(choice.token)
            logprobs += [] if choice.logprob is None else [choice.logprob]
            piece, finish = self._read(s, choice.token)
            text += piece
            if finish is not None or choice.token != guess:
                break
            s.n_computed += 1
        now = time.monotonic()
        if not n_before:
            s.first_token_at = now
            self._tally.cached_tokens += s.n_cached
        chosen = s.tokens[s.n_prompt + n_before :]
        n_chosen = len(chosen)
        self._tally.decode_tokens += n_chosen
        if draft:
            self._check_guess(s, len(draft), n_chosen)
        if finish is None:
            return frames.Delta(s.id, s.index, text, chosen, logprobs)
        self._leave(s)
        return frames.Delta(s.id, s.index, text, chosen, logprobs, finish, account_of(s, now))

    def _read(self, s: Sequence, token: int) -> tuple[str, frames.Finish | None]:
        """The text that a token adds, and whether it ends the answer."""
        assert s.text is not None
        assert s.sampler is not None
        if self._model.ends_answer(token):
            return s.text.finish(), "stop"
        text = s.text.push(self._model.piece(token, special=token in s.shown))
        if s.text.stopped:
            return text, "stop"
        if s.sampler.finished:
            return text + s.text.finish(), "stop"
        if s.n_answer >= s.max_tokens:
            return text + s.text.finish(), "length"
        return text, None

    def _check_guess(self, s: Sequence, n_drafted: int, n_chosen: int) -> None:
        """Learn from a guess, and free the cells of what was wrong."""
        n_accepted = min(n_chosen - 1, n_drafted)
        assert s.pace is not None
        s.pace.record(n_drafted, n_accepted)
        s.n_drafted += n_drafted
        s.n_accepted += n_accepted
        self._tally.drafted_tokens += n_drafted
        self._tally.accepted_tokens += n_accepted
        self._cache.rewind(s)

    # --- joining and leaving ---

    def _admit(self, sequence: Sequence) -> None:
        self._waiting.remove(sequence)
        self._cache.admit(sequence, self._running)
        if not sequence.begun_at:
            sequence.begun_at = time.monotonic()
        self._running.append(sequence)

    def _preempt(self, sequence: Sequence) -> None:
        """Take a running sequence's cells; it comes back first, and is computed again with what it has said."""
        self._running.remove(sequence)
        self._cache.leave(sequence)
        sequence.draft = []
        sequence.n_computed = 0
        sequence.n_preempted += 1
        self._tally.preemptions += 1
        self._waiting.insert(0, sequence)

    def _leave(self, sequence: Sequence) -> None:
        """Let a sequence go, wherever it is."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
        else:
            self._running.remove(sequence)
            self._cache.leave(sequence)
        close(sequence)

    def _drop(self, sequence_id: int) -> None:
        """Forget the sequences of a request, whether they run, wait, or have ended meanwhile."""
        for sequence in [s for s in (*self._running, *self._waiting) if s.id == sequence_id]:
            self._leave(sequence)

    def _fail(self, sequence_id: int, reason: str, kind: frames.RefusalKind) -> None:
        self._drop(sequence_id)
        self._connection.send(frames.Refused(sequence_id, reason, kind))

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for sequence_id in {s.id for s in (*self._running, *self._waiting) if 0 < s.deadline < now}:
            self._fail(sequence_id, "the answer was not complete by its deadline", "deadline")

    # --- counting ---

    def _tell(self, deltas: list[frames.Delta]) -> None:
        """Send what a step made; counters go along now and then, and when the worker has nothing more to do."""
        now = time.monotonic()
        idle = not (self._running or self._waiting)
        if not deltas and not idle and now < self._tell_at:
            return
        counters = None
        if idle or now >= self._tell_at:
            counters = self._told = self._counters()
            self._tell_at = now + TELL_INTERVAL_S
        self._connection.send(frames.Step(deltas, counters))

    def _counters(self) -> frames.Counters:
        return msgspec.structs.replace(
            self._tally,
            running=len(self._running),
            waiting=len(self._waiting),
            cells_total=self._model.n_ctx,
            cells_used=self._cache.n_used(self._running),
            cells_kept=self._cache.n_kept(),
            restored_tokens=self._cache.n_restored,
            saved_bytes=self._states.saved_bytes if self._states is not None else 0,
        )


def _yield_to_the_next() -> None:
    """Saving, and giving memory back, take a processor; the model that this one makes room for needs it more."""
    if sys.platform != "win32":
        os.setpriority(os.PRIO_PROCESS, 0, CLOSING_NICE)
