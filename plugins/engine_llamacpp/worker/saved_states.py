"""The texts of one model whose memory is saved in files: which there are, and room for new ones."""

from __future__ import annotations

import array
import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import common_length
from hoshikage.plugins.engine_llamacpp.worker.state_file import (
    SUFFIX,
    TEMPORARY,
    BadStateFile,
    read_memory,
    read_tokens,
    remove_leftovers,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.frames import StateStore
    from hoshikage.plugins.engine_llamacpp.worker.state_file import Bytes

FOLDER_MODE = 0o700  # what stands in the files is what people wrote


@dataclass(frozen=True, slots=True)
class Saved:
    """One text on file."""

    file: Path
    scope: str
    tokens: list[int]


class SavedStates:
    """Finds, reads and writes the saved texts of one model.

    The first of several folders is the fast one: when it is full, its oldest files move to the last one. When that is
    full, its oldest files go. All models share the folders and their limits; each has a folder of its own in them, and
    a file that another worker has taken away is no more than one that is not there.

    Args:
        store: where the files are, and how much they may take.
        warn: told of files that cannot be used or written.
    """

    def __init__(self, store: StateStore, warn: Callable[[str], None]) -> None:
        self._store = store
        self._warn = warn
        self._folders = [Path(folder) for folder in store.folders]
        self._known: dict[str, Saved] = {}
        self.saved_bytes = 0
        for folder in self._folders:
            with contextlib.suppress(OSError):
                remove_leftovers(folder / store.key)
            for file in sorted((folder / store.key).glob(f"*{SUFFIX}")):
                self._note(file)

    def find(self, scope: str, tokens: Seq[int], *, longer_than: int, whole: bool) -> Saved | None:
        """The text with which most of `tokens` needs no computing.

        Args:
            scope: only texts of this one.
            tokens: a prompt; its last token must be computed in any case.
            longer_than: as many tokens are known without it.
            whole: the text must be of use as a whole, since its memory cannot be cut.
        """
        best, longest, limit = None, longer_than, len(tokens) - 1
        for saved in self._known.values():
            if saved.scope != scope:
                continue
            common = common_length(tokens, saved.tokens, 0, limit)
            if common > longest and (not whole or common == len(saved.tokens)):
                best, longest = saved, common
        return best

    def has(self, scope: str, tokens: Seq[int]) -> bool:
        """Whether this very text is on file."""
        known = self._known.get(_name_of(scope, tokens))
        return known is not None and any(file.is_file() for file in self._places_of(known))

    def load(self, saved: Saved) -> bytearray | None:
        """Read a text's memory; `None`, and forgotten, if its file is damaged or gone."""
        for file in self._places_of(saved):
            if not file.is_file():
                continue
            try:
                memory = read_memory(file)
                os.utime(file)
            except (BadStateFile, OSError) as error:
                self._refuse(file, error)
                continue
            return memory
        self._known.pop(saved.file.name, None)
        return None

    def forget(self, saved: Saved) -> None:
        """Remove a text that llama.cpp would not take."""
        self._remove(saved)

    def save(self, scope: str, tokens: Seq[int], memory: Bytes, *, replaces: bool) -> None:
        """Write a text; where it goes on from older ones and these can be cut out of it, they go.

        Where no folder can be written, it is not saved, and that is said.
        """
        name = _name_of(scope, tokens)
        for folder in self._folders:
            file = folder / self._store.key / name
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
                size = write_state(file, key=self._store.key, scope=scope, tokens=tokens, memory=memory)
            except OSError as error:
                self._warn(f"a conversation cannot be saved in {file.parent}: {error.strerror}")
                continue
            self._known[name] = Saved(file, scope, list(tokens))
            self.saved_bytes += size
            break
        if replaces and name in self._known:
            self._remove_beginnings_of(self._known[name])
        self._trim()

    # --- inside ---

    def _places_of(self, saved: Saved) -> list[Path]:
        """Where its file may be by now: another worker may have moved it, or taken it away."""
        return [folder / self._store.key / saved.file.name for folder in self._folders]

    def _note(self, file: Path) -> None:
        try:
            head, tokens = read_tokens(file)
        except BadStateFile as error:
            self._refuse(file, error)
            return
        if head.key != self._store.key or file.name != _name_of(head.scope, tokens):
            self._refuse(file, BadStateFile("it belongs to another model or text"))
            return
        self._known.setdefault(file.name, Saved(file, head.scope, tokens))

    def _refuse(self, file: Path, error: Exception) -> None:
        """A file that is of no use is left out; it goes when room is needed, as the oldest."""
        self._warn(f"the saved state {file} is not used: {error}")
        with contextlib.suppress(OSError):
            os.utime(file, (0, 0))

    def _remove_beginnings_of(self, newest: Saved) -> None:
        for saved in list(self._known.values()):
            size = len(saved.tokens)
            if saved.scope == newest.scope and size < len(newest.tokens) and newest.tokens[:size] == saved.tokens:
                self._remove(saved)

    def _remove(self, saved: Saved) -> None:
        self._known.pop(saved.file.name, None)
        for file in self._places_of(saved):
            with contextlib.suppress(OSError):
                file.unlink()

    def _trim(self) -> None:
        *fast, last = self._folders
        for folder in fast:
            for file in _oldest_over(folder, self._store.fast_bytes):
                move(file, last / file.parent.name)
        make_room(last, self._store.disk_bytes)


def make_room(folder: Path, limit_bytes: int) -> None:
    """Remove the oldest files of a folder, of all models, until the rest is within the limit."""
    for file in _oldest_over(folder, limit_bytes):
        with contextlib.suppress(OSError):
            file.unlink()


def move(file: Path, folder: Path) -> None:
    """Move a file to another folder; where that is not possible, it goes, since it is only a copy of what was."""
    # Under a temporary name first: the two folders are on different file systems.
    temporary = folder / f".{os.getpid()}.{file.name}{TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        shutil.copyfile(file, temporary)
        shutil.copystat(file, temporary)
        temporary.replace(folder / file.name)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()  # on a full disk its part of the file would only be in the way
    with contextlib.suppress(OSError):
        file.unlink()


def _oldest_over(folder: Path, limit_bytes: int) -> list[Path]:
    """The files of all models that must leave a folder for the rest to be within the limit, the oldest first."""
    stats: list[tuple[float, int, Path]] = []
    for file in folder.glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            stat = file.stat()
            stats.append((stat.st_mtime, stat.st_size, file))
    excess = sum(size for _, size, _ in stats) - limit_bytes
    leaving: list[Path] = []
    for _, size, file in sorted(stats):
        if excess <= 0:
            break
        leaving.append(file)
        excess -= size
    return leaving


def _name_of(scope: str, tokens: Seq[int]) -> str:
    digest = hashlib.sha256(scope.encode("utf-8", "surrogatepass") + b"\0" + array.array("i", tokens).tobytes())
    return digest.hexdigest()[:32] + SUFFIX
