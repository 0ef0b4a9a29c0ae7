"""Echo's two ways of cutting text: words, which it counts and says, and code points, which are its token ids."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

# A token is a run of spaces with the word after it, or one character of a script without spaces.
_TOKEN = re.compile(r"\s*[\x21-\u02ff]+|\s*\S|\s+")
_SURROGATES = range(0xD800, 0xE000)  # no text can hold them


def tokens_of(text: str) -> list[str]:
    """Cut text into the tokens that answers are made of; joined, they are the text again."""
    return _TOKEN.findall(text)


def ids_of(text: str) -> tuple[int, ...]:
    """The token ids of a text: its Unicode code points."""
    return tuple(map(ord, text))


def text_of(prompt: str | Iterable[int], *, param: str) -> str:
    """The text of token ids; text stays as it is.

    Raises:
        InvalidRequest: an id is no code point of a text; the error names the field `param`.
    """
    if isinstance(prompt, str):
        return prompt
    ids = list(prompt)
    for number in ids:
        if not 0 <= number <= sys.maxunicode or number in _SURROGATES:
            raise InvalidRequest(
                f"the token id {number} is not in the vocabulary; the ids of echo are Unicode code points", param=param
            )
    return "".join(map(chr, ids))
