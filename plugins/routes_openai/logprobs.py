"""Log-probabilities in the two shapes that OpenAI has for them."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoshikage import TokenLogprob

LOWEST = -9999.0  # OpenAI's number for a token that cannot be; JSON has no infinity


def chat_logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """The shape of chats, with the bytes of each token."""
    return {"content": [_row(t) | {"top_logprobs": [_row(o) for o in t.top]} for t in tokens], "refusal": None}


class CompletionLogprobs:
    """The shape of completions: four lists. It counts characters, so one of these follows one answer.

    Args:
        top: how many alternatives were asked for.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def body(self, tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
        """The next tokens of the answer."""
        rows = tuple(tokens)
        return {
            "tokens": [_spelled(t.token) for t in rows],
            "token_logprobs": [_number(t.logprob) for t in rows],
            "top_logprobs": [self._alternatives(t) for t in rows] if self._top else None,
            "text_offset": [self._next_offset(t.token) for t in rows],
        }

    def _alternatives(self, token: TokenLogprob) -> dict[str, float]:
        # From the least likely on: of two tokens that are spelled alike, the likelier stays.
        return {_spelled(o.token): _number(o.logprob) for o in reversed(token.top)}

    def _next_offset(self, token: bytes) -> int:
        here = self._offset
        self._offset += len(self._decoder.decode(token))
        return here


def _row(token: TokenLogprob) -> dict[str, Any]:
    return {
        "token": token.token.decode("utf-8", "replace"),
        "logprob": _number(token.logprob),
        "bytes": list(token.token),
    }


def _spelled(token: bytes) -> str:
    """A token as text; where its bytes are no whole characters, as OpenAI spells those."""
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


def _number(logprob: float) -> float:
    return max(logprob, LOWEST)
