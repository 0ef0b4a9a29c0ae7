"""What a user writes to name a model in a registry, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from hoshikage.core.errors import InvalidRequest

Scheme = Literal["http", "https"]

OLLAMA_HOST: Final = "registry.ollama.ai"
LIBRARY: Final = "library"  # where Ollama keeps models without a namespace
DEFAULT_TAG: Final = "latest"
MAX_PARTS: Final = 8

_HOST = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:\d{1,5})?")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model in a registry.

    Attributes:
        name: as the user wrote it, without the scheme.
    """

    scheme: Scheme
    host: str
    repository: str
    tag: str
    name: str

    @classmethod
    def parse(cls, text: str, *, default_host: str, insecure: bool = False) -> Reference:
        """Read `[scheme://][host/][namespace/]name[:tag]`; as with Docker, a first part with a dot or port is a host.

        Args:
            text: what the user wrote.
            default_host: the registry of names without a host.
            insecure: plain HTTP is meant where no scheme is given.

        Raises:
            InvalidRequest: it is anything else.
        """
        scheme, name = _scheme(text, insecure=insecure)
        path, tag = _split_tag(name)
        parts = path.split("/")
        host = parts.pop(0) if len(parts) > 1 and re.search(r"[.:]|^localhost$", parts[0]) else default_host
        fits = len(parts) <= MAX_PARTS and all(map(_PART.fullmatch, parts)) and _TAG.fullmatch(tag)
        if not fits or not _HOST.fullmatch(host):
            raise InvalidRequest(
                f"{text[:100]!r} names no model in a registry; write [host/][namespace/]name[:tag]", param="model"
            )
        if host == OLLAMA_HOST and len(parts) == 1:
            parts.insert(0, LIBRARY)
        return cls(scheme, host, "/".join(parts), tag, name)

    def url(self, kind: Literal["manifests", "blobs"], what: str) -> str:
        """Where the registry has something of this model."""
        return f"{self.scheme}://{self.host}/v2/{self.repository}/{kind}/{what}"


def _scheme(text: str, *, insecure: bool) -> tuple[Scheme, str]:
    found = re.fullmatch(r"(?:(https?)://)?(.*)", text)
    if found is None:
        return "https", ""
    return cast("Scheme", found[1] or ("http" if insecure else "https")), found[2]


def _split_tag(name: str) -> tuple[str, str]:
    folder, slash, last = name.rpartition("/")
    base, colon, tag = last.partition(":")
    return folder + slash + base, tag if colon else DEFAULT_TAG
