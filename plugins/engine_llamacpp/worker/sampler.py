"""How the next token is chosen: one chain of llama.cpp's own samplers per sequence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import llama_cpp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.plugins.engine_llamacpp.frames import SamplingParams

SEED_MASK = 0xFFFFFFFF


class SamplerChain:
    """A chain of samplers with the state of one sequence: its penalties' history and its random numbers.

    The order is llama.cpp's own: bias, penalties, top-k, typical, top-p, min-p, temperature, choice.
    """

    def __init__(self, params: SamplingParams, *, n_vocab: int, n_ctx: int, prompt: Sequence[int]) -> None:
        self._chain: Any = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        # The history is allocated at once, so a client's number is bounded by what it could ever use.
        history = n_ctx if params.repeat_last_n < 0 else min(params.repeat_last_n, n_ctx)
        for link in _links(params, n_vocab, history):
            llama_cpp.llama_sampler_chain_add(self._chain, link)
        for token in prompt[len(prompt) - min(history, len(prompt)) :]:
            llama_cpp.llama_sampler_accept(self._chain, token)

    def sample(self, context: Any, row: int) -> int:
        """Choose a token from the logits of `row` in the last batch, and remember it."""
        return int(llama_cpp.llama_sampler_sample(self._chain, context, row))

    def close(self) -> None:
        """Free the chain and its samplers. Idempotent."""
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _links(params: SamplingParams, n_vocab: int, history: int) -> list[Any]:
    links = [*_bias(params, n_vocab), *_penalties(params, n_vocab, history)]
    if params.temperature <= 0:
        return [*links, llama_cpp.llama_sampler_init_greedy()]
    if params.top_k > 0:
        links.append(llama_cpp.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        links.append(llama_cpp.llama_sampler_init_typical(params.typical_p, 1))
    if params.top_p < 1:
        links.append(llama_cpp.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        links.append(llama_cpp.llama_sampler_init_min_p(params.min_p, 1))
    links.append(llama_cpp.llama_sampler_init_temp(params.temperature))
    links.append(llama_cpp.llama_sampler_init_dist(_seed(params.seed)))
    return links


def _bias(params: SamplingParams, n_vocab: int) -> list[Any]:
    if not params.logit_bias:
        return []
    rows = [llama_cpp.llama_logit_bias(token, bias) for token, bias in params.logit_bias.items()]
    array = (llama_cpp.llama_logit_bias * len(rows))(*rows)
    return [llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(rows), array)]


def _penalties(params: SamplingParams, n_vocab: int, history: int) -> list[Any]:
    neutral = params.repeat_penalty == 1 and not params.frequency_penalty and not params.presence_penalty
    if neutral or history == 0:
        return []
    return [
        llama_cpp.llama_sampler_init_penalties(
            n_vocab, history, params.repeat_penalty, params.frequency_penalty, params.presence_penalty
        )
    ]


def _seed(seed: int | None) -> int:
    """A negative seed means, as in Ollama, a random one."""
    if seed is None or seed < 0:
        return int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF
    return seed & SEED_MASK
