"""The registry: which names stand for which files (`model_map.json`), shared between server and command line."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import orjson
import structlog
from filelock import FileLock, Timeout

from hoshikage.core.errors import ModelNotFound, RegistryError
from hoshikage.core.files import write_atomically
from hoshikage.core.names import check_name, name_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hoshikage.config.project import Project

log = structlog.get_logger(__name__)

LOCK_LIMIT_S = 10.0
# What the predecessor used for an entry that lacks `stop`.
FALLBACK_STOP = ("<|im_end|>", "</s>")


OPENING_ROLES = ("system", "user", "assistant")


class OpeningMessage(msgspec.Struct, frozen=True):
    """A message that stands before every conversation."""

    role: str
    content: str = ""


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `model_map.json`. `path` and `model` are the old format; all else is optional.

    Attributes:
        path: the folder of the file; a relative one resolves against the project.
        model: the file's name.
        engine: the engine that must load it.
        options: engine settings for this model alone.
        template: a chat template, Jinja2 or Go, as its author wrote it; empty: the file's own.
        system: the system prompt of conversations that have none.
        parameters: sampling defaults, by Ollama's names.
        messages: an opening of every conversation.
        license: its text.
        source: where the model came from, for people.
        owned: names of blobs that go with the last entry that names them.
        parent: the model that it was created from.
    """

    path: str
    model: str
    stop: tuple[str, ...] | None = None
    engine: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    template: str = ""
    system: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    messages: tuple[OpeningMessage, ...] = ()
    license: str = ""
    source: str = ""
    owned: tuple[str, ...] = ()
    parent: str = ""


# Told under the registry's lock of an entry that is gone, and of those that are left.
Settle: TypeAlias = "Callable[[ModelEntry, Sequence[ModelEntry]], None]"


@dataclass(frozen=True, slots=True)
class RegistryFiles:
    """Where the registry's files are; `tags_cache` and `tags_ollama` are written by `tags.py`."""

    model_map: Path
    tags_cache: Path
    tags_ollama: Path


