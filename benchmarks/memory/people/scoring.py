"""Scores whoever claims to find the evidence: pure arithmetic over the questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import TYPE_CHECKING, Final

from benchmarks.memory.people.model import ANSWERABLE, Kind

if TYPE_CHECKING:
    from benchmarks.memory.people.model import Question

# Person, text of the question, when it is asked (seconds since the epoch), how many: ids of turns, the best first.
Ranker = Callable[[str, str, int, int], Sequence[str]]
# Person, text of the question, when it is asked: ids of the turns that would be put into the prompt.
Injector = Callable[[str, str, int], Sequence[str]]

K: Final = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What a ranker finds; shares from 0 to 1, and no number where there was no question.

    Attributes:
        recall: mean of the four answerable kinds, each as heavy as the other.
        by_kind: the mean of each kind.
        newest_first: of the changed facts, how often the newest is among the first k and no outdated one before it.
    """

    recall: float
    by_kind: Mapping[Kind, float]
    newest_first: float


@dataclass(frozen=True, slots=True)
class Injected:
    """What would be put into the prompt; shares from 0 to 1. One is worth little without the other.

    Attributes:
        silent: of what was never said, how often nothing is injected.
        silent_unmentioned: the same where what is asked about never came up: all that is injected there is noise.
        silent_untold: the same where it came up, and only the answer was not told. What was said of it may be of use
            there: silence is not the only right thing, and this share need not be high.
        right: of what was said, how often some of the evidence is injected.
        right_by_kind: the same for each answerable kind.
        outdated: of the changed facts, how often the outdated one is injected without the newest.
    """

    silent: float
    silent_unmentioned: float
    silent_untold: float
    right: float
    right_by_kind: Mapping[Kind, float]
    outdated: float


def recall(question: Question, ranked: Sequence[str]) -> float:
    """How much of the evidence is there: a half or all of two facts, none or all of everything else."""
    hits = sum(id_ in ranked for id_ in question.evidence)
    return hits / len(question.evidence) if question.needs_all else float(hits > 0)


def score_ranking(questions: Sequence[Question], ranker: Ranker, k: int = K) -> Found:
    """Recall among the first k; questions that nothing answers are not asked."""
    recalls: dict[Kind, list[float]] = {kind: [] for kind in ANSWERABLE}
    newest: list[float] = []
    for question in questions:
        if question.kind not in recalls:
            continue
        ranked = list(ranker(question.person, question.text, question.asked_at, k))[:k]
        recalls[question.kind].append(recall(question, ranked))
        if question.kind == "changed":
            first = next((id_ for id_ in ranked if id_ in question.evidence or id_ in question.outdated), None)
            newest.append(float(first in question.evidence))
    by_kind = {kind: _mean(values) for kind, values in recalls.items()}
    return Found(_mean([value for value in by_kind.values() if not isnan(value)]), by_kind, _mean(newest))


def score_injection(questions: Sequence[Question], injector: Injector) -> Injected:
    """What the threshold does: silence where nothing was said, and evidence where something was."""
    right: dict[Kind, list[float]] = {kind: [] for kind in ANSWERABLE}
    unmentioned: list[float] = []
    untold: list[float] = []
    outdated: list[float] = []
    for question in questions:
        injected = set(injector(question.person, question.text, question.asked_at))
        if question.kind == "never":
            (untold if question.mentioned else unmentioned).append(float(not injected))
            continue
        fits = bool(injected & set(question.evidence))
        right[question.kind].append(float(fits))
        if question.kind == "changed":
            outdated.append(float(not fits and bool(injected & set(question.outdated))))
    everything = [value for values in right.values() for value in values]
    return Injected(
        silent=_mean(unmentioned + untold),
        silent_unmentioned=_mean(unmentioned),
        silent_untold=_mean(untold),
        right=_mean(everything),
        right_by_kind={kind: _mean(values) for kind, values in right.items()},
        outdated=_mean(outdated),
    )


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan
