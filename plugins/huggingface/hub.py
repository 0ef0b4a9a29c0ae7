"""Asking the Hub: what a repository holds, and where its files are.

`huggingface_hub` says where the Hub is, whose token to use and how addresses are written. The calls themselves go
through our own client: that library's downloads cannot be cancelled, check no SHA-256, and follow any redirect; its
native part (`hf_xet`) could not even be taught to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import httpx
import msgspec

from hoshikage.core.errors import DownloadFailed
from hoshikage.core.threads import finish_in_thread
from hoshikage.plugins.huggingface.choice import HubFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hoshikage.core.http.fetch import Document, Fetcher
    from hoshikage.plugins.huggingface.reference import HubReference
    from hoshikage.plugins.huggingface.settings import HuggingFaceSettings

HUB: Final = "https://huggingface.co"
LISTING_BYTES: Final = 16 << 20  # some repositories hold thousands of files
SMALL_BYTES: Final = 1 << 20

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]


class _Lfs(msgspec.Struct, frozen=True):
    sha256: str
    size: Size


class _Sibling(msgspec.Struct, frozen=True):
    rfilename: str
    size: Size | None = None
    lfs: _Lfs | None = None


class _Listing(msgspec.Struct, frozen=True):
    sha: str
    siblings: list[_Sibling] = []


class Hub:
    """The Hub, or a mirror of it."""

    def __init__(self, endpoint: str, token: str, *, address_of: Callable[..., str]) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._address_of = address_of
        if not is_address(self.endpoint):
            raise DownloadFailed(
                f"the Hub's address {endpoint[:100]!r} is none; set huggingface.endpoint, or HF_ENDPOINT, to "
                f"something like {HUB}"
            )
        if not token.isascii() or not token.isprintable():
            raise DownloadFailed(
                "the token for the Hub has characters that no token has; set huggingface.token, or HF_TOKEN, again"
            )
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}

    @classmethod
    def of(cls, settings: HuggingFaceSettings) -> Hub:
        """As the settings say, and where they do not, as the variables of `huggingface_hub` do.

        Loads that library, all that is used of it, which takes too long for the event loop.

        Raises:
            DownloadFailed: the endpoint is no address, or the token none that can be sent.
        """
        from huggingface_hub import constants, get_token, hf_hub_url

        stored = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return cls(settings.endpoint or constants.ENDPOINT, settings.token or stored or "", address_of=hf_hub_url)

    @property
    def own_host(self) -> tuple[str, ...]:
        """The host, where the operator has chosen another than the Hub itself."""
        return () if self.endpoint == HUB else (httpx.URL(self.endpoint).netloc.decode(),)

    @property
    def is_plain(self) -> bool:
        """Whether the operator has chosen plain HTTP."""
        return self.endpoint.startswith("http://")

    def url(self, repo: str, commit: str, path: str) -> str:
        """Where a file is."""
        return self._address_of(repo, path, revision=commit, endpoint=self.endpoint)

    async def files(self, fetcher: Fetcher, wanted: HubReference) -> tuple[str, list[HubFile]]:
        """The commit that a reference means now, and what it holds.

        Raises:
            DownloadFailed: there is no such repository or revision, or it is closed to us.
        """
        revision = f"/revision/{quote(wanted.revision, safe='')}" if wanted.revision else ""
        url = f"{self.endpoint}/api/models/{wanted.repo}{revision}?blobs=true"
        document = await fetcher.document(url, self.headers, limit_bytes=LISTING_BYTES)
        if document.status != 200:
            raise DownloadFailed(self._refusal(document, wanted))
        try:
            return await finish_in_thread(_read_listing, document.content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DownloadFailed(f"what {self.endpoint} says of {wanted.repo} cannot be read: {error}") from error

    async def small_file(self, fetcher: Fetcher, repo: str, commit: str, path: str) -> bytes:
        """A text beside the model.

        Raises:
            DownloadFailed: it cannot be had, or is too large.
        """
        document = await fetcher.document(self.url(repo, commit, path), self.headers, limit_bytes=SMALL_BYTES)
        if document.status != 200:
            raise DownloadFailed(f"{self.endpoint} answers {document.status} for {repo}/{path}; try again later")
        return document.content

    def _refusal(self, document: Document, wanted: HubReference) -> str:
        """What the Hub's answer means; its own words are in `X-Error-Code`."""
        page = f"{self.endpoint}/{wanted.repo}"
        match document.headers.get("x-error-code", ""), document.status:
            case "GatedRepo", _:
                return f"{wanted.repo} is gated: accept its terms at {page}, then set HF_TOKEN or huggingface.token"
            case "RevisionNotFound", _:
                return f"{wanted.repo} has no revision {wanted.revision!r}; see {page}/tree/main"
            case _, 401 | 403 | 404:
                return f"{page} does not exist, or is private: check the name, or set HF_TOKEN or huggingface.token"
            case _, status:
                return f"{self.endpoint} answers {status} for {wanted.repo}; try again later"


def is_address(text: str) -> bool:
    """Whether a text is the address of a server."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _read_listing(content: bytes) -> tuple[str, list[HubFile]]:
    listing = msgspec.json.decode(content, type=_Listing)
    return listing.sha, [_file(sibling) for sibling in listing.siblings]


def _file(sibling: _Sibling) -> HubFile:
    size = sibling.lfs.size if sibling.lfs else sibling.size or 0
    return HubFile(sibling.rfilename, size, sibling.lfs.sha256 if sibling.lfs else "")
