"""Embedders are other people's code: which one is taken, and what of its answers is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import structlog

from hoshikage.core.errors import EmbedderFailed, HoshikageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from numpy.typing import NDArray

    from hoshikage import Embedder, TextKind

log = structlog.get_logger(__name__)

T = TypeVar("T")


def choose_embedder(name: str, offered: Sequence[Embedder]) -> Embedder | None:
    """The embedder that the settings name, or else the first whose model is at hand; `None` without any.

    Args:
        name: as the setting has it; `none` is none.
        offered: by plug-ins, the preferred ones first.
    """
    if not name:
        return next((embedder for embedder in offered if _at_hand(embedder)), None)
    found = next((embedder for embedder in offered if embedder.name == name), None)
    if found is None and name != "none":
        names = ", ".join(embedder.name for embedder in offered)
        packages = "pip install 'hoshikage[memory]'"  # without which not all are offered
        log.warning("embedder_unknown", setting="memory.embedder", value=name, offered=names, packages=packages)
    return found


def _at_hand(embedder: Embedder) -> bool:
    try:
        return embedder.at_hand()
    except Exception:
        log.exception("embedder_passed_over", embedder=embedder.name)
        return False


async def start_embedder(embedder: Embedder) -> None:
    """See `Embedder.start`.

    Raises:
        EmbedderFailed: whatever went wrong.
    """
    await _guarded(embedder, embedder.start())


async def vectors_of(embedder: Embedder, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
    """See `Embedder.embed`.

    Raises:
        EmbedderFailed: whatever went wrong, also an answer that is not what it announced.
    """
    vectors = await _guarded(embedder, embedder.embed(texts, kind))
    expected = (len(texts), embedder.dimensions)
    if vectors.shape != expected:
        raise EmbedderFailed(
            f"the embedder {embedder.name!r} made vectors of the shape {vectors.shape} instead of {expected}; none of "
            "them is kept, and memories are found by their words: repair it, or name another one in memory.embedder, "
            "and all memories are embedded again"
        )
    if not np.isfinite(vectors).all():
        raise EmbedderFailed(f"the embedder {embedder.name!r} made vectors with numbers that are not finite")
    return vectors


async def _guarded(embedder: Embedder, call: Awaitable[T]) -> T:
    try:
        return await call
    except HoshikageError:
        raise
    except Exception as error:
        raise EmbedderFailed(f"the embedder {embedder.name!r} failed: {type(error).__name__}: {error}") from error
