"""What is left of a long conversation: the sentences that stand for the others, in the order in which they were said.

Pure.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.digests.clusters import cluster_count, clusters_of, middle_of
from hoshikage.plugins.memory.sentences import sentences_of
from hoshikage.plugins.memory.text import terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hoshikage.plugins.memory.digests.rows import Source
    from hoshikage.plugins.memory.settings import DigestSettings

MOST_SENTENCES: Final = 2_000
LEAST_CHARS: Final = 6  # shorter ones are greetings and thanks
DIMENSIONS: Final = 512
CUT: Final = " … "
EXACT_SHARE: Final = 0.8  # a turn that fits so well, beside its digest, says it better


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence of a conversation.

    Attributes:
        turn: the place of its turn.
        role: who says it.
    """

    turn: int
    role: str
    text: str


def parts_of(turns: Iterable[Source]) -> list[Part]:
    """The sentences of a conversation that can stand for others, in their order; the last ones of a very long one."""
    parts = [
        Part(n, turn.role, sentence.text)
        for n, turn in enumerate(turns)
        for sentence in sentences_of(turn.text)
        if len(sentence.text) >= LEAST_CHARS
    ]
    return parts[-MOST_SENTENCES:]


def digest_of(parts: Sequence[Part], vectors: NDArray[np.float32], settings: DigestSettings) -> str:
    """The sentences in the middle of what means alike, one line for each turn; the order is that of the conversation.

    Args:
        parts: see `parts_of`; one at least.
        vectors: of each, of length 1: shape (parts, dimensions).
        settings: how many groups they make.
    """
    count = cluster_count(
        len(parts), divisor=settings.cluster_divisor, least=settings.min_clusters, most=settings.max_clusters
    )
    lines: dict[int, list[str]] = {}
    for place in middle_of(vectors, clusters_of(vectors, count)):
        lines.setdefault(parts[place].turn, [f"{parts[place].role}: "]).append(parts[place].text)
    return "\n".join(role + CUT.join(said) for role, *said in lines.values())


def vectors_by_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors for where no embedder is at hand, in which near means that words are shared: of length 1."""
    found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for n, text in enumerate(texts):
        for term in terms_of(text):
            found[n, zlib.crc32(term.encode()) % DIMENSIONS] += 1
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.where(lengths > 0, lengths, np.float32(1))
    return found


def doubles(fits: NDArray[np.float32], digests: Mapping[int, Sequence[int]]) -> set[int]:
    """Places of candidates that say what others say too: a digest whose turns are there, or the turns of a better one.

    Args:
        fits: of all candidates, 0 to 1.
        digests: the place of each digest, and those of its turns.
    """
    found: set[int] = set()
    for digest, turns in digests.items():
        best = max((fits[turn] for turn in turns), default=0.0)
        found |= {digest} if turns and best >= EXACT_SHARE * fits[digest] else set(turns)
    return found
