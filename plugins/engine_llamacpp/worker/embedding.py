"""The queue of texts that become vectors or scores: inputs of all requests share the steps."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from hoshikage.core.errors import ModelFileError
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.pooling import (
    BY_NAME,
    MEAN,
    NONE,
    RANK,
    ComputeFailed,
    Piece,
    PooledContext,
    architecture,
    pooling_of_file,
)
from hoshikage.plugins.engine_llamacpp.worker.reranking import has_ranking_head, rerank_prompts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

Answer = frames.Embedded | frames.Scored | frames.Refused


@dataclass(slots=True, eq=False)
class _Request:
    """A request, and what its inputs have become so far."""

    id: int
    context: PooledContext
    inputs: list[list[int]]
    vectors: list[NDArray[np.float64]] = field(default_factory=list)

    def answer(self) -> Answer:
        """What the caller gets once there is a vector of every input."""
        prompt_tokens = sum(map(len, self.inputs))
        if self.context.pooling == RANK:
            # A head with several outputs has the relevance first, e.g. "yes" before "no".
            return frames.Scored(self.id, [float(vector[0]) for vector in self.vectors], prompt_tokens)
        vectors = b"".join(_normalized(vector).astype("<f4").tobytes() for vector in self.vectors)
        return frames.Embedded(self.id, self.context.dimensions, vectors, prompt_tokens)


@dataclass(slots=True, eq=False)
class _Input:
    """One input's tokens; `n_done` of them are computed, under the sequence number `slot`."""

    request: _Request
    tokens: list[int]
    n_done: int = 0
    slot: int | None = None

    @property
    def n_pending(self) -> int:
        """Tokens that still need computing."""
        return len(self.tokens) - self.n_done


