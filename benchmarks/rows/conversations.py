"""Conversations that grow turn by turn: what has been computed once need not be computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.answers import Work, seconds
from benchmarks.figures import percentile
from benchmarks.prompts import chatml, fitted, users_of_one_system
from benchmarks.rows.base import Entry, Measured, Row, Surroundings, checked
from benchmarks.servers import Hoshikage, LlamaServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.answers import Answer
    from benchmarks.contestants import Contestant
    from benchmarks.prompts import Messages

USERS = 8
TURNS = 5
SHORT_TURNS = 2
ANSWER_TOKENS = 24
SHARED, PROMPT, QUESTION = 100, 130, 20

Pieces = list[bytes]


class Conversations(Row):
    """8 users who ask, read, and ask again; all ask at the same moment, so that everything has to be in memory."""

    name = "conversations"
    title = f"{USERS} users in {TURNS} turns of a growing conversation"
    headline = (
        ("prefilled_share", ""),
        ("prefilled", "tokens"),
        ("had_to_be", "tokens"),
        ("ttft_p95_s", "s"),
        ("seconds", "s"),
    )

    def entries(self, around: Surroundings) -> list[Entry]:
        """Ourselves and llama-server."""
        setup = around.setup(self.name, n_parallel=USERS)
        found: list[Contestant] = [Hoshikage(setup)]
        if around.peers.llama_server:
            found.append(LlamaServer(setup, around.peers.llama_server))
        return [Entry(contestant.name, contestant) for contestant in found]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Hold all conversations, and compare what was prefilled with what had to be."""
        count = around.tokenizer.count
        users = users_of_one_system(USERS, count, shared_tokens=SHARED, prompt_tokens=PROMPT, seed=3000 + round_number)
        # Every prompt so far has begun with these; the first words after them are new.
        ledger = Ledger([around.tokenizer.pieces("<|im_start|>system\n")])
        turns: list[list[Answer]] = []
        for turn in range(SHORT_TURNS if around.short else TURNS):
            works = [Work(messages, ANSWER_TOKENS, {"logprobs": True}) for messages in users]
            answers = checked(await entry.contestant.answer(works))
            ledger.add([around.tokenizer.pieces(chatml(messages)) for messages in users], answers)
            turns.append(answers)
            seed = (3000 + round_number) * 100 + turn
            users = [
                _next_turn(messages, answer.text, fitted(str, count, QUESTION, seed=seed * 10 + i))
                for i, (messages, answer) in enumerate(zip(users, answers, strict=True))
            ]
        everything = [answer for answers in turns for answer in answers]
        values = ledger.values()
        values["ttft_p95_s"] = percentile([answer.first_token_s for answer in everything], 95)
        values["seconds"] = sum(seconds(answers) for answers in turns)
        return Measured(values, {"turns": ledger.turns})


def _next_turn(messages: Messages, answer: str, question: str) -> Messages:
    return (*messages, ("assistant", answer), ("user", question))


class Ledger:
    """Tokens prefilled, beside those that an engine with a perfect memory would have prefilled."""

    def __init__(self, known: Sequence[Pieces] = ()) -> None:
        self._known = list(known)
        self.turns: list[dict[str, int]] = []

    def add(self, prompts: list[Pieces], answers: Sequence[Answer]) -> None:
        """Account for prompts that arrived together, and remember what is computed now."""
        had_to_be = tokens_to_prefill(self._known, prompts)
        prefilled = sum(answer.prompt_tokens - answer.cached_tokens for answer in answers)
        for prompt, answer in zip(prompts, answers, strict=True):
            # The last token of an answer is chosen, but never computed.
            self._known.append(prompt + answer.pieces[:-1])
        self.turns.append(
            {
                "prefilled": prefilled,
                "had_to_be": had_to_be,
                "prompt_tokens": sum(map(len, prompts)),
                "prompt_tokens_reported": sum(answer.prompt_tokens for answer in answers),
            }
        )

    def values(self) -> dict[str, float]:
        """The sums over all turns."""
        prefilled = sum(turn["prefilled"] for turn in self.turns)
        had_to_be = sum(turn["had_to_be"] for turn in self.turns)
        return {
            "prefilled": float(prefilled),
            "had_to_be": float(had_to_be),
            "prefilled_share": prefilled / max(had_to_be, 1),
        }


def tokens_to_prefill(known: Sequence[Pieces], prompts: Sequence[Pieces]) -> int:
    """What must be computed of prompts that arrive together, when everything `known` is still in memory.

    What several of them have in common is computed once. Of each prompt at least the last token must be computed,
    because the next one is chosen from its result.
    """
    memory = list(known)
    total = 0
    for prompt in prompts:
        best = max((_in_common(prompt, other) for other in memory), default=0)
        total += len(prompt) - min(best, len(prompt) - 1)
        memory.append(prompt)
    return total


def _in_common(a: Pieces, b: Pieces) -> int:
    for place, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return place
    return min(len(a), len(b))
