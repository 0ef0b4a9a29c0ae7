"""From token bytes to text that may be sent: whole characters, and nothing that could begin a stop string."""

from __future__ import annotations

import codecs


class TextStream:
    """Collects the bytes of one answer and releases text that no later byte can change.

    Args:
        stop: strings that end the answer; neither they nor anything after them is released.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(s for s in stop if s)
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Add the bytes of a token and return the text that is certain now."""
        text = self._held + self._decoder.decode(piece)
        at = first_stop(text, self._stop)
        if at is not None:
            self.stopped, self._held = True, ""
            return text[:at]
        keep = longest_stop_prefix(text, self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """Return what was held back. Half a character at the very end is dropped: it never was one."""
        held, self._held = self._held, ""
        return held


def first_stop(text: str, stop: tuple[str, ...]) -> int | None:
    """Where the stop string begins that is complete first in `text`.

    Not the one that begins first: how the text is cut into tokens must not change where it ends.
    """
    found = [(at + len(s), at) for s in stop if (at := text.find(s)) >= 0]
    return min(found)[1] if found else None


def longest_stop_prefix(text: str, stop: tuple[str, ...]) -> int:
    """How many characters at the end of `text` could be the beginning of a stop string."""
    longest = 0
    for s in stop:
        for size in range(min(len(s) - 1, len(text)), longest, -1):
            if text.endswith(s[:size]):
                longest = size
                break
    return longest
