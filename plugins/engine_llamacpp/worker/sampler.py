"""How the next token of one sequence is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import llama_cpp

from hoshikage.plugins.engine_llamacpp.worker.candidates import Candidates, logits_of
from hoshikage.plugins.engine_llamacpp.worker.chain import biases_of, build_chain, is_greedy
from hoshikage.plugins.engine_llamacpp.worker.logprobs import logprob_of
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp import frames
    from hoshikage.plugins.engine_llamacpp.worker.constraint import ConstraintState
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel
    from hoshikage.plugins.engine_llamacpp.worker.thinking import ThinkingState


class Choice(NamedTuple):
    """A chosen token, and how likely it was where somebody wants to know."""

    token: int
    logprob: frames.Logprob | None


class Sampler:
    """Chooses the tokens of one sequence, with the state that this needs.

    Under a constraint, a token is first drawn as if there were none, which is cheap, and taken if it is allowed. Only
    if it is not, the allowed tokens are collected, and one is drawn from these alone. Where nothing cuts the vocabulary
    off, this gives every allowed token its share of what is allowed. The second draw begins with the first sampler, as
    what top-k and its like have left of the whole vocabulary may hold no allowed token at all; so with these, the
    tokens that they would keep anyway are a little likelier than if the first draw were left out. llama.cpp's own
    programs choose in this way.

    Args:
        params: the request's numbers.
        model: whose context has the logits.
        prompt: what the penalties and DRY remember at first.
        constraint: the form of the answer, which begins after the thinking.
        thinking: follows the thinking of a model that marks it.
        logprobs: how many alternatives to name with each token; -1 gives no probabilities at all.
    """

    def __init__(
        self,
        params: frames.SamplingParams,
        *,
        model: NativeModel,
        prompt: Sequence[int],
        constraint: ConstraintState | None = None,
        thinking: ThinkingState | None = None,
        logprobs: int = -1,
    ) -> None:
        self._model = model
        self._chain: Any = build_chain(params, model=model, prompt=prompt)
        self._is_greedy = is_greedy(params)
        self._biases = biases_of(params, model)
        # Mirostat learns from every draw, also from one that is not taken.
        self._draws_freely = params.temperature <= 0 or not params.mirostat
        self._constraint = constraint
        self._is_out_of_step = False
        self._thinking = thinking
        self._n_logprobs = logprobs
        self._candidates = Candidates(model.n_vocab) if constraint is not None else None

    @property
    def finished(self) -> bool:
        """Whether the constraint is complete, so that nothing may follow but the end."""
        if self._constraint is None or (self._thinking is not None and self._thinking.open):
            return False
        return self._constraint.finished

    @property
    def n_thinking(self) -> int:
        """Tokens of thinking so far."""
        return self._thinking.n_tokens if self._thinking is not None else 0

    def choose(self, row: int) -> Choice:
        """Choose a token from the logits of a row of the last batch, and remember it.

        Raises:
            ConstraintFailed: the answer cannot go on in its form.
        """
        token = self._next(row)
        if self._thinking is not None:
            self._thinking.push(token)
        if self._n_logprobs < 0:
            return Choice(token, None)
        logits = logits_of(self._model.context, row, self._model.n_vocab)
        return Choice(token, logprob_of(logits, token, self._n_logprobs, self._name))

    def replay(self, token: int) -> None:
        """Take a token that another process has chosen; afterwards the state is what it was there after it.

        All but the numbers of the draw: a seeded answer goes on with others than it would have had.
        """
        forced = self._thinking.forced() if self._thinking is not None else None
        if forced is None and self._constraint is not None:
            self._replay_form(token, self._constraint)
        if not self._is_greedy:
            llama_cpp.llama_sampler_accept(self._chain, token)
        if self._thinking is not None:
            self._thinking.push(token)

    def _replay_form(self, token: int, constraint: ConstraintState) -> None:
        if self._thinking is not None and self._thinking.open:
            self._is_out_of_step = True
            return
        if self._is_out_of_step:
            constraint.restart()
            self._is_out_of_step = False
        if not constraint.try_accept(token) and self._thinking is not None:
            self._is_out_of_step = True
            self._thinking.begin()

    def close(self) -> None:
        """Free the samplers. Idempotent."""
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None
        if self._constraint is not None:
            self._constraint.close()

    def _name(self, token: int) -> bytes:
        return self._model.piece(token, special=True)

    def _next(self, row: int) -> int:
        forced = self._thinking.forced() if self._thinking is not None else None
        if forced is None and self._constraint is None:
            return self._free(row)
        if forced is not None:
            token = forced
        elif self._thinking is not None and self._thinking.open:
            token = self._thought(row, self._thinking)
        else:
            assert self._constraint is not None
            token = self._constrained(row, self._constraint)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _free(self, row: int) -> int:
        if self._is_greedy:
            return self._likeliest(row)
        return int(llama_cpp.llama_sampler_sample(self._chain, self._model.context, row))

    def _likeliest(self, row: int) -> int:
        """What the chain would choose; that takes longer, since it makes a list of the vocabulary first."""
        logits = logits_of(self._model.context, row, self._model.n_vocab)
        if self._biases:
            logits = logits.copy()
            logits[list(self._biases)] += list(self._biases.values())
        return int(logits.argmax())

    def _thought(self, row: int, thinking: ThinkingState) -> int:
        """A token of thinking. The end of the answer cannot come now, as its form is still to follow."""
        self._is_out_of_step = True
        token = self._drawn(row)
        if self._model.ends_answer(token):
            thinking.end()
            token = thinking.forced() or token
        return token

    def _constrained(self, row: int, constraint: ConstraintState) -> int:
        """A token that the constraint allows, or the beginning of thinking.

        The form may begin with the same tokens as the marker of thinking: a tool call of gpt-oss does. As long as both
        are possible, the form is followed; if the marker is completed, it begins again after the thinking.
        """
        if self._is_out_of_step:
            constraint.restart()
            self._is_out_of_step = False
        refused: list[int] = []
        at_start = self._thinking is not None and self._thinking.at_start
        while len(refused) < (constraint.free_draws if self._draws_freely else int(at_start)):
            token = self._drawn(row, without=refused)
            if constraint.try_accept(token):
                return token
            if self._thinking is not None and self._thinking.may_open_with(token):
                self._is_out_of_step = True
                self._thinking.begin()
                return token
            refused.append(token)
        return self._allowed(row, constraint)

    def _allowed(self, row: int, constraint: ConstraintState) -> int:
        allowed = constraint.allowed()
        if not allowed.size:
            raise ConstraintFailed("the vocabulary has no token that could follow")
        token = int(allowed[0]) if allowed.size == 1 else self._drawn(row, allowed)
        if not constraint.try_accept(token):
            raise ConstraintFailed(f"token {token} was allowed, and then refused")
        return token

    def _drawn(self, row: int, only: NDArray[np.int32] | None = None, *, without: Sequence[int] = ()) -> int:
        """A token that the chain chooses, without remembering it."""
        assert self._candidates is not None
        logits = logits_of(self._model.context, row, self._model.n_vocab)
        self._candidates.fill(logits, only, without=without)
        self._candidates.apply(self._chain)
        return self._candidates.chosen
