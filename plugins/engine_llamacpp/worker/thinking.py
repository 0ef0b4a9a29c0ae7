"""Thinking: when a model begins and ends it, how long it takes, and how it is brought to an end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp import frames
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel


class ThinkingState:
    """Follows one answer through its thinking, token by token.

    Args:
        thinking: the markers and the budget.
        model: reads and writes the tokens.
        prompt_tail: the end of the prompt; thinking is open where the prompt has opened it.
    """

    def __init__(self, thinking: frames.Thinking, *, model: NativeModel, prompt_tail: str) -> None:
        self._model = model
        self._close_marker = thinking.close.strip().encode()
        # What could never be closed is never opened.
        opener = thinking.open.strip() if self._close_marker else ""
        self._open_marker = opener.encode()
        self._opening = _tokens(model, opener)
        self._budget = thinking.budget
        self._n_opened = 0
        self._text = b""
        self._forced: deque[int] = deque()
        # Templates that give their own marks lines give them to these as well. Qwen's writes a forgone thinking so.
        self._own_lines = prompt_tail.endswith("\n")
        self.n_tokens = 0
        self.open = bool(self._close_marker) and prompt_tail.rstrip().endswith(opener)
        self.at_start = not self.open

    def forced(self) -> int | None:
        """The token that has to come next, whatever the model would rather say."""
        if self.open and not self._forced and 0 <= self._budget <= self.n_tokens:
            self.end()
        return self._forced[0] if self._forced else None

    def end(self) -> None:
        """Make the model stop thinking: its next tokens are the marker."""
        marker = self._close_marker.decode()
        self._forced.extend(_tokens(self._model, f"\n{marker}\n\n" if self._own_lines else marker))

    def may_open_with(self, token: int) -> bool:
        """Whether everything said so far, with this token, is the beginning of the marker that opens thinking."""
        at = self._n_opened
        return self.at_start and at < len(self._opening) and token == self._opening[at]

    def begin(self) -> None:
        """Make the model go on with the marker that it has begun to write."""
        self._forced.extend(self._opening[self._n_opened :])

    def push(self, token: int) -> None:
        """Take the token that was chosen."""
        forced = bool(self._forced)
        if forced:
            self._forced.popleft()
        if self.at_start:
            self.at_start = self.may_open_with(token)
            self._n_opened += 1
        self._text += self._model.piece(token, special=True)
        if self.open:
            self._think(counted=not forced)
        else:
            self._speak()

    def _think(self, *, counted: bool) -> None:
        if not self.n_tokens and self._text.startswith(b"\n"):
            self._own_lines = True
        thought, closed, rest = self._text.partition(self._close_marker)
        if closed:
            self.open, self._text = False, rest
        else:
            self._text = thought[-len(self._close_marker) :]
            self.n_tokens += counted

    def _speak(self) -> None:
        if not self._open_marker:
            self._text = b""
            return
        said, opened, rest = self._text.partition(self._open_marker)
        if opened:
            self.open, self._text = True, rest
        else:
            self._text = said[-len(self._open_marker) :]


def _tokens(model: NativeModel, text: str) -> list[int]:
    return tokenize(model.vocab, text, add_special=False, parse_special=True)
