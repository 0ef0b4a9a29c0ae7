"""A real model with a sliding window of 512 tokens: what it takes over, and what it says beyond the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.engine_llamacpp.answers import ask
from tests.plugins.engine_llamacpp.dequantised import write_f16
from tests.plugins.engine_llamacpp.equality import alone, check, loaded, question, together

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

WINDOW = 512
LESSON = "".join(
    f"The {n}th star in the list is called star number {n}, and it is {3 * n} light years away. " for n in range(20)
)


@pytest.fixture(scope="module")
def gemma_f16(gemma_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In 16 bits, so that answers can be compared; see `test_equality.py`."""
    return write_f16(gemma_path, tmp_path_factory.mktemp("f16") / "gemma.gguf")


async def test_a_conversation_beyond_the_window_is_taken_over_as_a_whole(gemma_f16):
    """A text that is longer than the window goes on from what was computed, and is answered as if computed anew."""
    async with loaded(gemma_f16) as model:
        first = await ask(model, question(LESSON))
        longer = LESSON + first.text + " The next"
        found = await alone(model, [longer])
    async with loaded(gemma_f16, scope="off") as reference:
        expected = await alone(reference, [longer])

    usage = found[0].done.usage
    assert usage.prompt_tokens > WINDOW
    assert usage.prompt_tokens - 8 <= usage.cached_tokens < usage.prompt_tokens
    check(expected, found)


async def test_those_who_arrive_together_share_a_beginning_beyond_the_window(gemma_f16):
    """A follower takes over exactly where its text leaves the leader's; a text cut elsewhere gives nothing."""
    prompts = [LESSON + f"Star number {n} is" for n in (3, 14)]
    async with loaded(gemma_f16, n_ctx=4096) as model:
        found = await together(model, prompts)
        cut = await alone(model, [LESSON[: len(LESSON) // 2] + "So"])
    async with loaded(gemma_f16, scope="off") as reference:
        expected = await alone(reference, prompts)

    leader, follower = sorted(a.done.usage.cached_tokens for a in found)
    assert 0 == leader
    assert follower > WINDOW
    assert 0 == cut[0].done.usage.cached_tokens
    check(expected, found)