@dataclass(slots=True)
class Registry:
    """Reads and changes the model map.

    Every read looks whether the file has changed, so a running server sees at once what the command line did.
    Every change happens under a file lock, on what the file holds at that moment, and ends in an atomic rename.
    """

    files: RegistryFiles
    project: Project
    _version: tuple[int, int, int] | None = None
    _entries: Mapping[str, ModelEntry] = field(default_factory=dict)

    def entries(self) -> Mapping[str, ModelEntry]:
        """The entries by name, in the order of the file.

        Raises:
            RegistryError: the file is corrupt. It is left as it is.
        """
        version = _version(self.files.model_map)
        if version != self._version:
            self._entries = {name: _entry(self.files.model_map, name, raw) for name, raw in self._read().items()}
            self._version = version
        return self._entries

    def file_of(self, entry: ModelEntry) -> Path:
        """The model file, absolute; a link is not followed, as llama.cpp finds the parts of a model by their names."""
        return self.project.resolve(entry.path) / entry.model

    def stop_of(self, entry: ModelEntry) -> tuple[str, ...]:
        """The stop strings that always apply; old files have none written down."""
        return FALLBACK_STOP if entry.stop is None else entry.stop

    def add(self, name: str, entry: ModelEntry) -> None:
        """Register a model.

        Raises:
            RegistryError: the name is taken, or the file is corrupt or locked for too long.
            InvalidRequest: the name is not allowed.
        """
        name = check_name(name)
        with self._lock():
            raw = self._read()
            _refuse_taken(name, raw)
            self._write({**raw, name: _dump(entry)})

    def put(self, name: str, entry: ModelEntry, *, check: Callable[[], None] | None = None, settle: Settle) -> str:
        """Register a model, in place of the one that has the name already. Returns the name as it is registered.

        Args:
            name: a name that is taken stays as it was written first.
            entry: what it stands for from now on.
            check: called under the lock before anything changes; what it raises ends the call.
            settle: told of the entry that was replaced.

        Raises:
            RegistryError: the file is corrupt or locked for too long.
            InvalidRequest: the name is not allowed.
        """
        name = check_name(name)
        with self._lock():
            raw = self._read()
            name = _found(name, raw) or name
            if check is not None:
                check()
            self._replace(raw, {**raw, name: _dump(entry)}, name, settle)
        return name

    def copy(self, source: str, destination: str, *, settle: Settle) -> None:
        """Register an entry once more under another name, fields that we do not know included.

        Raises:
            ModelNotFound: no entry has the name `source`.
            RegistryError: the file is corrupt or locked for too long.
            InvalidRequest: the name `destination` is not allowed.
        """
        destination = check_name(destination)
        with self._lock():
            raw = self._read()
            found = _found(source, raw)
            if found is None:
                raise ModelNotFound(source)
            destination = _found(destination, raw) or destination
            self._replace(raw, {**raw, destination: raw[found]}, destination, settle)

    def refuse_taken(self, name: str) -> None:
        """Say no to a name that is taken, before anything costly is done for it.

        Raises:
            RegistryError: the name is taken, or the file is corrupt.
        """
        _refuse_taken(name, self._read())

    def remove(self, name: str, *, settle: Settle | None = None) -> str:
        """Forget a name; the model's file stays, unless `settle` says otherwise. Returns the name as registered.

        Raises:
            ModelNotFound: no entry has the name.
            RegistryError: the file is corrupt or locked for too long.
        """
        with self._lock():
            raw = self._read()
            found = _found(name, raw)
            if found is None:
                raise ModelNotFound(name)
            self._replace(raw, {n: e for n, e in raw.items() if n != found}, found, settle)
        return found

    def while_locked(self, act: Callable[[Sequence[ModelEntry]], None]) -> None:
        """Let `act` work with all entries while nobody can change them; what killed writers left is cleaned up.

        Raises:
            RegistryError: the file is corrupt or locked for too long.
        """
        file = self.files.model_map.resolve()
        with self._lock():
            for left in file.parent.glob(f".{file.name}.*.tmp"):
                with contextlib.suppress(OSError):  # it is not ours, or gone
                    left.unlink()
            act(self._converted(self._read()))

    # --- inside ---

    def _replace(
        self, before: Mapping[str, dict[str, Any]], after: dict[str, dict[str, Any]], name: str, settle: Settle | None
    ) -> None:
        """Write what is to be, then let go of what the name stood for before."""
        self._write(after)
        if settle is not None and name in before:
            settle(_entry(self.files.model_map, name, before[name]), self._converted(after))

    def _converted(self, raw: Mapping[str, dict[str, Any]]) -> list[ModelEntry]:
        return [_entry(self.files.model_map, name, entry) for name, entry in raw.items()]

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        file = self.files.model_map
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{file.resolve()}.lock")  # whoever comes by a link writes the same file
            lock.acquire(timeout=LOCK_LIMIT_S)
        except Timeout as error:
            message = f"{file} has been locked by another process for {LOCK_LIMIT_S:g} s; try again"
            raise RegistryError(message) from error
        except OSError as error:
            raise RegistryError(f"{file.parent} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> dict[str, dict[str, Any]]:
        """The file as it stands, fields that we do not know included: they must survive a rewrite."""
        file = self.files.model_map
        try:
            raw = orjson.loads(file.read_bytes() or b"null")
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise _corrupt(file, str(error)) from error
        except OSError as error:
            raise RegistryError(f"{file} cannot be read: {error.strerror}") from error
        if not isinstance(raw, dict):
            raise _corrupt(file, "it must hold one JSON object of names")
        for name, entry in raw.items():
            _entry(file, name, entry)
        return raw

    def _write(self, raw: dict[str, dict[str, Any]]) -> None:
        try:
            write_atomically(self.files.model_map, orjson.dumps(raw, option=orjson.OPT_INDENT_2) + b"\n")
        except orjson.JSONEncodeError as error:
            message = (
                f"{self.files.model_map} cannot hold this model: a path or a text of it is no UTF-8; rename the file"
            )
            raise RegistryError(message) from error
        except OSError as error:
            raise RegistryError(f"{self.files.model_map} cannot be written: {error.strerror}") from error


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _found(name: str, raw: Iterable[str]) -> str | None:
    """A name as it is registered."""
    return next((n for n in raw if name_key(n) == name_key(name)), None)


def _refuse_taken(name: str, raw: Mapping[str, Mapping[str, Any]]) -> None:
    taken = _found(name, raw)
    if taken is not None:
        raise RegistryError(
            f"the name {taken!r} is taken by {raw[taken].get('path')}/{raw[taken].get('model')}; "
            f"choose another name or run `hoshikage rm {taken}` first",
            param="name",
        )


def _entry(file: Path, name: str, raw: object) -> ModelEntry:
    try:
        return msgspec.convert(raw, ModelEntry)
    except msgspec.ValidationError as error:
        raise _corrupt(file, f"entry {name!r}: {error}") from error


def _dump(entry: ModelEntry) -> dict[str, Any]:
    """Write the old fields always, the new ones only where they say something."""
    dumped: dict[str, Any] = {
        "path": entry.path,
        "model": entry.model,
        "stop": list(FALLBACK_STOP if entry.stop is None else entry.stop),
    }
    new = {name: value for name, value in msgspec.to_builtins(entry).items() if name not in dumped and value}
    return {**dumped, **new}


def _corrupt(file: Path, reason: str) -> RegistryError:
    return RegistryError(
        f"{file} is corrupt: {reason}; it was left untouched: repair it, or move it away to start with an empty one"
    )
