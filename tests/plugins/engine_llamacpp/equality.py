"""Whether greedy answers are the same.

Another shape of batch adds up floating-point numbers in another order. So where the two likeliest tokens are almost
equally likely, the choice may differ; nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from hoshikage import ModelRecord
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings
from tests.plugins.engine_llamacpp.answers import Answer, ask, raw
from tests.plugins.engine_llamacpp.conftest import N_THREADS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from hoshikage import ChatRequest, LoadedModel

N_TOKENS = 16
TIE = 0.05  # in logits; log-probabilities differ by the same
MOST_DIFFERENCES = 2  # of 200 prompts, and no more of fewer


@contextlib.asynccontextmanager
async def loaded(file: Path, *, scope: str = "all", **options: object) -> AsyncIterator[LoadedModel]:
    """The model with these options, for as long as the block lasts."""
    engine = LlamaCppEngine(
        LlamaCppSettings(n_ctx=2048, max_num_seqs=8, n_threads=N_THREADS, spare_workers=0),
        PrefixCacheSettings(scope=scope),
    )
    model = await engine.load(ModelRecord("m", file, options=options))
    try:
        yield model
    finally:
        await model.close()


async def alone(model: LoadedModel, prompts: Sequence[str], **fields: Any) -> list[Answer]:
    """Ask one after another."""
    return [await ask(model, question(prompt, **fields)) for prompt in prompts]


async def together(model: LoadedModel, prompts: Sequence[str], **fields: Any) -> list[Answer]:
    """Ask all at once; the worker answers as many at a time as it can."""
    return list(await asyncio.gather(*(ask(model, question(prompt, **fields)) for prompt in prompts)))


def question(prompt: str, *, max_tokens: int = N_TOKENS, **fields: Any) -> ChatRequest:
    """A greedy request that tells how clear each choice was."""
    return raw(prompt, max_tokens=max_tokens, logprobs=2, **fields)


def differences(expected: Sequence[Answer], found: Sequence[Answer]) -> list[float]:
    """For each answer that differs, how far apart the two likeliest tokens were where it first does."""
    gaps = []
    for one, other in zip(expected, found, strict=True):
        tokens = [[t.token for c in a.chunks for t in c.logprobs] for a in (one, other)]
        if tokens[0] == tokens[1]:
            continue
        at = next(i for i, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b)
        first, second = [t for c in one.chunks for t in c.logprobs][at].top
        gaps.append(first.logprob - second.logprob)
    return gaps


def check(expected: Sequence[Answer], found: Sequence[Answer], *, most: int = MOST_DIFFERENCES) -> None:
    """No difference but at ties, and few of these."""
    gaps = differences(expected, found)
    assert all(gap <= TIE for gap in gaps), f"a difference where the choice was clear: {gaps}"
    assert len(gaps) <= most
