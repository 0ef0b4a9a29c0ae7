"""From a request to sequences that can be computed, or to the reason why not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.constraint import ConstraintRefused, Grammars
from hoshikage.plugins.engine_llamacpp.worker.conversation import build_prompt
from hoshikage.plugins.engine_llamacpp.worker.infill import InfillUnsupported, infill_prompt
from hoshikage.plugins.engine_llamacpp.worker.sampler import Sampler
from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence
from hoshikage.plugins.engine_llamacpp.worker.speculation import Pace, PromptLookup
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused
from hoshikage.plugins.engine_llamacpp.worker.text import TextStream
from hoshikage.plugins.engine_llamacpp.worker.thinking import ThinkingState

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

TAIL_CHARS = 200


class RequestRefused(Exception):
    """A request that cannot be computed; `frame` is the answer to it."""

    def __init__(self, frame: frames.Refused) -> None:
        super().__init__(frame.reason)
        self.frame = frame


class Intake:
    """Checks requests against the model, all of it before any compute.

    Raises:
        TemplateRefused: the model's chat template is invalid.
    """

    def __init__(self, model: NativeModel, init: frames.Init) -> None:
        self._model = model
        self._max_n = init.max_num_seqs
        # A memory that cannot be cut cannot take a wrong guess back.
        self._lookup_tokens = init.lookup_tokens if model.cuttable else 0
        self._draft_tokens = init.draft_tokens if model.cuttable and init.draft_model else 0
        self._grammars = Grammars(model)
        template = init.chat_template or model.chat_template()
        bos, eos = model.special_text(bos=True), model.special_text(bos=False)
        self._template = ChatTemplate(template, bos=bos, eos=eos)

    def sequences(self, frame: frames.Generate) -> tuple[list[Sequence], str]:
        """Build one sequence for each of the request's answers.

        Returns:
            The sequences, and the end of the prompt as text.

        Raises:
            RequestRefused: with the reason and the field.
        """
        self._check(frame)
        tokens, tail = self._prompt(frame)
        self._check_prompt(frame, tokens)
        sequences: list[Sequence] = []
        try:
            sequences.extend(self._sequence(frame, tokens, tail, index) for index in _open_answers(frame))
        except ConstraintRefused as error:
            for sequence in sequences:
                close(sequence)
            param = frame.constraint.param if frame.constraint else "response_format"
            raise _refusal(frame, f"{param}: {error}", param) from error
        return sequences, tail

    def _check(self, frame: frames.Generate) -> None:
        if not self._model.generates:
            raise _refusal(frame, "this model makes embeddings only, no text", "model", kind="unsupported")
        if not 1 <= frame.n <= self._max_n:
            raise _refusal(frame, f"n is {frame.n}; this model answers 1 to {self._max_n} times at once", "n")
        known = self._model.adapter_names
        for adapter in frame.adapters:
            if adapter.name not in known:
                names = ", ".join(known) or "none"
                raise _refusal(frame, f"lora: the model has no adapter {adapter.name!r}; it has: {names}", "lora")
        for token in frame.sampling.logit_bias:
            self._check_token(frame, token, "logit_bias")

    def _check_token(self, frame: frames.Generate, token: int, param: str) -> None:
        if not 0 <= token < self._model.n_vocab:
            reason = f"{param} names token {token}; the model has tokens 0 to {self._model.n_vocab - 1}"
            raise _refusal(frame, reason, param)

    def _prompt(self, frame: frames.Generate) -> tuple[list[int], str]:
        if frame.prompt is None:
            try:
                text = build_prompt(self._template, frame)
            except TemplateRefused as error:
                raise _refusal(frame, str(error), "messages") from error
            return self._model.tokenize(text, templated=True), text[-TAIL_CHARS:]
        if frame.suffix is not None:
            return self._infill(frame, frame.prompt, frame.suffix), ""
        if isinstance(frame.prompt, str):
            return self._model.tokenize(frame.prompt, templated=False), ""
        for token in frame.prompt:
            self._check_token(frame, token, "prompt")
        return list(frame.prompt), ""

    def _infill(self, frame: frames.Generate, prompt: str | list[int], suffix: str) -> list[int]:
        if not isinstance(prompt, str):
            raise _refusal(frame, "suffix needs a prompt of text, not of token ids", "suffix")
        try:
            return infill_prompt(prompt, suffix, self._model.vocab)
        except InfillUnsupported as error:
            raise _refusal(frame, str(error), "suffix", kind="unsupported") from error

    def _check_prompt(self, frame: frames.Generate, tokens: list[int]) -> None:
        n_ctx = self._model.n_ctx
        if len(tokens) >= n_ctx:
            raise RequestRefused(frames.Refused(frame.id, "", "context", len(tokens), n_ctx))
        if not tokens:
            param = "messages" if frame.prompt is None else "prompt"
            raise _refusal(frame, "the prompt is empty: it has no tokens", param)

    def _sequence(self, frame: frames.Generate, tokens: list[int], tail: str, index: int) -> Sequence:
        room = self._model.n_ctx - len(tokens)
        wanted = frame.max_tokens if frame.max_tokens is not None and frame.max_tokens >= 0 else room
        sequence = Sequence(
            frame.id,
            list(tokens),
            len(tokens),
            min(wanted, room),
            index=index,
            scope=frame.scope,
            adapters=tuple(sorted((a.name, a.scale) for a in frame.adapters)),
            deadline=time.monotonic() + frame.deadline_s if frame.deadline_s else 0.0,
            shown=frozenset(t for marker in frame.markers if (t := self._model.token_of(marker)) is not None),
        )
        constraint = self._grammars.start(frame.constraint, frame.markers) if frame.constraint else None
        sequence.sampler = Sampler(
            _seeded(frame.sampling, index),
            model=self._model,
            prompt=tokens,
            constraint=constraint,
            thinking=ThinkingState(frame.thinking, model=self._model, prompt_tail=tail) if frame.thinking else None,
            logprobs=frame.logprobs,
        )
        sequence.text = TextStream(tuple(frame.stop))
        if self._lookup_tokens or self._draft_tokens:
            sequence.pace = Pace(max(self._lookup_tokens, self._draft_tokens))
            sequence.lookup = PromptLookup() if self._lookup_tokens else None
        if frame.so_far:
            self._replay(sequence, frame.so_far[index] or [])
        return sequence

    def _replay(self, sequence: Sequence, so_far: list[int]) -> None:
        """Bring a sequence to where another worker was when it died; its text went out already."""
        assert sequence.sampler is not None
        assert sequence.text is not None
        for token in so_far:
            sequence.sampler.replay(token)
            sequence.text.push(self._model.piece(token, special=token in sequence.shown))
            sequence.tokens.append(token)
        if so_far:
            sequence.begun_at = sequence.first_token_at = time.monotonic()


def _open_answers(frame: frames.Generate) -> list[int]:
    """The answers that are to be made: all, but for those that were complete when another worker died."""
    return [i for i in range(frame.n) if not frame.so_far or frame.so_far[i] is not None]


def close(sequence: Sequence) -> None:
    """Free what a sequence holds outside of the cache."""
    if sequence.sampler is not None:
        sequence.sampler.close()


def _seeded(params: frames.SamplingParams, index: int) -> frames.SamplingParams:
    """Each of several answers has its own seed, or they would all be the same."""
    if params.seed is None or params.seed < 0 or not index:
        return params
    return msgspec.structs.replace(params, seed=params.seed + index)


def _refusal(
    frame: frames.Generate, reason: str, param: str, *, kind: frames.RefusalKind = "invalid"
) -> RequestRefused:
    return RequestRefused(frames.Refused(frame.id, reason, kind, param=param))
