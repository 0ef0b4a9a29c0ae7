"""Prompts of an exact length that no server has seen before: what they have in common is decided here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Messages = tuple[tuple[str, str], ...]
MOST_TRIES = 200  # a word of two tokens where one is missing is drawn again

# Common words: one token each in most vocabularies, so that a text can be fitted token by token.
SPELLED = (
    "the of and to in is that for it was on are as with his they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so these "
    "would other into has more her two like him see time could no make than first been its who now people my made over "
    "did down only way find use may water long little very after words called just where most know"
)
SPELLED_TOPICS = (
    "river harbor winter garden engine mountain library market island forest bridge kitchen desert village castle "
    "railway orchard lighthouse theatre museum workshop valley meadow station temple glacier canyon lagoon prairie "
    "vineyard reef tundra"
)
WORDS = SPELLED.split()
TOPICS = SPELLED_TOPICS.split()


def chatml(messages: Messages) -> str:
    """The prompt that a ChatML template makes of these messages; see the run's check of prompt tokens."""
    turns = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return f"{turns}<|im_start|>assistant\n"


def fitted(build: Callable[[str], str], count: Callable[[str], int], target: int, *, seed: int) -> str:
    """Filler with which `build` makes a text of `target` tokens, or of the next possible number above.

    Args:
        build: puts the filler into the text whose tokens count.
        count: the number of tokens of a text.
        target: the tokens to reach.
        seed: other seeds draw other words.
    """
    chosen = random.Random(seed)
    words: list[str] = []
    for _ in range(MOST_TRIES):
        missing = target - count(build(" ".join(words)))
        if missing <= 0:
            break
        words += [chosen.choice(WORDS) for _ in range(max(1, missing * 3 // 4))]
        while len(words) > 1 and count(build(" ".join(words))) > target:
            words.pop()
    return " ".join(words)


def tag(seed: int) -> str:
    """A beginning that no other sample has, so that nothing of it can be in a cache."""
    chosen = random.Random(f"tag{seed}")
    return " ".join(chosen.choice(TOPICS).capitalize() for _ in range(3)) + f" {seed}."


def users_of_one_system(
    n_users: int, count: Callable[[str], int], *, shared_tokens: int, prompt_tokens: int, seed: int
) -> list[Messages]:
    """Conversations of one question each, whose system message they have in common.

    Args:
        n_users: how many conversations.
        count: the number of tokens of a text.
        shared_tokens: how many tokens all have in common, from the first on.
        prompt_tokens: how long each prompt is as a whole.
        seed: other seeds make prompts that begin otherwise.
    """
    begin = tag(seed)

    def shared(filler: str) -> str:
        return f"<|im_start|>system\n{begin} {filler}<|im_end|>\n<|im_start|>user\n"

    system = f"{begin} {fitted(shared, count, shared_tokens, seed=seed)}"
    return [(("system", system), ("user", _question(system, i, count, prompt_tokens, seed))) for i in range(n_users)]


def _question(system: str, number: int, count: Callable[[str], int], prompt_tokens: int, seed: int) -> str:
    topic = TOPICS[number % len(TOPICS)].capitalize()

    def whole(filler: str) -> str:
        return chatml((("system", system), ("user", _asked(topic, filler))))

    return _asked(topic, fitted(whole, count, prompt_tokens, seed=seed * 1000 + number))


def _asked(topic: str, filler: str) -> str:
    return f"{topic}: write a long story. {filler}".rstrip()


def common_prefix(sequences: Sequence[list[int]]) -> int:
    """How many items all sequences have in common from the beginning."""
    shortest, longest = min(sequences), max(sequences)
    for place, item in enumerate(shortest):
        if item != longest[place]:
            return place
    return len(shortest)
