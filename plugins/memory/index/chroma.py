"""One collection of vectors in ChromaDB, and what Chroma says when something goes wrong.

A collection is written once and never changed: Chroma loses records after deletions (chroma-core/chroma#7758), and
keeps what was deleted in its files (#7662). One that is to go, goes with its folder.

Everything here blocks.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from hoshikage.core.errors import HoshikageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CHROMA_FILE: Final = "chroma.sqlite3"


class IndexFailed(HoshikageError):
    """The vector index cannot be used now; meaning is searched exactly meanwhile."""

    code = "vector_index_failed"


class IndexDamaged(IndexFailed):
    """A collection is not what it was when it was made; it is to be made anew."""

    code = "vector_index_damaged"


class Collection:
    """One collection that is open. Chroma allows several threads.

    Args:
        client: of chromadb; closed with this, if it is this one's own.
        collection: of chromadb.
        own_client: whether the client serves this collection alone.
    """

    def __init__(self, client: Any, collection: Any, *, own_client: bool) -> None:
        self._client = client
        self._collection = collection
        self._own_client = own_client

    def add(self, memories: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Add vectors: shape (memories, dimensions). No text goes there, and no name.

        Raises:
            IndexFailed: in Chroma's words.
        """
        with chroma_errors():
            self._collection.add(ids=[str(n) for n in memories], embeddings=vectors)

    def count(self) -> int:
        """How many vectors it has; see `add` for the errors."""
        with chroma_errors():
            return int(self._collection.count())

    def nearest(self, vectors: NDArray[np.float32], count: int) -> list[tuple[list[int], list[float]]]:
        """For each vector the nearest memories, and how near each is as a cosine; see `add` for the errors."""
        with chroma_errors():
            found = self._collection.query(query_embeddings=vectors, n_results=count, include=["distances"])
            return [
                ([int(n) for n in ids], [1.0 - distance for distance in distances])
                for ids, distances in zip(found["ids"], found["distances"], strict=True)
            ]

    def close(self) -> None:
        """Let go of files and threads. Idempotent."""
        if self._own_client:
            with chroma_errors():
                self._client.close()


def new_collection(client: Any, name: str) -> Any:
    """Make a collection for cosines. Errors are Chroma's own."""
    # Without a function of its own, Chroma never embeds a text, and never downloads a model for that.
    return client.create_collection(name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}})


def client_of(folder: Path) -> Any:
    """Chroma on a folder. Errors are Chroma's own, and that of `chromadb_module`."""
    chromadb = chromadb_module()
    return chromadb.PersistentClient(path=str(folder), settings=settings_of(chromadb))


@contextlib.contextmanager
def chroma_client(folder: Path) -> Iterator[Any]:
    """Chroma on a folder, for one who is alone there and lets go of it. Errors are Chroma's own."""
    with contextlib.closing(client_of(folder)) as client:
        yield client


def chromadb_module() -> Any:
    """Import chromadb, which takes most of a second.

    Raises:
        IndexFailed: it is not installed.
    """
    try:
        import chromadb
    except ImportError as error:
        raise IndexFailed(
            "chromadb is missing: pip install 'hoshikage[memory]', or set memory.index to exact"
        ) from error
    return chromadb


def settings_of(chromadb: Any) -> Any:
    """Chroma's settings: it tells nobody of its use."""
    return chromadb.config.Settings(anonymized_telemetry=False)


@contextlib.contextmanager
def chroma_errors() -> Iterator[None]:
    """Turn whatever Chroma raises into `IndexFailed`: its own errors, httpx's, and panics of its Rust core."""
    try:
        yield
    except HoshikageError:
        raise
    except Exception as error:
        raise IndexFailed(f"Chroma: {type(error).__name__}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it has no public name, and is no `Exception`
            raise
        raise IndexFailed(f"Chroma broke down: {error}") from error
