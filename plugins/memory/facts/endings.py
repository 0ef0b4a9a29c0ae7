"""What somebody says has ended: "I quit the bakery", 「ドーナツ屋はやめて、今は図書館」.

Pure. No rule must know what it is about: an older text that speaks of the same thing may not hold any more, so the
newer one is to come along with it. Nothing is hidden for it.
"""

from __future__ import annotations

import re
from typing import Final

from hoshikage.plugins.memory.text import STOP_WORDS, normalised

MOST_CHARS: Final = 120  # whoever writes more tells of the world rather than of what is over with them
MOST: Final = 4
_QUESTION: Final = re.compile(r"[?？]\s*$|か[。]?$")
_JA: Final = re.compile(
    "(?P<x>[\u3005\u4e00-\u9fff\u30a1-\u30ffa-z0-9]{2,12}|[\u4e00-\u9fff]{1,3}(?:くん|さん|ちゃん))"
    "(?:の(?:店|話|仕事|会|教室|バイト))?(?:とは|から|は|を|が|も|と|(?=卒業|引退|退職))"
    "[^。、!?\n]{0,10}?(?:(?:すっぱり|きっぱり|とうとう|ついに)?(?:や?め(?:た|て|まし|や)|止め(?:た|て|まし)|辞め(?:た|て|まし)|"
    "卒業|解散|休団|別れ(?:た|て|まし)|なくな(?:った|って|りまし)|壊れ(?:た|て|まし)|終わり|おしまい|断っ|断ち|あきらめ|諦め|白紙|中止|"
    "キャンセル|売っ(?:た|て)|手放し|譲っ|引退|退職|離れ(?:た|て|まし)|閉店|替わっ|変わっ|替え(?:た|て|まし)|変え(?:た|て|まし)|"
    "乗り換え|切り替え|休ませ|移転|解約))"
)
_EN: Final = re.compile(
    r"\b(?:quit|stopped|gave up|given up|left|sold|got rid of|broke up with|cancell?ed|replaced|switched from|"
    r"instead of|moved out of|no longer \w+|dropped out of|finished with)\s+"
    r"(?:(?:my|the|our|a|an|with|doing|going to|playing|drinking|eating|using|working (?:at|for)|learning|taking)\s+)*"
    r"(?P<x>[a-z][\w'-]{2,}(?: [a-z][\w'-]{2,})?)"
)


def endings_of(text: str) -> list[str]:
    """The names of what a text says has ended, normalised; a few at most, and none of a long text."""
    if len(text) > MOST_CHARS:
        return []
    plain = normalised(text)
    found: dict[str, None] = {}
    for line in re.split(r"(?<=[。!?.])|\n", plain):
        if not _QUESTION.search(line):
            for match in (*_JA.finditer(line), *_EN.finditer(line)):
                words = [word for word in match["x"].split() if word not in STOP_WORDS]
                if words:
                    found.setdefault(" ".join(words))
    return list(found)[:MOST]
