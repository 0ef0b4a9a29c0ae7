"""What memory adds to the time to the first token, and what of a conversation is computed again because of it."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.answers import Work
from benchmarks.client import open_exchange, request_bytes
from benchmarks.contestants import Setup
from benchmarks.figures import Sample
from benchmarks.memory.filling import facts, fill
from benchmarks.memory.server import MODE, RECEIPTS, REQUEST_ID, Remembering
from benchmarks.memory.targets import AS_LONG, OFF, ON
from benchmarks.prompts import chatml, fitted, tag
from benchmarks.reading import read_answer
from benchmarks.results import RowResult
from benchmarks.rows.base import MeasureFailed, checked
from benchmarks.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.answers import Answer
    from benchmarks.prompts import Messages

TIMES: Final = "memory-first-token"
PREFILLED: Final = "memory-prefilled"
MEMORIES: Final = 10_000
ROUNDS: Final = 25
CONVERSATIONS: Final = 3
TURNS: Final = 4
ANSWER_TOKENS: Final = 24
SYSTEM_TOKENS: Final = 100
PARALLEL: Final = 4
WARM_UPS: Final = 5
MISSED: Final = "nothing was recalled within memory.recall_limit_s"
FIRST_TOKEN: Final = [
    ("first_token_s", "s"),
    ("but_prefill_s", "s"),
    ("recall_s", "s"),
    ("queue_s", "s"),
    ("prefill_s", "s"),
    ("prompt_tokens", "tokens"),
]
AS_LONG_NOTE: Final = (
    f'"{AS_LONG}" is without memory, and its prompt has as many tokens as that with the recalled block. All three '
    "begin with words that no cache has. `prefill`, `recall` and `queue` are the server's own account of where the "
    "time went; `but prefill` is the time to the first token, as the client has it, without the first of these: two "
    "prompts of the same length take different times, by more than a recall takes. What is left is what memory adds."
)
BEYOND_NOTE: Final = (
    "Beyond is what was computed with memory, less the block, less the previous turn, less what the same conversation "
    "computed without memory."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer as the client saw it, and where its time went by the server's account.

    Attributes:
        recall_s: looking for memories.
        queue_s: waiting for a turn.
        prefill_s: computing the prompt.
    """

    answer: Answer
    recall_s: float
    queue_s: float
    prefill_s: float


@dataclass(frozen=True, slots=True)
class Ground:
    """A server that remembers much, and what it is asked.

    Attributes:
        questions: each has an answer among the memories.
    """

    server: Remembering
    tokenizer: Tokenizer
    questions: list[str]

    async def ask(self, messages: Messages, *, memory: bool) -> Asked:
        """Ask once everything before is done.

        Raises:
            MeasureFailed: there is no answer, or no receipt of it.
        """
        await self.server.quiet()
        body = self.server.body(Work(messages, ANSWER_TOKENS))
        name = uuid.uuid4().hex
        headers = {REQUEST_ID: name, **({MODE: "on"} if memory else {})}
        request = request_bytes(f"{self.server.url}/v1/chat/completions", body, headers=headers)
        exchange = await open_exchange(self.server.url, request)
        await exchange.done
        (answer,) = checked([read_answer(exchange)])
        status, receipt = await self.server.call(f"{RECEIPTS}/{name}")
        if status != 200:
            raise MeasureFailed(f"{RECEIPTS}/{name} answers {status}: {receipt}")
        return Asked(answer, receipt["recall_s"], receipt["queue_s"], receipt["usage"]["prefill_s"])

    def count(self, messages: Messages) -> int:
        """The tokens of a prompt without a block."""
        return self.tokenizer.count(chatml(messages))

    def system(self, seed: int) -> str:
        """A system message that begins as no other does, and is as long as every other."""
        begin = tag(seed)
        return f"{begin} {fitted(lambda words: f'{begin} {words}', self.tokenizer.count, SYSTEM_TOKENS, seed=seed)}"


async def first_token(
    model: Path,
    folder: Path,
    *,
    memories: int = MEMORIES,
    rounds: int = ROUNDS,
    conversations: int = CONVERSATIONS,
    turns: int = TURNS,
    n_threads: int = 2,
    variables: dict[str, str] | None = None,
) -> list[RowResult]:
    """Measure both rows on one server.

    Args:
        model: the GGUF file.
        folder: empty; the server's.
        memories: of the one who asks.
        rounds: of the first row, in each of which everybody is asked once.
        conversations: of the second row, each once with memory and once without.
        turns: of each conversation.
        n_threads: that compute.
        variables: further settings of the server.

    Raises:
        MeasureFailed, StartFailed, OSError, TimeoutError: there is no measurement.
    """
    # Digests are made while nobody asks; here that would be between two questions.
    settings = {"HOSHIKAGE_DIGESTS__ENABLED": "false", **(variables or {})}
    server = Remembering(Setup(model, folder, n_threads=n_threads, n_parallel=PARALLEL), settings)
    known = facts(rounds + conversations * turns + 1)
    try:
        note = await fill(server, [fact for fact, _ in known], memories=memories)
        ground = Ground(server, Tokenizer(model), [question for _, question in known])
        await _warm_up(ground)
        first = [sample for number in range(rounds) for sample in await _round(ground, number)]
        grown = [
            sample
            for number in range(conversations)
            for sample in await _conversation(ground, number, ground.questions[rounds + number * turns :][:turns])
        ]
    finally:
        await server.stop()
    return [
        RowResult(
            TIMES,
            f"Time to the first token with {memories} memories",
            FIRST_TOKEN,
            first,
            [AS_LONG_NOTE, note],
        ),
        RowResult(
            PREFILLED,
            f"Computed in a conversation of {turns} turns with {memories} memories",
            [("prefilled", "tokens"), ("block", "tokens"), ("previous_turns", "tokens"), ("beyond", "tokens")],
            grown,
            [BEYOND_NOTE, note],
        ),
    ]


