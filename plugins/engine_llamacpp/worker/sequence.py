"""One answer in the making, as plain data: what the scheduler decides on and the loop fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.sampler import Sampler
    from hoshikage.plugins.engine_llamacpp.worker.speculation import Pace, PromptLookup
    from hoshikage.plugins.engine_llamacpp.worker.text import TextStream

Adapters = tuple[tuple[str, float], ...]


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the answer so far.

    Attributes:
        id: the server's number for the request.
        tokens: prompt and answer, as token ids.
        n_prompt: how many of them are the prompt.
        max_tokens: the longest answer.
        index: which of the request's answers this is.
        scope: the prefix cache's scope.
        adapters: LoRA adapters; only sequences with the same ones can be computed in one step.
        shown: special tokens that come out as text, because they mean something to the reader of the answer.
        n_computed: how many of the tokens have their cells in the KV cache.
        n_cached: how many prompt tokens it took over when it first joined.
        slot: the cache's sequence number while it runs; `None` while it waits.
        joined: whether it has taken over what was computed before it.
        leader: a sequence that is computing a beginning that the two have in common; it is not computed twice.
        leader_until: how many tokens of it they have in common.
        pauses_at: where its prefill stops for a step, so that a follower can take over exactly there.
        draft: guessed next tokens, to be checked in the next step.
        deadline: on the clock of `time.monotonic`; 0 is none.
    """

    id: int
    tokens: list[int]
    n_prompt: int
    max_tokens: int
    index: int = 0
    scope: str = ""
    adapters: Adapters = ()
    sampler: Sampler | None = None
    text: TextStream | None = None
    lookup: PromptLookup | None = None
    pace: Pace | None = None
    shown: frozenset[int] = frozenset()
    n_computed: int = 0
    n_cached: int = 0
    slot: int | None = None
    joined: bool = False
    leader: Sequence | None = None
    leader_until: int = 0
    pauses_at: int = 0
    draft: list[int] = field(default_factory=list)
    deadline: float = 0.0
    n_drafted: int = 0
    n_accepted: int = 0
    n_preempted: int = 0
    begun_at: float = 0.0
    first_token_at: float = 0.0

    @property
    def n_pending(self) -> int:
        """Tokens that still need computing before the next one can be chosen."""
        return len(self.tokens) - self.n_computed

    @property
    def n_answer(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - self.n_prompt

    @property
    def blocked(self) -> bool:
        """Whether it waits for its leader to compute what they have in common."""
        leader = self.leader
        if self.joined or leader is None or leader.slot is None:
            return False
        return leader.n_computed < self.leader_until
