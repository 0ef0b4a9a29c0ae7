"""The model's vocabulary, for building prompts of an exact length; nothing is computed with it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp

from benchmarks.native_log import silence_llama_cpp

if TYPE_CHECKING:
    from pathlib import Path


class Tokenizer:
    """Text to tokens and back."""

    def __init__(self, model: Path) -> None:
        silence_llama_cpp()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(str(model).encode(), params)
        if not self._model:
            raise OSError(f"{model} is no model that llama.cpp can load")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._piece = ctypes.create_string_buffer(256)

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a prompt."""
        data = text.encode()
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, True, True)
        return list(tokens[:n])

    def count(self, text: str) -> int:
        """How many tokens a prompt has."""
        return len(self.tokenize(text))

    def pieces(self, text: str) -> list[bytes]:
        """The text of each token."""
        return [self._piece_of(token) for token in self.tokenize(text)]

    def _piece_of(self, token: int) -> bytes:
        n = llama_cpp.llama_token_to_piece(self._vocab, token, self._piece, len(self._piece), 0, True)
        return self._piece.raw[: max(n, 0)]
