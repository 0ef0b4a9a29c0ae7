"""Prompt lookup on and off: on text that repeats, where it helps, and on text that does not, where it must not hurt."""

from __future__ import annotations

from typing import Any

from benchmarks.answers import Answer, Work
from benchmarks.figures import percentile
from benchmarks.rows.base import Entry, Measured, Row, Surroundings, checked
from benchmarks.servers import Hoshikage
from benchmarks.targets import OFF, ON

LOOKUP_TOKENS = 8  # the longest guess; on two cores a batch of 8 costs about four steps of 1

# The small model really does write this text again when told to change a word in it: see `repeated_share`.
TEXT = (
    "The harbor of Aldmoor opens to the west, where the ferry leaves at seven in the morning. A narrow street climbs "
    "from the quay to the market hall, built of grey stone and covered with slate. On Tuesdays the fishermen sell "
    "herring and mackerel there, and the baker brings rye bread from the mill. Behind the hall stands the old "
    "library, whose clock has been eleven minutes slow since the great storm. Children say that the librarian keeps "
    "an owl named Quentin in the attic. In winter the square is flooded and freezes, so that everyone can skate "
    "between the lanterns. When spring comes, the gardeners plant tulips along the canal, and the mayor counts the "
    "boats that return from the islands."
)
EDITS = (("Aldmoor", "Westhaven"), ("Quentin", "Oswald"), ("Tuesdays", "Fridays"))
EDIT_TOKENS = 160
NEW_TOKENS = 128
SUBJECTS = ("a lighthouse keeper", "a clockmaker", "a gardener")


class Lookup(Row):
    """The same model under two names in one server, with the option `lookup_tokens` and without."""

    headline = (("tokens_per_s", "tokens/s"), ("repeated_share", ""), ("tokens", "tokens"), ("same_text", ""))

    def __init__(self) -> None:
        self._texts: dict[tuple[int, str], list[str]] = {}

    def entries(self, around: Surroundings) -> list[Entry]:
        """One server, asked for two models."""
        setup = around.setup(self.name, n_parallel=1)
        ours = Hoshikage(setup, variants={OFF: {"lookup_tokens": 0}, ON: {"lookup_tokens": LOOKUP_TOKENS}})
        return [Entry(OFF, ours), Entry(ON, ours)]

    def works(self, round_number: int) -> list[Work]:
        """The answers of one measurement, one after another."""
        raise NotImplementedError

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """One stream at a time; the time is that of decoding, from the first token on."""
        works = self.works(round_number)[: 1 if around.short else None]
        answers: list[Answer] = []
        for work in works:
            extras: dict[str, Any] = {**work.extras, "model": entry.label}
            answers += checked(await entry.contestant.answer([Work(work.messages, work.max_tokens, extras)]))
        texts = [answer.text for answer in answers]
        self._texts[round_number, entry.label] = texts
        other = self._texts.get((round_number, OFF if entry.label == ON else ON), texts)
        prompts = [" ".join(content for _, content in work.messages) for work in works]
        values = {
            "tokens_per_s": decode_speed(answers),
            "tokens": float(sum(answer.completion_tokens for answer in answers)),
            "repeated_share": percentile(
                [repeated_share(prompt, text) for prompt, text in zip(prompts, texts, strict=True)], 50
            ),
            "same_text": float(texts == other),
        }
        return Measured(values)


class LookupEdit(Lookup):
    """A text is to be written again with one word changed, greedily."""

    name = "lookup-edit"
    title = "One stream that edits a given text, prompt lookup on and off"

    def works(self, round_number: int) -> list[Work]:
        """Three edits of the same text."""
        del round_number
        system = ("system", "You correct texts and change nothing else.")
        return [
            Work(
                (system, ("user", f'Write the following text again, but replace every "{old}" by "{new}":\n\n{TEXT}')),
                EDIT_TOKENS,
                {"ignore_eos": False},
            )
            for old, new in EDITS
        ]


class LookupNew(Lookup):
    """A story at temperature 1 with a seed: greedy text of a small model soon repeats itself."""

    name = "lookup-new"
    title = "One stream of text that does not repeat, prompt lookup on and off"

    def works(self, round_number: int) -> list[Work]:
        """Three stories, other ones in each round."""
        return [
            Work(
                (("system", "You are a writer."), ("user", f"Write a long and surprising story about {subject}.")),
                NEW_TOKENS,
                {"temperature": 1.0, "seed": round_number * 100 + number},
            )
            for number, subject in enumerate(SUBJECTS)
        ]


def decode_speed(answers: list[Answer]) -> float:
    """Tokens per second after the first one."""
    tokens = sum(answer.completion_tokens - 1 for answer in answers)
    return tokens / max(sum(answer.ended - answer.times[0] for answer in answers), 1e-9)


def repeated_share(prompt: str, text: str) -> float:
    """The share of words of `text` that follow two words after which they stood before, in the prompt or the text."""
    words = prompt.split()
    n_prompt = len(words)
    words += text.split()
    seen: set[tuple[str, ...]] = set()
    repeated = 0
    for place in range(2, len(words)):
        three = tuple(words[place - 2 : place + 1])
        repeated += place >= n_prompt and three in seen
        seen.add(three)
    return repeated / max(len(words) - n_prompt, 1)
