"""Bringing models from elsewhere: what a downloader is, and what it brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hoshikage.core.contracts.chat import Message


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is.

    Attributes:
        status: what is being done, in Ollama's words: `pulling manifest`, `pulling 0123456789ab`, `verifying sha256
            digest`, `writing manifest`.
        digest: `sha256:` and 64 hex digits, of the file in work.
        total: bytes of that file; 0 where it is none.
        completed: bytes of it that are here.
    """

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model that is here now.

    Attributes:
        name: the name to register it under.
        file: its GGUF file, whole and checked; further parts of a split model lie beside it.
        digest: SHA-256 of the file, 64 hex digits.
        template: the chat template that came with it and stands in for the file's own; empty: the file's own.
        system: the system prompt that came with it.
        parameters: sampling defaults, by Ollama's names.
        messages: an opening of every conversation.
        license: its text.
        source: where it came from, for people.
        owned: files that belong to this model alone or to several, and may go when no model names them any more.
    """

    name: str
    file: Path
    digest: str
    template: str = ""
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    license: str = ""
    source: str = ""
    owned: tuple[Path, ...] = ()


class Downloader(Protocol):
    """Brings models from one kind of place."""

    name: str

    def accepts(self, reference: str) -> bool:
        """Whether a reference, as a user writes it, is for this downloader; the first that says yes gets it."""
        ...

    async def download(
        self, reference: str, progress: Callable[[DownloadProgress], None], *, insecure: bool = False
    ) -> Downloaded:
        """Bring a model, going on where an earlier try ended. Safe to cancel: what is here stays for the next try.

        Args:
            reference: what the user wrote.
            progress: told of every step; bytes at most ten times a second.
            insecure: plain HTTP is allowed, as Ollama's flag of that name says.

        Raises:
            InvalidRequest: the reference cannot be one.
            DownloadFailed: with the reason and what to do.
        """
        ...
