"""The array of tokens and logits that llama.cpp's samplers work on."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# llama_token_data as llama.h has it.
TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """Room for tokens to choose from, used again for every choice.

    Args:
        capacity: the most tokens at once.
    """

    def __init__(self, capacity: int) -> None:
        self._data = np.zeros(capacity, TOKEN_DATA)
        self._ids = np.arange(capacity, dtype=np.int32)
        self._pointer = ctypes.cast(self._data.ctypes.data, llama_cpp.llama_token_data_p)
        self._array = llama_cpp.llama_token_data_array()
        self._reference = ctypes.byref(self._array)

    def fill(
        self, logits: NDArray[np.float32], only: NDArray[np.int32] | None = None, *, without: Sequence[int] = ()
    ) -> None:
        """Take the whole vocabulary, or only some of its tokens, or all without some."""
        ids = self._ids if only is None else only
        self._data["id"][: ids.size] = ids
        self._data["logit"][: ids.size] = logits if only is None else logits[only]
        for token in without:
            self._data["logit"][token] = -np.inf
        self._begin(ids.size)

    def fill_ids(self, ids: NDArray[np.int32] | Sequence[int]) -> None:
        """Take tokens without their logits, to ask which of them are possible."""
        self._data["id"][: len(ids)] = ids
        self._data["logit"][: len(ids)] = 0
        self._begin(len(ids))

    def _begin(self, size: int) -> None:
        # Samplers may sort the array, shorten it, and put another one in its place.
        self._array.data = self._pointer
        self._array.size = size
        self._array.selected = -1
        self._array.sorted = False

    def apply(self, sampler: Any) -> None:
        """Let a sampler work on the array."""
        llama_cpp.llama_sampler_apply(sampler, self._reference)

    @property
    def chosen(self) -> int:
        """The token that the last sampler of a chain has chosen."""
        # Where every logit is minus infinity, some samplers choose none.
        return int(self._array.data[max(self._array.selected, 0)].id)

    def possible(self) -> NDArray[np.int32]:
        """The tokens whose logits a sampler has left above minus infinity, where it has not shortened the array."""
        taken = self._data[: self._array.size]
        return np.array(taken["id"][taken["logit"] > -np.inf])


def logits_of(context: Any, row: int, n_vocab: int) -> NDArray[np.float32]:
    """The logits of a row of the last batch, in place: valid until the next step, and not to be written to."""
    pointer = llama_cpp.llama_get_logits_ith(context, row)
    array = (ctypes.c_float * n_vocab).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(memoryview(array), np.float32)
