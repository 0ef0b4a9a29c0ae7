"""Which models stay where they are; remembered in a small file, so that a restart does not forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog
from filelock import FileLock, Timeout

from hoshikage.core.errors import RegistryError
from hoshikage.core.files import write_atomically
from hoshikage.core.names import name_key

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

LOCK_LIMIT_S = 10.0


class Pins:
    """The names of pinned models, shared between the server and the command line."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __contains__(self, name: str) -> bool:
        return name_key(name) in self._read()

    def names(self) -> list[str]:
        """Every pinned name, as `name_key` writes it."""
        return self._read()

    def set(self, name: str, *, pinned: bool) -> None:
        """Pin or unpin a name.

        Raises:
            RegistryError: the file cannot be read or written.
        """
        key = name_key(name)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.lock", timeout=LOCK_LIMIT_S):
                others = [n for n in self._stored() if n != key]
                names = sorted([*others, key] if pinned else others)
                write_atomically(self._file, msgspec.json.encode(names) + b"\n")
        except (OSError, Timeout) as error:
            raise RegistryError(f"{self._file} cannot be written: {error}") from error

    def _read(self) -> list[str]:
        try:
            return self._stored()
        except RegistryError as error:
            log.warning("pins_unreadable", file=str(self._file), reason=error.message)
            return []

    def _stored(self) -> list[str]:
        """The names; none where the content is damaged.

        Raises:
            RegistryError: it cannot be read, and so must not be written over.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[str])
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RegistryError(f"{self._file} cannot be read: {error}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("pins_unreadable", file=str(self._file), reason=str(error))
            return []
