"""The predecessor's conversations: read out of a copy of its ChromaDB, where nothing is ever written."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hoshikage import Memory, Owner
from hoshikage.core.errors import HoshikageError
from hoshikage.plugins.memory.index.chroma import CHROMA_FILE, chroma_client, chroma_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COLLECTION: Final = "short_memory_db"
PAGE: Final = 500
ROLES: Final = frozenset({"user", "assistant"})
# It knew no users: what was said to it belongs to whoever asks from the same machine without a key.
LOCAL_OWNER: Final = Owner("127.0.0.1")


class PredecessorUnreadable(HoshikageError):
    """The predecessor's database cannot be read; nothing of it was taken in."""

    code = "predecessor_unreadable"


@dataclass(slots=True)
class Found:
    """What was read.

    Attributes:
        memories: the record's id in the old database, and what it says; the oldest first.
        skipped: how many were not read, by reason.
    """

    memories: list[tuple[str, Memory]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def fingerprint(folder: Path) -> str:
    """What changes with the database; empty where a folder has none."""
    try:
        state = (folder / CHROMA_FILE).stat()
    except OSError:
        return ""
    return f"{folder.resolve()} {state.st_size} {state.st_mtime_ns}"


def read_predecessor(folder: Path, scratch: Path, refuse: Callable[[str], str]) -> Found:
    """Read every conversation.

    Args:
        folder: the one of its `CHROMA_PATH`.
        scratch: a folder for the copy, since Chroma changes a database that it opens. The vectors stay behind: they
            are another model's.
        refuse: why a text cannot be kept; empty: it can.

    Raises:
        PredecessorUnreadable: it is no such database, or damaged.
    """
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with tempfile.TemporaryDirectory(dir=scratch, prefix="predecessor-") as name:
            for file in folder.glob(f"{CHROMA_FILE}*"):  # with its journal, if it was killed
                shutil.copyfile(file, Path(name) / file.name)
            with chroma_errors(), chroma_client(Path(name)) as client:
                return _sorted(_records(client), refuse, _written_at(folder))
    except OSError as error:
        raise PredecessorUnreadable(f"{folder} cannot be copied: {error}; look at its rights and the disk") from error
    except HoshikageError as error:
        raise PredecessorUnreadable(
            f"{folder} cannot be read: {error.message}; set chroma.path to the folder with the predecessor's "
            f"{CHROMA_FILE}, or to nothing"
        ) from error


def _records(client: Any) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """Id, text and metadata of each record."""
    if COLLECTION not in {collection.name for collection in client.list_collections()}:
        return
    collection = client.get_collection(COLLECTION, embedding_function=None)
    for offset in range(0, collection.count(), PAGE):
        page = collection.get(limit=PAGE, offset=offset, include=["documents", "metadatas"])
        for identity, text, about in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
            yield identity, text, about or {}


def _sorted(
    records: Iterator[tuple[str, str | None, Mapping[str, Any]]], refuse: Callable[[str], str], undated: float
) -> Found:
    found = Found()
    for identity, text, about in records:
        role = str(about.get("role", ""))
        if role not in ROLES:
            found.skipped[f"said by {role[:20] or 'nobody'}"] += 1
        elif refuse(text or ""):
            found.skipped["empty, too long, or no Unicode"] += 1
        else:
            said_at = _said_at(about)
            day = str(about.get("create_date", "")) if said_at is not None else "undated"
            moment = undated if said_at is None else said_at
            # Days are its only parts; within one, what was said stands beside what was answered.
            memory = Memory("", text or "", moment, role, "turn", f"{COLLECTION} {day}")
            found.memories.append((identity, memory))
    found.memories.sort(key=lambda pair: pair[1].said_at)
    return found


def _said_at(about: Mapping[str, Any]) -> float | None:
    """When something was said, in the time zone of this machine, as the predecessor wrote it down."""
    text = f"{about.get('create_date', '')} {about.get('create_time', '')}"
    try:
        moment = datetime.datetime.strptime(text, "%Y%m%d %H:%M:%S").astimezone()
    except ValueError:
        return None
    return moment.timestamp()


def _written_at(folder: Path) -> float:
    return (folder / CHROMA_FILE).stat().st_mtime
