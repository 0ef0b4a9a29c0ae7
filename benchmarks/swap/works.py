"""The prompts of the rows of changing between models; each begins like no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.answers import Work
from benchmarks.prompts import chatml, fitted, tag, users_of_one_system

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.answers import Answer

TINY_PROMPT, SHORT_PROMPT = 16, 31  # tokens of SmolLM2's
LONG_PROMPT, SHORT_LONG_PROMPT = 1230, 200
QUESTION = 20
FIRST_TOKENS = 4  # only the first one counts
ANSWER_TOKENS = 16


def short_work(count: Callable[[str], int], seed: int) -> Work:
    """A short question."""
    system = ("system", tag(seed))
    words = fitted(lambda filler: chatml((system, ("user", filler))), count, SHORT_PROMPT, seed=seed)
    return Work((system, ("user", words)), FIRST_TOKENS)


def tiny_work(count: Callable[[str], int], seed: int) -> Work:
    """Hardly anything to compute."""
    system = ("system", "")
    words = fitted(lambda filler: chatml((system, ("user", filler))), count, TINY_PROMPT, seed=seed)
    return Work((system, ("user", words)), FIRST_TOKENS)


def long_work(count: Callable[[str], int], seed: int, *, short: bool) -> Work:
    """A conversation that takes a while to read."""
    length = SHORT_LONG_PROMPT if short else LONG_PROMPT
    (messages,) = users_of_one_system(1, count, shared_tokens=length - 40, prompt_tokens=length, seed=seed)
    return Work(messages, ANSWER_TOKENS)


def continued(work: Work, answer: Answer, count: Callable[[str], int], seed: int) -> Work:
    """The same conversation after the answer, with one short turn more."""
    question = fitted(str, count, QUESTION, seed=seed)
    return Work((*work.messages, ("assistant", answer.text), ("user", question)), FIRST_TOKENS)
