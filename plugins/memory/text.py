"""What the lexical index knows of a text: its words, and the pairs of characters of scripts that write no spaces."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import unicodedata
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np
import snowballstemmer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

# Kana, ideographs, hangul, Thai, Lao, Khmer and Burmese: runs of them are no words, or words with endings.
_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_IDEOGRAPH: Final = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_ENDING: Final = re.compile("[\u3040-\u309f]")
_RUN: Final = re.compile(rf"(?:[^\W_]|[{_DENSE}])+")
_WORD: Final = re.compile(rf"(?:(?![{_DENSE}])[^\W_])+")
_ASCII_WORD: Final = re.compile("[a-z0-9]+")
_DENSE_TERM: Final = re.compile(f"[{_DENSE}]")
# Words that say nothing of what a text is about. They are left out of texts and of questions alike.
_STOP_WORDS: Final = (
    "a an and are as at be been but by can could did do does for from had has have he her hers him his how i if in "
    "into is it its just me my no not of on or our she should so some than that the their them then there these they "
    "this those to too us was we were what when where which who whom whose why will with would you your"
)
TERMS: Final = 2  # raise it with every change of what the terms of a text are: then all texts are read again
# The rules, as one number: those of this file, and those of what it works with.
_STEMMER: Final = importlib.metadata.version("snowballstemmer")
RULES: Final = zlib.crc32(f"{TERMS} {_STEMMER} {unicodedata.unidata_version}".encode())
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
QUESTION_WORDS: Final = frozenset("何誰")
_ASKING_END: Final = re.compile(
    r"(?:[?？]|(?:です|ます|した|しょう|せん|だろう)か|かしら|かな|っけ)[\s。.!！…」』（）()w笑]*(?:\[[^\]]*\])?$"
)
LONGEST_ENDING: Final = 300
PAIR: Final = "\u00b7"  # begins the term of a pair of letters or digits
MAX_WORD: Final = 40  # longer ones are keys and hashes; their beginning tells them apart well enough


def terms_of(text: str) -> list[str]:
    """The terms of a text, in its order, each as often as it is there.

    Words are folded to one case and to their stem. Of a run with kana or ideographs, each pair of neighbours is a term,
    also of letters and digits in it, and so are each ideograph, each word in it, and whatever stands alone.
    """
    return list(_terms(normalised(text)))


def count_terms(terms: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """How often each of a few terms is in each normalised text: shape (texts, terms).

    Much faster than to find all terms of all texts: what has no spaces is looked for in all texts at once, and of words
    only those are looked at that the texts have.
    """
    counts = np.zeros((len(texts), len(terms)), dtype=np.float32)
    dense = [n for n, term in enumerate(terms) if term.startswith(PAIR) or _DENSE_TERM.search(term)]
    if dense:
        whole = "\n".join(texts)  # which is in no term
        ends = np.cumsum([len(text) + 1 for text in texts])
        for column in dense:
            places = _places(terms[column].removeprefix(PAIR), whole)
            if terms[column].startswith(PAIR):
                places = [place for place in places if _in_dense_run(whole, place)]
            counts[:, column] = np.bincount(np.searchsorted(ends, places, side="right"), minlength=len(texts))
    if len(dense) < len(terms):
        place = {term: n for n, term in enumerate(terms)}
        known: dict[str, int | None] = {}
        for row, text in enumerate(texts):
            for word in _words(text):
                if word not in known:
                    known[word] = place.get(_stem(word[:MAX_WORD]))
                if (n := known[word]) is not None:
                    counts[row, n] += 1
    return counts


def content_of(terms: Iterable[str]) -> set[str]:
    """Those terms that tell what a text is about: words, ideographs, and pairs of katakana.

    Hiragana and pairs with them are endings and particles as a rule, which differ between a question and its answer.
    """
    return {t for t in terms if t not in QUESTION_WORDS and not _is_form(t)}


def asks(text: str) -> bool:
    """Whether a text ends by asking something, in English or in Japanese, with a question mark or without."""
    return bool(_ASKING_END.search(text.rstrip()[-LONGEST_ENDING:]))


def normalised(text: str) -> str:
    """One form for what reads the same: full and half width, composed and decomposed, capital and small."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _terms(text: str) -> Iterator[str]:
    for found in _RUN.finditer(text):
        run = found[0]
        if not run.isascii() and _DENSE_TERM.search(run):
            yield from _IDEOGRAPH.findall(run)
            yield from (_pair(run[i : i + 2]) for i in range(len(run) - 1))
            if len(run) == 1 and not _IDEOGRAPH.match(run):
                yield run
            words = _WORD.findall(run)
        else:
            words = [run]
        yield from (_stem(word[:MAX_WORD]) for word in words if word not in STOP_WORDS)


def _pair(pair: str) -> str:
    """Two letters of a word are no word of two letters."""
    return pair if _DENSE_TERM.search(pair) else PAIR + pair


def _in_dense_run(text: str, place: int) -> bool:
    """Whether a pair of letters or digits at a place is inside of a run with kana or ideographs."""
    for side in (range(place - 1, -1, -1), range(place + 2, len(text))):
        for n in side:
            if _DENSE_TERM.match(text, n):
                return True
            if not text[n].isalnum():
                break
    return False


def _is_form(term: str) -> bool:
    if term.startswith(PAIR) or _KANA_ENDING.fullmatch(term):
        return True
    if len(term) != 2 or not _DENSE_TERM.search(term):
        return False
    return bool(_KANA_ENDING.search(term) or _IDEOGRAPH.search(term) or _WORD.search(term))


def _words(text: str) -> list[str]:
    """The words of a normalised text; the one expression for all scripts takes ten times as long."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def _places(term: str, text: str) -> list[int]:
    """Where a term begins in a text, also where it overlaps itself."""
    found, at = [], text.find(term)
    while at >= 0:
        found.append(at)
        at = text.find(term, at + 1)
    return found


@functools.lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@functools.cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")
