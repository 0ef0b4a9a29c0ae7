"""The loop of the worker: take frames, plan a step, compute it, choose tokens, send one frame."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.native import (
    NO_SLOT,
    Batch,
    LoadError,
    NativeLog,
    NativeModel,
)
from hoshikage.plugins.engine_llamacpp.worker.prefix import best_donor
from hoshikage.plugins.engine_llamacpp.worker.sampler import SamplerChain
from hoshikage.plugins.engine_llamacpp.worker.scheduler import Limits, StepPlan, plan_step
from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused
from hoshikage.plugins.engine_llamacpp.worker.text import TextStream

if TYPE_CHECKING:
    import socket

READ_BYTES = 1 << 20


class Connection:
    """The worker's end of the socket pair."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._buffer = bytearray()
        self.closed = False

    def send(self, frame: frames.FromWorker) -> None:
        """Send one frame; waits while the server does not read."""
        try:
            self._socket.sendall(frames.pack(frame))
        except OSError:
            self.closed = True

    def receive(self, *, wait: bool) -> list[frames.ToWorker]:
        """Take the frames that have come; with `wait`, at least one unless the server is gone."""
        received: list[frames.ToWorker] = []
        while not received and not self.closed:
            readable, _, _ = select.select([self._socket], [], [], None if wait else 0)
            if not readable:
                break
            try:
                data = self._socket.recv(READ_BYTES)
            except OSError:  # the server went away without reading what it was sent
                data = b""
            self.closed = not data
            self._buffer += data
            received.extend(self._whole_frames())
        return received

    def _whole_frames(self) -> list[frames.ToWorker]:
        found = []
        while len(self._buffer) >= frames.LENGTH.size:
            (size,) = frames.LENGTH.unpack_from(self._buffer)
            end = frames.LENGTH.size + size
            if len(self._buffer) < end:
                break
            found.append(frames.to_worker.decode(memoryview(self._buffer)[frames.LENGTH.size : end].tobytes()))
            del self._buffer[:end]
        return found


def serve(socket: socket.socket) -> int:
    """Load what the first frame says, and answer until the server stops or goes away.

    Returns:
        The exit status of the process.
    """
    connection = Connection(socket)
    first = connection.receive(wait=True)
    if not first or not isinstance(first[0], frames.Init):
        return 1
    init = first[0]
    os.nice(init.nice)
    log = NativeLog(lambda level, text: connection.send(frames.Log(_log_level(level), text)))
    try:
        loop = Loop(init, connection, log)
    except (LoadError, TemplateRefused) as error:
        connection.send(frames.Failed(str(error)))
        return 1
    loop.run(first[1:])
    return 0


def _log_level(level: str) -> frames.LogLevel:
    return "error" if level == "error" else "warning"


