"""A chain of llama.cpp's own samplers, built from one request's numbers."""

from __future__ import annotations

import ctypes
import math
import os
from typing import TYPE_CHECKING, Any

import llama_cpp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.plugins.engine_llamacpp.frames import SamplingParams
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

SEED_MASK = 0xFFFFFFFF
MIROSTAT_1, MIROSTAT_2 = 1, 2
MIROSTAT_1_CANDIDATES = 100  # the m of the paper
MOST_BREAKERS = 16  # llama.cpp looks for each of them in the whole vocabulary
LONGEST_BREAKER = 40  # llama.cpp's own limit, in bytes


def build_chain(params: SamplingParams, *, model: NativeModel, prompt: Sequence[int]) -> Any:
    """Build the samplers of one sequence, with their penalties' history primed with the prompt.

    The order is llama.cpp's own: bias, penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, choice.
    """
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    biases = biases_of(params, model)
    for link in (*_bias(biases, model), *_penalties(params, model), *_dry(params, model), *_choice(params, model)):
        llama_cpp.llama_sampler_chain_add(chain, link)
    for token in prompt[len(prompt) - min(_history(params, model), len(prompt)) :]:
        llama_cpp.llama_sampler_accept(chain, token)
    return chain


def is_greedy(params: SamplingParams) -> bool:
    """Whether the likeliest token is chosen, and nothing but the biases changes the logits before."""
    return params.temperature <= 0 and not _uses_penalties(params) and not _uses_dry(params)


def biases_of(params: SamplingParams, model: NativeModel) -> dict[int, float]:
    """What is added to the logits of some tokens."""
    # Chat models end their answers with other tokens than eos as well.
    forbidden = dict.fromkeys(model.end_tokens, -math.inf) if params.ignore_eos else {}
    return {**params.logit_bias, **forbidden}


def _choice(params: SamplingParams, model: NativeModel) -> list[Any]:
    seed = _seed(params.seed)
    if params.temperature <= 0:
        return [llama_cpp.llama_sampler_init_greedy()]
    temperature = llama_cpp.llama_sampler_init_temp(params.temperature)
    tau, eta = params.mirostat_tau, params.mirostat_eta
    if params.mirostat == MIROSTAT_1:
        n_vocab = model.n_vocab
        return [temperature, llama_cpp.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, MIROSTAT_1_CANDIDATES)]
    if params.mirostat == MIROSTAT_2:
        return [temperature, llama_cpp.llama_sampler_init_mirostat_v2(seed, tau, eta)]
    return [*_truncation(params, seed), temperature, llama_cpp.llama_sampler_init_dist(seed)]


def _truncation(params: SamplingParams, seed: int) -> list[Any]:
    links = []
    if params.top_k > 0:
        links.append(llama_cpp.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        links.append(llama_cpp.llama_sampler_init_typical(params.typical_p, 1))
    if params.top_p < 1:
        links.append(llama_cpp.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        links.append(llama_cpp.llama_sampler_init_min_p(params.min_p, 1))
    if params.xtc_probability > 0:
        links.append(llama_cpp.llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, 1, seed))
    return links


def _bias(biases: dict[int, float], model: NativeModel) -> list[Any]:
    if not biases:
        return []
    rows = (llama_cpp.llama_logit_bias * len(biases))(*biases.items())
    return [llama_cpp.llama_sampler_init_logit_bias(model.n_vocab, len(rows), rows)]


def _penalties(params: SamplingParams, model: NativeModel) -> list[Any]:
    if not _uses_penalties(params):
        return []
    last_n = _bounded(params.repeat_last_n, model.n_ctx)
    repeat, frequency, presence = params.repeat_penalty, params.frequency_penalty, params.presence_penalty
    return [llama_cpp.llama_sampler_init_penalties(model.n_vocab, last_n, repeat, frequency, presence)]


def _uses_penalties(params: SamplingParams) -> bool:
    neutral = params.repeat_penalty == 1 and not params.frequency_penalty and not params.presence_penalty
    return not neutral and params.repeat_last_n != 0


def _dry(params: SamplingParams, model: NativeModel) -> list[Any]:
    if not _uses_dry(params):
        return []
    breakers = [b for text in params.dry_sequence_breakers if (b := _breaker(text))][:MOST_BREAKERS]
    texts = (ctypes.c_char_p * len(breakers))(*breakers)
    last_n = _bounded(params.dry_penalty_last_n, model.n_ctx)
    multiplier, base, allowed = params.dry_multiplier, params.dry_base, params.dry_allowed_length
    return [llama_cpp.llama_sampler_init_dry(model.vocab, multiplier, base, allowed, last_n, texts, len(texts))]


def _breaker(text: str) -> bytes:
    """As much of the text as llama.cpp looks at; it reads up to the first NUL."""
    return text.encode("utf-8", "replace").partition(b"\0")[0][:LONGEST_BREAKER]


def _uses_dry(params: SamplingParams) -> bool:
    return params.dry_multiplier > 0 and params.dry_base >= 1 and params.dry_penalty_last_n != 0


def _history(params: SamplingParams, model: NativeModel) -> int:
    """How much of the prompt the samplers want to know."""
    penalties = _bounded(params.repeat_last_n, model.n_ctx) if _uses_penalties(params) else 0
    dry = _bounded(params.dry_penalty_last_n, model.n_ctx) if _uses_dry(params) else 0
    return max(penalties, dry)


def _bounded(last_n: int, n_ctx: int) -> int:
    """A client's number, bounded by what it could ever use: llama.cpp allocates the history at once."""
    return n_ctx if last_n < 0 else min(last_n, n_ctx)


def _seed(seed: int | None) -> int:
    """A negative seed means, as in Ollama, a random one."""
    if seed is None or seed < 0:
        return int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF
    return seed & SEED_MASK
