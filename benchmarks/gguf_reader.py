"""The reference library's reader of GGUF files, with less waiting for a vocabulary."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np


class Reader(gguf.GGUFReader):
    """Takes slices of a plain array: those of a memory map cost four times as much, and each token needs several."""

    @property
    def data(self) -> Any:
        """The file's bytes."""
        return self._bytes

    @data.setter
    def data(self, found: Any) -> None:
        self._bytes = np.asarray(found)