class Loop:
    """One model and its sequences. All of its state belongs to this one thread."""

    def __init__(self, init: frames.Init, connection: Connection, log: NativeLog) -> None:
        self._connection = connection
        self._model = NativeModel(init, log)
        self._template = ChatTemplate(
            self._model.chat_template(),
            bos=self._model.special_text(bos=True),
            eos=self._model.special_text(bos=False),
        )
        max_num_seqs = min(init.max_num_seqs, init.n_batch)
        self._limits = Limits(self._model.n_ctx, init.n_batch, init.prefill_chunk, max_num_seqs)
        self._batch = Batch(init.n_batch)
        self._free_slots = list(range(max_num_seqs - 1, -1, -1))
        self._running: list[Sequence] = []
        self._waiting: list[Sequence] = []
        self._stopping = False

    def run(self, frames_so_far: list[frames.ToWorker]) -> None:
        """Serve until stopped."""
        self._connection.send(frames.Ready(self._model.n_ctx, self._model.size_bytes))
        received = frames_so_far
        while not self._stopping and not self._connection.closed:
            for frame in received:
                self._take(frame)
            if self._running or self._waiting:
                self._step()
            received = self._connection.receive(wait=not (self._running or self._waiting))
        self._batch.close()
        self._model.close()

    # --- frames in ---

    def _take(self, frame: frames.ToWorker) -> None:
        match frame:
            case frames.Generate():
                self._begin(frame)
            case frames.Cancel():
                self._drop(frame.id)
            case frames.Stop():
                self._stopping = True
            case frames.Init():
                pass  # a worker holds one model for its whole life

    def _begin(self, frame: frames.Generate) -> None:
        try:
            tokens = self._prompt(frame)
        except TemplateRefused as error:
            self._connection.send(frames.Refused(frame.id, str(error), "invalid"))
            return
        reason = self._unfit(frame, tokens)
        if reason is not None:
            self._connection.send(reason)
            return
        n_prompt, room = len(tokens), self._model.n_ctx - len(tokens)
        wanted = frame.max_tokens if frame.max_tokens is not None and frame.max_tokens >= 0 else room
        sequence = Sequence(frame.id, tokens, n_prompt, min(wanted, room))
        sequence.sampler = SamplerChain(
            frame.sampling, n_vocab=self._model.n_vocab, n_ctx=self._model.n_ctx, prompt=tokens
        )
        sequence.text = TextStream(tuple(frame.stop))
        self._waiting.append(sequence)
        self._connection.send(frames.Begun(frame.id, n_prompt))

    def _prompt(self, frame: frames.Generate) -> list[int]:
        if frame.prompt is not None:
            return self._model.tokenize(frame.prompt, templated=False)
        turns = [_turn(t) for t in frame.turns]
        return self._model.tokenize(self._template.render(turns), templated=True)

    def _unfit(self, frame: frames.Generate, tokens: list[int]) -> frames.Refused | None:
        if len(tokens) >= self._model.n_ctx:
            return frames.Refused(frame.id, "", "context", len(tokens), self._model.n_ctx)
        if not tokens:
            param = "messages" if frame.prompt is None else "prompt"
            return frames.Refused(frame.id, "the prompt is empty: it has no tokens", "invalid", param=param)
        for token in frame.sampling.logit_bias:
            if not 0 <= token < self._model.n_vocab:
                reason = f"logit_bias names token {token}; the model has tokens 0 to {self._model.n_vocab - 1}"
                return frames.Refused(frame.id, reason, "invalid", param="logit_bias")
        return None

    # --- one step ---

    def _step(self) -> None:
        plan = plan_step(self._running, self._waiting, self._limits)
        for sequence in plan.preempted:
            self._preempt(sequence)
        shared = [self._admit(sequence) for sequence in plan.admitted]
        if any(shared):
            # What is shared needs no computing, so the step has room for more.
            plan = plan_step(self._running, (), self._limits)
        rows = self._compute(plan)
        if rows is None:
            return
        deltas = [self._advance(sequence, row) for sequence, row in rows]
        if deltas:
            self._connection.send(frames.Step(deltas))

    def _compute(self, plan: StepPlan) -> list[tuple[Sequence, int]] | None:
        """Fill and decode the batch. Returns the sequences that can choose a token, and their rows."""
        self._batch.clear()
        rows: list[tuple[Sequence, int]] = []
        for work in plan.work:
            s, start = work.sequence, work.sequence.n_computed
            assert s.slot is not None
            tokens = s.tokens[start : start + work.count]
            row = self._batch.add(tokens, position=start, slot=s.slot, choose=work.completes)
            if work.completes:
                rows.append((s, row))
        code = self._batch.decode(self._model)
        if code != 0:
            self._recover(code, [w.sequence for w in plan.work])
            return None
        for work in plan.work:
            work.sequence.n_computed += work.count
        return rows

    def _recover(self, code: int, sequences: list[Sequence]) -> None:
        """Undo a step that llama.cpp refused. A full cache preempts the youngest; all else ends the step's callers."""
        youngest = self._running[-1]
        if code == NO_SLOT and len(self._running) > 1:
            for sequence in sequences:
                self._model.trim(sequence.slot, sequence.n_computed)
            self._preempt(youngest)
            return
        for sequence in sequences:
            self._leave(sequence)
            self._connection.send(frames.Refused(sequence.id, f"llama_decode failed with code {code}", "failed"))

    def _advance(self, sequence: Sequence, row: int) -> frames.Delta:
        """Choose the next token of a sequence, and end it where that was the last."""
        assert sequence.sampler is not None
        assert sequence.text is not None
        token = sequence.sampler.sample(self._model.context, row)
        now = time.monotonic()
        sequence.first_token_at = sequence.first_token_at or now
        sequence.tokens.append(token)
        if self._model.ends_answer(token):
            return self._finish(sequence, sequence.text.finish(), "stop", now)
        text = sequence.text.push(self._model.piece(token))
        if sequence.text.stopped:
            return self._finish(sequence, text, "stop", now)
        if sequence.n_answer >= sequence.max_tokens:
            return self._finish(sequence, text + sequence.text.finish(), "length", now)
        return frames.Delta(sequence.id, text, 1)

    def _finish(self, sequence: Sequence, text: str, reason: frames.Finish, now: float) -> frames.Delta:
        self._leave(sequence)
        return frames.Delta(
            sequence.id,
            text,
            1,
            reason,
            sequence.n_prompt,
            sequence.n_answer,
            sequence.first_token_at - sequence.begun_at,
            now - sequence.first_token_at,
            sequence.n_shared,
        )

    # --- joining and leaving ---

    def _admit(self, sequence: Sequence) -> bool:
        """Give a sequence a slot. Returns whether it shares the beginning of one that runs."""
        self._waiting.remove(sequence)
        sequence.slot = self._free_slots.pop()
        donor, length = best_donor(sequence.tokens, self._running) if self._model.shares_prefixes else (None, 0)
        if donor is not None and donor.slot is not None:
            self._model.share(donor.slot, sequence.slot, length)
            sequence.n_computed = length
        if not sequence.begun_at:
            sequence.begun_at = time.monotonic()
            sequence.n_shared = sequence.n_computed
        self._running.append(sequence)
        return length > 0

    def _preempt(self, sequence: Sequence) -> None:
        """Take a running sequence's cells; it comes back first, and is computed again with what it has said."""
        self._vacate(sequence)
        sequence.n_computed = 0
        self._waiting.insert(0, sequence)

    def _leave(self, sequence: Sequence) -> None:
        self._vacate(sequence)
        if sequence.sampler is not None:
            sequence.sampler.close()

    def _vacate(self, sequence: Sequence) -> None:
        assert sequence.slot is not None
        self._running.remove(sequence)
        self._model.forget(sequence.slot)
        self._free_slots.append(sequence.slot)
        sequence.slot = None

    def _drop(self, sequence_id: int) -> None:
        """Forget a cancelled sequence, whether it runs, waits, or has ended meanwhile."""
        for sequence in [s for s in self._running if s.id == sequence_id]:
            self._leave(sequence)
        for sequence in [s for s in self._waiting if s.id == sequence_id]:
            self._waiting.remove(sequence)
            if sequence.sampler is not None:
                sequence.sampler.close()


def _turn(turn: frames.Turn) -> dict[str, str]:
    message = {"role": turn.role, "content": turn.content}
    return {**message, "name": turn.name} if turn.name else message
