"""What a person says of themselves that can change, and which of two statements holds.

Pure. The rules are narrow on purpose: a statement that is not recognised is recalled as any other text is, but one that
is wrongly taken for outdated would be missed.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.memory.facts import english as facts_en
from hoshikage.plugins.memory.facts import japanese as facts_ja
from hoshikage.plugins.memory.sentences import sentences_of
from hoshikage.plugins.memory.text import content_of, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hoshikage.plugins.memory.facts.rules import Clause

RULES: Final = 4  # raise it with every change of the rules: then what is there is read again
READ_CHARS: Final = 2_000
MOST_OTHERS: Final = 200  # newer claims of one slot that say different things, of which any could end an older one
FEW_WORDS: Final = 1  # that a text may say beside its claims, and be superseded as a whole all the same
_KANA: Final = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_IN_WORD: Final = re.compile("[0-9a-z]")
_PAST: Final = re.compile(
    r"\b(?:before|used to|previous(?:ly)?|former(?:ly)?|earlier|originally|in the past|changed?|"
    r"(?<!how )(?<!year )(?<!years )old)\b"
    "|以前|前は|前の|まえの|昔|むかし|もともと|元々|かつて|最初は|変わった|変わりました"
)
_SMALL_TALK: Final = frozenset(
    terms_of(
        "hi hello hey thanks thank please ok okay oh well yes news finally way update fyi last this week month "
        "year ago today yesterday recently now days anymore more again since 先週月昨日今年去年最近訂正"
    )
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about the one who says it.

    Attributes:
        slot: what it is about; two claims of one slot may contradict each other.
        value: what is said of it, in one form; empty for an end of whatever was.
        holds: `False` says that it is so no longer.
        changes: it says itself that it was otherwise before.
        careful: there can be several of it, so that only what says it itself supersedes others.
    """

    slot: str
    value: str
    holds: bool = True
    changes: bool = False
    careful: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """What a text claims.

    Attributes:
        whole: the text says little else.
    """

    claims: tuple[Claim, ...] = ()
    whole: bool = False


def claims_of(text: str) -> Claims:
    """The claims of a text that the user said, in Japanese or English."""
    found: list[Claim] = []
    beside: list[str] = []
    plain = unicodedata.normalize("NFKC", text[:READ_CHARS])[:READ_CHARS].replace("\u2019", "'")  # one can become 18
    for sentence in sentences_of(plain):
        clauses = [] if sentence.code else list(_clauses(sentence.text))
        for clause in clauses:
            claims = list(_claims(clause))
            found += claims
            beside.append(clause.rest if claims else clause.text)
        if not clauses:
            beside.append(sentence.text)
    if not found:
        return Claims()
    said = content_of(terms_of("\n".join(beside))) - _SMALL_TALK
    return Claims(tuple(dict.fromkeys(found)), len(said) <= FEW_WORDS and len(text) <= READ_CHARS)


def supersedes(newer: Claim, older: Claim) -> bool:
    """Whether a claim says that an older one of the same slot is not so any more."""
    if newer.holds and older.holds and not newer.changes and (newer.careful or older.careful):
        return False
    same = not newer.value or _same(newer.value, older.value)
    if newer.holds != older.holds:
        return same and (older.holds or bool(newer.value))
    return newer.holds and not same and bool(older.value)


def current(claims: Sequence[Claim]) -> list[int]:
    """For each of the claims of one slot, the oldest first, which one says how it is now; itself, if it still does."""
    last = list(range(len(claims)))
    latest: dict[Claim, int] = {}  # of those that say the very same, so that many of them cost little
    for n in reversed(range(len(claims))):
        # The newest first, as they were put in: the first that fits is the one, so that a thousand values cost little.
        newest = itertools.islice(latest.items(), MOST_OTHERS)
        newer = next((m for claim, m in newest if supersedes(claim, claims[n])), n)
        last[n] = last[newer] if newer > n else n
        latest.setdefault(claims[n], n)
    return last


def asks_for_the_past(question: str) -> bool:
    """Whether a question wants to know how it was before."""
    return bool(_PAST.search(unicodedata.normalize("NFKC", question).casefold()))


def _clauses(sentence: str) -> Iterator[Clause]:
    language = facts_ja if _KANA.search(sentence) else facts_en
    yield from language.clauses_of(sentence)


def _claims(clause: Clause) -> Iterator[Claim]:
    """The claims of a clause; `clause.rest` is what it says beside them."""
    if not clause.japanese and not facts_en.STARTS.match(clause.text):
        return
    rules = facts_ja.RULES if clause.japanese else facts_en.RULES
    for rule in rules:
        match = rule.pattern.match(clause.text)
        if match is None:
            continue
        groups = match.groupdict()
        value = _plain(groups.get("v") or rule.value)
        if rule.denied is not None and rule.denied.fullmatch(value):
            continue
        clause.rest = clause.text[match.end() :]
        subject = _plain(groups.get("s") or "")
        claim = Claim(rule.slot, value, rule.holds, rule.changes or clause.changes, rule.careful)
        if rule.each:
            claim = replace(claim, slot=f"{rule.slot} {value}".strip())
        elif subject:
            claim = replace(claim, slot=f"{rule.slot} {rule.one_name(subject)}")
        yield claim
        if time := _plain(groups.get("t") or ""):
            yield replace(claim, slot=claim.slot.replace("day", "time", 1), value=time)
        if old := _plain(groups.get("old") or ""):
            yield replace(claim, slot=f"{rule.slot} {old}", value=old, holds=False)
        return


def _plain(value: str) -> str:
    """One form of what reads the same: without articles, case, marks at the ends."""
    text = " ".join(value.casefold().split()).strip(" .,!?;:。、「」\"'")
    return re.sub(r"^(?:the|an?|my|our|some) ", "", text)


def _same(one: str, other: str) -> bool:
    """Whether two values do not contradict each other: one is the other, said more exactly."""
    short, long = sorted((one, other), key=len)
    at = long.find(short)
    while at >= 0:  # a pattern of its own for each value would take a thousand times as long
        if not (_IN_WORD.match(long[at - 1 : at]) or _IN_WORD.match(long, at + len(short))):
            return True
        at = long.find(short, at + 1)
    return False
