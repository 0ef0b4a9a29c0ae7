"""Answers without a model's sense: logits by chance, in the place where llama.cpp has those of the last step."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np

from hoshikage.plugins.engine_llamacpp.worker.native import Batch
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel
    from hoshikage.plugins.engine_llamacpp.worker.sampler import Sampler

ROWS = 16


class Dice:
    """A model whose next token depends on a number only.

    Args:
        model: lends its vocabulary and its memory.
        seed: of the logits.
    """

    def __init__(self, model: NativeModel, seed: int = 0) -> None:
        self.model = model
        batch = Batch(1)
        model.forget(0)
        batch.add([1], position=0, slot=0, choose=1)
        assert batch.decode(model) == 0
        batch.close()
        address = ctypes.addressof(llama_cpp.llama_get_logits_ith(model.context, 0).contents)
        self.logits = np.frombuffer((ctypes.c_float * model.n_vocab).from_address(address), np.float32)
        self._random = np.random.default_rng(seed)
        self._pool = self._random.normal(0, 3, ROWS * model.n_vocab).astype(np.float32)

    def roll(self) -> None:
        """Compute a step: other logits, in no order that anybody could learn."""
        start = int(self._random.integers(self._pool.size - self.logits.size))
        self.logits[:] = self._pool[start : start + self.logits.size]

    def want(self, *tokens: int) -> None:
        """Make the first of these tokens by far the likeliest, then the second, and so on."""
        self.logits[:] = -10
        self.logits[list(tokens)] = [20.0 - 5 * n for n in range(len(tokens))]

    def answer(self, sampler: Sampler, *, max_tokens: int) -> list[int]:
        """Choose by chance until the answer ends; the token that ends it is left out."""
        tokens: list[int] = []
        while len(tokens) < max_tokens:
            self.roll()
            token = sampler.choose(0).token
            if self.model.ends_answer(token):
                return tokens
            tokens.append(token)
            if sampler.finished:
                return tokens
        raise AssertionError(f"no end after {max_tokens} tokens: {self.text(tokens)[-200:]!r}")

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, special ones by their names."""
        return tokenize(self.model.vocab, text, add_special=False, parse_special=True)

    def text(self, tokens: list[int]) -> bytes:
        """The bytes of tokens."""
        return b"".join(self.model.piece(token, special=True) for token in tokens)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax, the plain way."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()
