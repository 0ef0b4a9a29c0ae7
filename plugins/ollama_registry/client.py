"""Asking a registry, with the token that it may want first (the OCI distribution's bearer tokens)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import httpx
import msgspec
from werkzeug.datastructures import WWWAuthenticate

from hoshikage.core.errors import DownloadFailed
from hoshikage.core.http.fetch import DOCUMENT_BYTES
from hoshikage.plugins.ollama_registry.manifest import DOCKER_MANIFEST, MAX_TEXT_BYTES, OCI_MANIFEST, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage.core.http.fetch import Document, Fetcher
    from hoshikage.plugins.ollama_registry.manifest import Layer
    from hoshikage.plugins.ollama_registry.reference import Reference


TOKEN_BYTES: Final = 64 << 10  # no server takes a header that is larger


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class RegistryClient:
    """Reads one model of a registry. Its token is for the registry's own host; `Fetcher` keeps it there."""

    def __init__(self, reference: Reference, fetcher: Fetcher) -> None:
        self._reference = reference
        self._fetcher = fetcher
        self._token: dict[str, str] = {}

    @property
    def headers(self) -> Mapping[str, str]:
        """What the registry wants to see with each request for a blob."""
        return self._token

    async def manifest(self) -> Manifest:
        """The model's manifest.

        Raises:
            DownloadFailed: there is no such model, the registry wants a password, or what it says makes no sense.
        """
        url = self._reference.url("manifests", self._reference.tag)
        document = await self._get(url, {"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"})
        return Manifest.parse(document.content, self._reference.name)

    async def small_blob(self, layer: Layer) -> bytes:
        """A layer that is small, whole and checked.

        Raises:
            DownloadFailed: it cannot be had, or is not what its digest says.
        """
        what = layer.kind or "config"
        if layer.size > MAX_TEXT_BYTES:
            raise DownloadFailed(f"the {what} has {layer.size} bytes; at most {MAX_TEXT_BYTES} are taken")
        document = await self._get(self._reference.url("blobs", layer.digest), {}, limit_bytes=MAX_TEXT_BYTES)
        if len(document.content) != layer.size:  # the sum of what was announced is what was found bearable
            raise DownloadFailed(
                f"{self._reference.host} sends a {what} of {len(document.content)} bytes, not the {layer.size} that "
                "the manifest announces; the registry's copy is damaged"
            )
        found = hashlib.sha256(document.content).hexdigest()
        if found != layer.sha256:
            raise DownloadFailed(
                f"{self._reference.host} sends a {what} with the digest sha256:{found}, not "
                f"{layer.digest} as the manifest says; the registry's copy is damaged"
            )
        return document.content

    async def renew(self, challenge: str) -> Mapping[str, str]:
        """A token, or a new one where the old has expired; `challenge` is what `WWW-Authenticate` said."""
        self._token = await self._new_token(challenge)
        return self._token

    # --- inside ---

    async def _get(self, url: str, headers: Mapping[str, str], limit_bytes: int = DOCUMENT_BYTES) -> Document:
        document = await self._fetcher.document(url, {**headers, **self._token}, limit_bytes=limit_bytes)
        if document.status == 401:  # none yet, or one that has expired
            await self.renew(document.headers.get("www-authenticate", ""))
            document = await self._fetcher.document(url, {**headers, **self._token}, limit_bytes=limit_bytes)
        if document.status != 200:
            raise DownloadFailed(_refusal(self._reference, document.status))
        return document

    async def _new_token(self, challenge: str) -> dict[str, str]:
        """Do what `WWW-Authenticate: Bearer realm=…,service=…,scope=…` asks for, as nobody in particular.

        The realm may be any host, and it gets no credentials from us: there are none that it could misuse.
        """
        asked = WWWAuthenticate.from_header(challenge)
        kind, wanted = (asked.type, asked.parameters) if asked else ("", {})
        if kind != "bearer" or not wanted.get("realm"):
            raise DownloadFailed(
                f"{self._reference.host} wants a password ({kind or 'it does not say which kind'}); only registries "
                "that give tokens to everybody can be pulled from"
            )
        scope = wanted.get("scope") or f"repository:{self._reference.repository}:pull"
        try:
            url = httpx.URL(wanted["realm"] or "").copy_merge_params({"scope": scope})
            if service := wanted.get("service"):
                url = url.copy_add_param("service", service)
        except httpx.InvalidURL as error:
            raise DownloadFailed(f"{self._reference.host} sends for a token to no address: {error}") from error
        document = await self._fetcher.document(str(url), limit_bytes=TOKEN_BYTES)
        token = _read_token(document)
        if not token or not token.isascii() or not token.isprintable():
            raise DownloadFailed(
                f"{url.host} gives no token for {self._reference.name} (it answers {document.status}); the model may "
                "be private, or its name misspelt"
            )
        return {"Authorization": f"Bearer {token}"}


def _read_token(document: Document) -> str:
    if document.status != 200:
        return ""
    try:
        found = msgspec.json.decode(document.content, type=_Token)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return found.token or found.access_token


def _refusal(reference: Reference, status: int) -> str:
    """Why the registry did not give what was asked for; of a missing model in the words that clients know."""
    match status:
        case 404:
            return (
                f"pull model manifest: file does not exist: {reference.host} has no {reference.repository}:"
                f"{reference.tag}; check the name and the tag"
            )
        case 401 | 403:
            return f"{reference.host} does not let everybody read {reference.repository}; check the name"
        case _:
            return f"{reference.host} answers {status} for {reference.name}; try again later"