# --- the first token ---


async def _warm_up(ground: Ground) -> None:
    """Have everything loaded: the model, the embedder, and the vectors, which the first recall reads.

    Raises:
        MeasureFailed: nothing is recalled, however often it is asked.
    """
    for seed in range(WARM_UPS):
        messages = (("system", ground.system(200_000 + seed)), ("user", ground.questions[-1]))
        asked = await ground.ask(messages, memory=True)
        if asked.answer.prompt_tokens > ground.count(messages):
            return
    raise MeasureFailed(f"nothing was recalled in {WARM_UPS} tries: {ground.server.log.read_text()[-600:]}")


async def _round(ground: Ground, number: int) -> list[Sample]:
    """The question without and with memory, in turns who begins, then a prompt as long as the longer one."""
    question, seed = ground.questions[number], 1 + number * 10
    found: dict[str, Asked] = {}
    for place, memory in enumerate((False, True) if number % 2 == 0 else (True, False)):
        messages = (("system", ground.system(seed + place)), ("user", question))
        found[ON if memory else OFF] = await ground.ask(messages, memory=memory)
    target = found[ON].answer.prompt_tokens
    if target <= found[OFF].answer.prompt_tokens:
        return [_sample(OFF, number, found[OFF]), Sample(ON, number, error=MISSED)]
    found[AS_LONG] = await ground.ask(_as_long(ground, ground.system(seed + 2), question, target), memory=False)
    return [_sample(who, number, asked) for who, asked in found.items()]


def _sample(who: str, number: int, asked: Asked) -> Sample:
    answer = asked.answer
    values = {
        "first_token_s": answer.first_token_s,
        "but_prefill_s": answer.first_token_s - asked.prefill_s,
        "recall_s": asked.recall_s,
        "queue_s": asked.queue_s,
        "prefill_s": asked.prefill_s,
        "prompt_tokens": float(answer.prompt_tokens),
        "prefilled": float(answer.prompt_tokens - answer.cached_tokens),
    }
    return Sample(who, number, values)


def _as_long(ground: Ground, system: str, question: str, tokens: int) -> Messages:
    def build(filler: str) -> str:
        return chatml((("system", system), ("user", f"{filler}\n\n{question}")))

    filler = fitted(build, ground.tokenizer.count, tokens, seed=tokens)
    return (("system", system), ("user", f"{filler}\n\n{question}"))


# --- what is computed again ---


@dataclass(slots=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        prefilled: tokens of its prompt that were computed.
        block: tokens of its prompt that the client did not send.
        previous: tokens of the turn before: what the user said and what was answered.
    """

    prefilled: int
    block: int
    previous: int


async def _conversation(ground: Ground, number: int, questions: list[str]) -> list[Sample]:
    """The same questions without and with memory, each in a conversation of its own."""
    held = {
        who: await _hold(ground, ground.system(100_000 + number * 2 + memory), questions, memory=memory)
        for who, memory in ((OFF, False), (ON, True))
    }
    return [
        Sample(who, number, conversation_values(turns, held[OFF]), {"turns": [asdict(turn) for turn in turns]})
        for who, turns in held.items()
    ]


async def _hold(ground: Ground, system: str, questions: list[str], *, memory: bool) -> list[Turn]:
    messages: Messages = (("system", system),)
    turns: list[Turn] = []
    previous = 0
    for question in questions:
        messages = (*messages, ("user", question))
        answer = (await ground.ask(messages, memory=memory)).answer
        block = answer.prompt_tokens - ground.count(messages)
        turns.append(Turn(answer.prompt_tokens - answer.cached_tokens, block, previous))
        messages = (*messages, ("assistant", answer.text))
        previous = ground.count((("user", question), ("assistant", answer.text))) - ground.count(())
    return turns


def conversation_values(turns: list[Turn], without: list[Turn]) -> dict[str, float]:
    """The sums over a conversation, and the most that any turn computed beyond what it may."""
    beyond = [
        turn.prefilled - turn.block - turn.previous - other.prefilled
        for turn, other in zip(turns, without, strict=True)
    ]
    return {
        "prefilled": float(sum(turn.prefilled for turn in turns)),
        "block": float(sum(turn.block for turn in turns)),
        "previous_turns": float(sum(turn.previous for turn in turns)),
        "beyond": float(max(beyond)),
    }
