"""One answer in the making, as plain data: what the scheduler decides on and the loop fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.sampler import SamplerChain
    from hoshikage.plugins.engine_llamacpp.worker.text import TextStream


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the answer so far.

    Attributes:
        id: the server's number for the request.
        tokens: prompt and answer, as token ids.
        n_prompt: how many of them are the prompt.
        n_computed: how many of them have their cells in the KV cache.
        n_shared: how many prompt tokens it took over from another sequence when it began.
        slot: the cache's sequence number while it runs; `None` while it waits.
        max_tokens: the longest answer.
    """

    id: int
    tokens: list[int]
    n_prompt: int
    max_tokens: int
    sampler: SamplerChain | None = None
    text: TextStream | None = None
    n_computed: int = 0
    n_shared: int = 0
    slot: int | None = None
    begun_at: float = 0.0
    first_token_at: float = field(default=0.0)

    @property
    def n_pending(self) -> int:
        """Tokens that still need computing before the next one can be chosen."""
        return len(self.tokens) - self.n_computed

    @property
    def n_answer(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - self.n_prompt
