"""When something was: the days that a question speaks of, and how near a memory is to them.

Pure. The patterns are our own: a parser of dates reads one expression of one language, says nothing of the words around
it, and takes "last week" for a moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.memory.text import content_of, normalised, terms_of
from hoshikage.plugins.memory.times import english, japanese

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

MOST_SPANS: Final = 3  # who names more days than that does not ask what was on them
SURE_FROM: Final = 0.7  # from there the words tell when and nothing else
LEAST_EDGE_S: Final = 6 * 3600.0
MOST_EDGE_S: Final = 14 * 86_400.0
EDGE: Final = 0.25  # of the length of a span
QUESTION_CHARS: Final = 400  # its end; longer ones bring material along, whose days nobody asks for
TEXT_CHARS: Final = 300
# What asks for whatever was said or done, and for nothing in particular.
_GENERAL: Final = (
    "talk talked tell told say said saying discuss discussed mention mentioned happen happened happening go going "
    "went been remember recall know anything something everything things thing stuff chat chatted conversation "
    "about up get got ask asked plan plans any there's summarize summary please"
)
GENERAL: Final = frozenset(terms_of(_GENERAL)) | frozenset("話言何教覚事起聞出来行予定朝昼夜晩")
# With nothing but the former, this asks for what was said: "today" is then a day, and no word for now.
_TOLD: Final = re.compile(
    r"\b(?:did|said|told|talked|discussed|happened)\b|した|てい?た|聞いた|教えた|[言行]った|あった|起きた"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Days that a text speaks of.

    Attributes:
        begin: seconds since the epoch.
        end: after its last moment.
        words: where the normalised text says so: from, to.
        certainty: that they are meant, 0 to 1.
    """

    begin: float
    end: float
    words: tuple[int, int]
    certainty: float

    @property
    def length(self) -> float:
        """In seconds."""
        return self.end - self.begin

    def closeness(self, moment: float) -> float:
        """1 inside, 0 outside, and less and less over a soft edge."""
        distance = max(self.begin - moment, moment - self.end, 0.0)
        return max(0.0, 1 - distance / min(max(EDGE * self.length, LEAST_EDGE_S), MOST_EDGE_S))


@dataclass(frozen=True, slots=True)
class AskedTime:
    """What a question says of when.

    Attributes:
        spans: any of them is meant.
        rest: the question without the words that tell when, where these tell nothing else.
        only: nothing else is asked.
        zone: in which days begin.
    """

    spans: tuple[Span, ...]
    rest: str
    only: bool
    zone: tzinfo | None = None


def asked_time(question: str, now: datetime) -> AskedTime | None:
    """When a question speaks of; `None` where it does not say.

    Of two spans, one of which lies in the other, the narrower is meant; of "from … to …" all between; of others each.

    Args:
        question: as it was asked.
        now: with its time zone, in which days begin.
    """
    text = normalised(question)
    before, text = text[:-QUESTION_CHARS], text[-QUESTION_CHARS:]
    spans = narrowed(text, spans_of(text, now))
    if not spans or len(spans) > MOST_SPANS:
        return None
    if _TOLD.search(text) and not content_of(terms_of(_without(text, spans))) - GENERAL:
        spans = [replace(span, certainty=max(span.certainty, SURE_FROM)) for span in spans]
    sure = [span for span in spans if span.certainty >= SURE_FROM]
    left = _without(text, sure)
    only = len(sure) == len(spans) and not content_of(terms_of(left)) - GENERAL
    return AskedTime(tuple(spans), before + left, only and not before, now.tzinfo)


def _without(text: str, spans: Sequence[Span]) -> str:
    """A text with spaces in place of the words that tell when."""
    rest = list(text)
    for span in spans:
        rest[span.words[0] : span.words[1]] = " " * (span.words[1] - span.words[0])
    return "".join(rest)


def spans_of(text: str, now: datetime) -> list[Span]:
    """All days that a normalised text speaks of, in its order; at one place, the first pattern that fits."""
    found: list[Span] = []
    taken: list[tuple[int, int]] = []
    for pattern, meaning, certainty in (*japanese.expressions_for(text), *english.expressions_for(text)):
        for match in pattern.finditer(text):
            begin, end = match.span()
            if any(begin < b and a < end for a, b in taken):
                continue
            try:
                period = meaning(match, now)
            except (OverflowError, ValueError):  # no calendar goes so far
                continue
            taken.append((begin, end))
            if period is not None:
                found.append(Span(period[0].timestamp(), period[1].timestamp(), (begin, end), certainty))
    return sorted(found, key=lambda span: span.words)


def narrowed(text: str, spans: Sequence[Span]) -> list[Span]:
    """Which of the spans of a question are meant."""
    inner = [s for s in spans if not any(_inside(other, s) for other in spans)]
    if len(inner) == 2 and _joins(text[inner[0].words[1] : inner[1].words[0]], text[: inner[0].words[0]]):
        first, second = inner
        begin, end = min(first.begin, second.begin), max(first.end, second.end)
        certainty = max(first.certainty, second.certainty, SURE_FROM)  # two ends are no accident
        return [Span(begin, end, first.words, certainty), Span(begin, end, second.words, certainty)]
    return inner


def nearness(text: str, said_at: datetime, asked: AskedTime) -> float:
    """How well a memory fits the days that are asked for, 0 to 1. Without a text, it goes by when it was said alone.

    What was said then fits, and so does what was said at another time and speaks of then: "last week I …" tells of the
    week before it was said. Which of the two a question means, it does not say.

    Args:
        text: normalised.
        said_at: with its time zone.
        asked: see there.
    """
    moment = said_at.timestamp()
    said = max(span.closeness(moment) * span.certainty for span in asked.spans)
    if said >= SURE_FROM:
        return said
    own = spans_of(text[:TEXT_CHARS], said_at)
    spoken = max(
        (
            span.closeness(min(max(other.begin, span.begin), other.end)) * span.certainty * other.certainty
            for span in asked.spans
            for other in own
            if other.length <= 2 * span.length
        ),
        default=0.0,
    )
    return max(said, spoken)


def _inside(inner: Span, outer: Span) -> bool:
    within = outer.begin <= inner.begin and inner.end <= outer.end
    return inner is not outer and within and inner.length < outer.length


def _joins(between: str, before: str) -> bool:
    """Whether the words between two spans make one of them, as "from … to …" does."""
    word = between.strip(" ,、")
    if word in {"から", "~", "〜", "-", "–", "to", "until", "till", "through"}:
        return True
    return word == "and" and before.rstrip().endswith("between")
