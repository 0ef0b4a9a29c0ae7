"""All collections of vectors on a Chroma server. Everything here blocks."""

from __future__ import annotations

import contextlib
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from hoshikage.core.errors import ConfigError
from hoshikage.core.http.callers import is_local
from hoshikage.plugins.memory.index.chroma import (
    Collection,
    IndexDamaged,
    IndexFailed,
    chroma_errors,
    chromadb_module,
    new_collection,
    settings_of,
)

REQUEST_LIMIT_S: Final = 30.0  # a request that takes longer has failed; chromadb itself would wait for ever
HEARTBEAT_LIMIT_S: Final = 2.0


class Server:
    """All collections on a Chroma server. Implements `Shelf`.

    Args:
        url: scheme, host and port; see `checked_url`.
        token: for a proxy in front of it; empty: none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.where = checked_url(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client: Any = None

    def start(self) -> None:
        """See `Shelf.start`."""
        try:  # asked first, because chromadb waits without a limit for a server that does not answer
            answer = httpx.get(f"{self.where}/api/v2/heartbeat", headers=self._headers, timeout=HEARTBEAT_LIMIT_S)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._client = None
            raise IndexFailed(f"the Chroma server at {self.where} does not answer: {error}; see chroma.url") from error
        if self._client is None:
            url = urlsplit(self.where)
            with chroma_errors():
                chromadb = chromadb_module()
                self._client = chromadb.HttpClient(
                    host=url.hostname,
                    port=url.port,
                    ssl=url.scheme == "https",
                    headers=dict(self._headers),
                    settings=settings_of(chromadb),
                )
                self._client._server._session.timeout = REQUEST_LIMIT_S  # noqa: SLF001  it has no setting

    def stop(self) -> None:
        """See `Shelf.stop`."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(IndexFailed), chroma_errors():
                client.close()

    def used(self) -> bool:
        """See `Shelf.used`."""
        return True

    def names(self, prefix: str) -> list[str]:
        """See `Shelf.names`."""
        with chroma_errors():
            return [c.name for c in self._started().list_collections() if c.name.startswith(prefix)]

    def make(self, name: str) -> Collection:
        """See `Shelf.make`."""
        with chroma_errors():
            client = self._started()
            return Collection(client, new_collection(client, name), own_client=False)

    def open(self, name: str, *, count: int, seal: str) -> Collection:
        """See `Shelf.open`."""
        del seal
        client = self._started()
        with chroma_errors():
            from chromadb.errors import NotFoundError

            try:
                collection = Collection(client, client.get_collection(name, embedding_function=None), own_client=False)
            except NotFoundError as error:
                raise IndexDamaged(f"the Chroma server at {self.where} has no {name} any more") from error
        if (found := collection.count()) != count:
            raise IndexDamaged(f"{name} at {self.where} holds {found} vectors instead of {count}")
        return collection

    def seal(self, name: str) -> str:
        """See `Shelf.seal`."""
        del name
        return ""

    def drop(self, name: str) -> None:
        """See `Shelf.drop`. What stays in the server's files is that server's business."""
        client = self._started()
        with chroma_errors():
            from chromadb.errors import NotFoundError

            with contextlib.suppress(NotFoundError):
                client.delete_collection(name)

    def _started(self) -> Any:
        if self._client is None:
            self.start()
        return self._client


def checked_url(url: str) -> str:
    """The URL of a Chroma server as scheme, host and port.

    Raises:
        ConfigError: it is none, or plain HTTP to another machine: Chroma has no keys of its own, and vectors tell what
            was said.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.path.strip("/") or parts.username or parts.query:
        raise ConfigError(f"chroma.url is {url!r}; it must be like http://127.0.0.1:8000: scheme, host and port alone")
    if parts.scheme == "http" and not is_local(host):
        raise ConfigError(
            f"chroma.url is {url!r}, another machine without encryption; Chroma has no keys of its own, so put it "
            "behind a proxy that asks for one, and name that with https:// and chroma.token"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or (443 if parts.scheme == 'https' else 8000)}"
