"""Where collections of vectors are: each in a folder of its own, or all on a Chroma server. Everything here blocks."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any, Final, Protocol

from filelock import FileLock, Timeout

from hoshikage.plugins.memory.index.chroma import (
    CHROMA_FILE,
    Collection,
    IndexDamaged,
    IndexFailed,
    chroma_errors,
    client_of,
    new_collection,
)
from hoshikage.plugins.memory.index.chroma_server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.plugins.memory.settings import ChromaSettings

INDEX_FOLDER: Final = "index"
LOCK_FILE: Final = "index.lock"


class Shelf(Protocol):
    """Where collections are."""

    where: str

    def start(self) -> None:
        """Become the one owner. Idempotent.

        Raises:
            IndexFailed: another process is, or Chroma is missing or cannot be reached.
        """
        ...

    def stop(self) -> None:
        """Let others own it. Idempotent."""
        ...

    def used(self) -> bool:
        """Whether there may be collections already, so that it is worth to start it."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The collections that are there, complete or not. See `start` for the errors."""
        ...

    def make(self, name: str) -> Collection:
        """Make an empty one. See `start` for the errors."""
        ...

    def open(self, name: str, *, count: int, seal: str) -> Collection:
        """Open one that is complete.

        Raises:
            IndexDamaged: it is not there, has another number of vectors, or its seal is broken.
            IndexFailed: see `start`.
        """
        ...

    def seal(self, name: str) -> str:
        """What tells whether the files are those that were written; empty where somebody else looks after them.

        Chroma crashes the whole process on garbage in some of its files, and on others finds less than is there.
        """
        ...

    def drop(self, name: str) -> None:
        """Take one away with all its bytes, if it is there. It is closed before.

        Raises:
            IndexFailed: it cannot be taken away.
        """
        ...


class Folders:
    """Each collection in a folder of its own. Implements `Shelf`.

    Args:
        root: the folder of the folders.
    """

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root
        self._lock = FileLock(root / LOCK_FILE)

    def start(self) -> None:
        """See `Shelf.start`."""
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._lock.is_locked:
                self._lock.acquire(blocking=False)
        except Timeout as error:
            raise IndexFailed(
                f"another process uses the vector index in {self._root}; two would destroy it: give each server a "
                "memory.folder of its own, or a Chroma server with chroma.url"
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter is a file system without locks
            raise IndexFailed(f"{self._root} cannot be locked: {error}; put memory.folder on another disk") from error

    def stop(self) -> None:
        """See `Shelf.stop`."""
        self._lock.release()

    def used(self) -> bool:
        """See `Shelf.used`."""
        return self._root.is_dir()

    def names(self, prefix: str) -> list[str]:
        """See `Shelf.names`."""
        return [folder.name for folder in self._root.glob(f"{prefix}*") if folder.is_dir()]

    def make(self, name: str) -> Collection:
        """See `Shelf.make`."""
        with chroma_errors():
            client = self._client(name)
            return Collection(client, new_collection(client, name), own_client=True)

    def open(self, name: str, *, count: int, seal: str) -> Collection:
        """See `Shelf.open`."""
        if not (self._root / name / CHROMA_FILE).is_file():
            raise IndexDamaged(f"{self._root / name} is not there")
        if seal and seal != self.seal(name):
            raise IndexDamaged(f"files in {self._root / name} are not as they were written")
        try:
            with chroma_errors():
                client = self._client(name)
                collection = Collection(client, client.get_collection(name, embedding_function=None), own_client=True)
            found = collection.count()
        except IndexFailed as error:
            raise IndexDamaged(error.message) from error
        if found != count:
            collection.close()
            raise IndexDamaged(f"{self._root / name} holds {found} vectors instead of {count}")
        return collection

    def seal(self, name: str) -> str:
        """See `Shelf.seal`. Chroma's own SQLite file changes whenever it is opened, and detects damage by itself."""
        digest = hashlib.sha256()
        for file in sorted(file for file in (self._root / name).rglob("*") if file.is_file()):
            if file.name != CHROMA_FILE and not file.name.startswith(f"{CHROMA_FILE}-"):
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def drop(self, name: str) -> None:
        """See `Shelf.drop`."""
        try:
            shutil.rmtree(self._root / name)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise IndexFailed(f"{self._root / name} cannot be removed: {error}; remove it by hand") from error

    def _client(self, name: str) -> Any:
        return client_of(self._root / name)


def shelf_of(settings: ChromaSettings, folder: Path) -> Shelf:
    """Where collections are: on the server that the settings name, or in folders beside the memories.

    Args:
        settings: the section.
        folder: of the memories.

    Raises:
        ConfigError: see `checked_url`.
    """
    return Server(settings.url, settings.token) if settings.url else Folders(folder / INDEX_FOLDER)
