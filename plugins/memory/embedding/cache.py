"""The last vectors that were computed, by the hash of their text: many say the same in many conversations."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hoshikage import Owner

MOST: Final = 1024  # of 384 numbers: 1.5 MB


class VectorCache:
    """Vectors of one embedder; the least recently used go.

    Memories are embedded behind the scenes, so equal ones of different owners share an entry; questions are kept by
    owner. No text is in it.

    Attributes:
        generation: another one after every clearing; what was begun before it is not kept.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._kept: OrderedDict[tuple[Owner | None, bytes], NDArray[np.float32]] = OrderedDict()

    def get(self, text: str, owner: Owner | None = None) -> NDArray[np.float32] | None:
        """The vector of a memory, or of a question of `owner`."""
        key = _key(text, owner)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, text: str, vector: NDArray[np.float32], owner: Owner | None = None, *, generation: int) -> None:
        """Keep one, whose computing began in that generation."""
        if generation != self.generation:
            return
        self._kept[_key(text, owner)] = vector
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()
        self.generation += 1

    def __len__(self) -> int:
        return len(self._kept)


def _key(text: str, owner: Owner | None) -> tuple[Owner | None, bytes]:
    return owner, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