class Embedder:
    """Turns inputs into vectors and pairs into scores, in the order in which they came.

    Nothing is allocated before the first step: most models only generate.
    """

    def __init__(self, model: NativeModel, init: frames.Init) -> None:
        self._model = model
        self._init = init
        self._queue: deque[_Input] = deque()
        self._contexts: dict[int, PooledContext] = {}
        self._can_rank: bool | None = None
        self._tokens_per_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is something to compute."""
        return bool(self._queue)

    def add(self, frame: frames.Embed | frames.Rerank) -> frames.Refused | None:
        """Take a request, or say why not, before anything is computed."""
        return self._add_inputs(frame) if isinstance(frame, frames.Embed) else self._add_pairs(frame)

    def cancel(self, request_id: int) -> None:
        """Forget a request, also one whose first inputs are computed already."""
        for item in [i for i in self._queue if i.request.id == request_id]:
            self._release(item)
            self._queue.remove(item)

    def step(self, *, yielding: bool = False) -> list[Answer]:
        """Compute one step.

        Args:
            yielding: whether answers of others wait for this step. It is kept short then, as far as inputs that
                cannot be split allow.

        Returns:
            The requests that this completed or ended.
        """
        if not self._queue:
            return []
        work: list[tuple[_Input, int]] = [(self._queue[0], 0)]
        try:
            self._make_room(self._queue[0])
            work = self._choose(yielding=yielding)
            return self._compute(work)
        except ComputeFailed as error:
            return self._fail(dict.fromkeys(item.request for item, _ in work), str(error))

    def close(self) -> None:
        """Forget all requests and free the memory."""
        self._queue.clear()
        for context in self._contexts.values():
            context.close()

    # --- requests in ---

    def _add_inputs(self, frame: frames.Embed) -> frames.Refused | None:
        pooling = self._pooling()
        if isinstance(pooling, str):
            return frames.Refused(frame.id, pooling, "unsupported", param="model")
        context = self._context(pooling)
        inputs = []
        for number, given in enumerate(frame.inputs):
            tokens = self._tokens(given)
            if isinstance(tokens, str):
                return frames.Refused(frame.id, f"input {number} {tokens}", "invalid", param="input")
            inputs.append(_truncated(self._model.vocab, tokens, context.longest) if frame.truncate else tokens)
        return self._enqueue(_Request(frame.id, context, inputs), param="input")

    def _add_pairs(self, frame: frames.Rerank) -> frames.Refused | None:
        try:
            if self._can_rank is None:
                self._can_rank = has_ranking_head(self._model.model, Path(self._init.path))
        except ModelFileError as error:
            return frames.Refused(frame.id, error.message, "failed")
        if not self._can_rank:
            kind = architecture(self._model.model)
            reason = f"this {kind} model has no ranking head, so it cannot rerank; use a reranker model"
            return frames.Refused(frame.id, reason, "unsupported", param="model")
        pairs = rerank_prompts(self._model.model, frame.query, frame.documents)
        if not all(pairs):
            return frames.Refused(frame.id, "the query and a document are both empty", "invalid", param="query")
        return self._enqueue(_Request(frame.id, self._context(RANK), pairs), param="documents")

    def _enqueue(self, request: _Request, *, param: str) -> frames.Refused | None:
        if not request.inputs:
            return frames.Refused(request.id, f"{param} is empty; send at least one", "invalid", param=param)
        longest = request.context.longest
        for number, tokens in enumerate(request.inputs):
            if len(tokens) > longest:
                what = "input" if param == "input" else "with the query, document"
                reason = (
                    f"{what} {number} has {len(tokens)} tokens, but this model takes at most {longest} at once; "
                    "shorten it or send it in parts"
                )
                return frames.Refused(request.id, reason, "context", len(tokens), longest, param)
        self._queue.extend(_Input(request, tokens) for tokens in request.inputs)
        return None

    def _tokens(self, given: str | list[int]) -> list[int] | str:
        """The tokens of an input, or what is wrong with it."""
        tokens = self._model.tokenize(given, templated=False) if isinstance(given, str) else given
        for token in tokens:
            if not 0 <= token < self._model.n_vocab:
                return f"has token {token}; the model has tokens 0 to {self._model.n_vocab - 1}"
        return tokens or _nothing(self._model.vocab) or "is empty; send at least one token"

    def _pooling(self) -> int | str:
        """How vectors are made of tokens, or why there can be none."""
        if llama_cpp.llama_model_has_encoder(self._model.model) and self._model.generates:
            return "this model translates from an encoder to a decoder; use an embedding model"
        if self._init.pooling != "model":
            return BY_NAME[self._init.pooling]
        pooling = pooling_of_file(self._model.model)
        if pooling == RANK:
            return "this model ranks documents and makes no embeddings; use an embedding model"
        return MEAN if pooling == NONE else pooling

    def _context(self, pooling: int) -> PooledContext:
        if pooling not in self._contexts:
            self._contexts[pooling] = PooledContext(self._model, self._init, pooling)
        return self._contexts[pooling]

    # --- one step ---

    def _make_room(self, head: _Input) -> None:
        context = head.request.context
        if len(head.tokens) > context.size:
            # Only the head of the queue can be half computed, and such a one has its room: nothing is lost.
            context.grow(len(head.tokens))

    def _choose(self, *, yielding: bool) -> list[tuple[_Input, int]]:
        """The inputs of the next step, as far as they fit, and how many tokens of each."""
        head = self._queue[0]
        context = head.request.context
        budget = context.step_tokens
        if yielding:
            budget = min(budget, max(int(self._tokens_per_s * self._init.max_pause_s), 1))
        chosen: list[tuple[_Input, int]] = []
        for item in self._queue:
            count = min(item.n_pending, budget) if context.splits else item.n_pending
            fits = item is head or (0 < count <= budget and len(item.tokens) <= context.size)
            if not fits or item.request.context is not context or len(chosen) == context.n_slots:
                break
            chosen.append((item, count))
            budget -= count
        free = iter(set(range(context.n_slots)) - {head.slot})
        for item, _ in chosen:
            item.slot = next(free) if item.slot is None else item.slot
        return chosen

    def _compute(self, work: list[tuple[_Input, int]]) -> list[Answer]:
        context = work[0][0].request.context
        pieces = [Piece(i.tokens[i.n_done : i.n_done + n], i.n_done, i.slot) for i, n in work if i.slot is not None]
        began_at = time.monotonic()
        context.compute(pieces)
        seconds = time.monotonic() - began_at
        self._tokens_per_s = sum(count for _, count in work) / max(seconds, 1e-6)
        answers: list[Answer] = []
        for item, count in work:
            item.n_done += count
            if item.n_pending == 0 and item.slot is not None:
                answers += self._collect(item, item.slot)
        return answers

    def _collect(self, item: _Input, slot: int) -> list[Answer]:
        """Take the vector of a computed input, and answer the request if that was the last."""
        request = item.request
        try:
            request.vectors.append(request.context.vector(slot))
        except ComputeFailed as error:
            return self._fail([request], str(error))
        self._release(item)
        self._queue.remove(item)
        return [request.answer()] if len(request.vectors) == len(request.inputs) else []

    def _fail(self, requests: Iterable[_Request], reason: str) -> list[Answer]:
        """End the requests of a step that failed, and no others."""
        for request in requests:
            self.cancel(request.id)
        return [frames.Refused(request.id, reason, "failed") for request in requests]

    def _release(self, item: _Input) -> None:
        """Give back the slot of an input that was begun."""
        if item.slot is not None:
            item.request.context.forget(item.slot)
            item.slot = None


def _nothing(vocab: Any) -> list[int]:
    """The one token that an empty text becomes where the vocabulary puts none around it."""
    candidates = (llama_cpp.llama_vocab_bos(vocab), llama_cpp.llama_vocab_eos(vocab))
    return [token for token in candidates if token >= 0][:1]


def _truncated(vocab: Any, tokens: list[int], longest: int) -> list[int]:
    """Cut off what is too much, but not the token that marks the end: the model is trained to see it there."""
    if len(tokens) <= longest:
        return tokens
    ends = set()
    if llama_cpp.llama_vocab_get_add_eos(vocab):
        ends.add(llama_cpp.llama_vocab_eos(vocab))
    if llama_cpp.llama_vocab_get_add_sep(vocab):
        ends.add(llama_cpp.llama_vocab_sep(vocab))
    return [*tokens[: longest - 1], tokens[-1]] if tokens[-1] in ends else tokens[:longest]


def _normalized(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
