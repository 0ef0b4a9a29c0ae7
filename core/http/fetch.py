"""Fetching from hosts that somebody else named: each hop checked, time and size bounded, credentials kept at home."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final, Self

import anyio
import httpx

from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.core.http.addresses import PORTS, AddressRules, NamesUnknownNow, find_addresses, resolve
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping

    from hoshikage.core.http.addresses import Resolve
    from hoshikage.core.settings import PullSettings

MAX_REDIRECTS: Final = 8
DOCUMENT_BYTES: Final = 4 << 20
DOCUMENT_LIMIT_S: Final = 60.0
# What may pass; everything else that a server says stays as it is.
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
DOCUMENT_TRIES: Final = 3
FIRST_PAUSE_S: Final = 0.5
CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization")
# Compressed answers would undo the bound on sizes, and ranges of them mean nothing.
OWN_HEADERS: Final = {"User-Agent": "hoshikage", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How long to wait: for a connection, and for the next byte."""

    connect_s: float = 10.0
    stall_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Document:
    """A small answer, whole."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    content: bytes


class GuardedTransport(httpx.AsyncBaseTransport):
    """Looks up a name, checks what it means, and connects to exactly that address.

    The check and the connection see one look-up, so a name cannot be public for the check and private for the
    connection. Certificates are checked against the name.
    """

    def __init__(self, rules: AddressRules, limits: FetchLimits, *, find: Resolve, tls: ssl.SSLContext) -> None:
        self._rules = rules
        self._limits = limits
        self._find = find
        self._tls = tls
        # One for each host: connections are kept by address, and two hosts behind one address must not share them.
        self._by_host: dict[tuple[str, int], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first of the permitted addresses that answers."""
        self._rules.check_url(request.url)
        host, port = _ascii_host(request.url), request.url.port or PORTS[request.url.scheme]
        limit_s = self._limits.connect_s
        try:
            addresses = await find_addresses(host, port, self._rules, self._find, limit_s=limit_s)
        except NamesUnknownNow as error:  # as when there is no connection: it is tried again
            raise httpx.ConnectError(error.message, request=request) from error
        inner = self._by_host.setdefault((host, port), httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False))
        for address in addresses[:-1]:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await inner.handle_async_request(_pinned(request, address))
        return await inner.handle_async_request(_pinned(request, addresses[-1]))

    async def aclose(self) -> None:
        """Close all connections."""
        for inner in self._by_host.values():
            await inner.aclose()


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to an address; the `Host` header and the name in the TLS handshake stay."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": _ascii_host(request.url)},
    )


class Fetcher:
    """A client for one task; use it as an async context manager."""

    def __init__(
        self,
        rules: AddressRules,
        limits: FetchLimits | None = None,
        *,
        find: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._limits = limits or FetchLimits()
        self._find = find
        self._tls = tls

    @classmethod
    def of(cls, settings: PullSettings, *, insecure: bool = False, trusted: tuple[str, ...] = ()) -> Self:
        """As the section `pull` says.

        Args:
            settings: whom to call, and how long to wait.
            insecure: plain HTTP is allowed besides.
            trusted: hosts that the operator has named elsewhere in the settings, so they may be private too.
        """
        rules = AddressRules((*settings.allowed_hosts, *trusted), plain_http=insecure or settings.allow_http)
        return cls(rules, FetchLimits(settings.connect_timeout_s, settings.stall_timeout_s))

    async def __aenter__(self) -> Self:
        tls = await finish_in_thread(_prepare, self._tls)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(self._rules, self._limits, find=self._find, tls=tls),
            timeout=httpx.Timeout(self._limits.stall_s, connect=self._limits.connect_s),
            trust_env=False,
            headers=OWN_HEADERS,
            cookies=_no_cookies(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @contextlib.asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncGenerator[httpx.Response, None]:
        """GET, through redirects; the body is for the reader to read, with `aiter_raw`.

        Credentials among the headers go to the host of `url` alone.

        Raises:
            AddressRefused: a hop leads to where nothing may be called.
            DownloadFailed: the host cannot be found, or it redirects for ever.
            httpx.HTTPError: the connection fails, now or while the body is read.
        """
        request = self._client.build_request("GET", _parsed(url), headers=dict(headers or {}))
        for _ in range(MAX_REDIRECTS):
            response = await self._client.send(request, stream=True)
            target = response.headers.get("location") if response.is_redirect else None
            if target is None:
                try:
                    yield response
                finally:
                    await response.aclose()
                return
            await response.aclose()
            url_now, headers_now = _next_hop(request, target)
            request = self._client.build_request("GET", url_now, headers=headers_now)
        raise DownloadFailed(f"{_host(url)} redirects more than {MAX_REDIRECTS} times; the server is at fault")

    async def document(
        self, url: str, headers: Mapping[str, str] | None = None, *, limit_bytes: int = DOCUMENT_BYTES
    ) -> Document:
        """GET something small; a server in trouble is asked again.

        Raises:
            AddressRefused: see `stream`.
            DownloadFailed: it cannot be had, is too large, or does not come in time.
        """
        try:
            async with asyncio.timeout(DOCUMENT_LIMIT_S):
                for tried in range(DOCUMENT_TRIES - 1):
                    try:
                        found = await self._try_document(url, headers, limit_bytes)
                    except httpx.HTTPError as error:
                        if not may_pass(error):
                            raise
                    else:
                        if found.status not in RETRIED:
                            return found
                    await asyncio.sleep(FIRST_PAUSE_S * 2**tried)
                return await self._try_document(url, headers, limit_bytes)
        except TimeoutError as error:
            raise DownloadFailed(
                f"{_host(url)} took more than {DOCUMENT_LIMIT_S:g} s for a small answer; try again"
            ) from error
        except httpx.HTTPError as error:
            raise DownloadFailed(f"{_host(url)} cannot be read: {reason_of(error)}; try again later") from error

    async def _try_document(self, url: str, headers: Mapping[str, str] | None, limit_bytes: int) -> Document:
        async with self.stream(url, headers) as response:
            content = await _bounded(response, limit_bytes)
            return Document(response.request.url, response.status_code, response.headers, content)


def _prepare(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    """What takes too long for the loop: reading all certificates of the world, and modules that httpx loads late."""
    importlib.import_module("httpcore")
    contextvars.Context().run(anyio.run, anyio.sleep, 0)  # loads what AnyIO needs for asyncio, by its public door
    return httpx.create_ssl_context() if tls is None else tls


def may_pass(error: httpx.HTTPError) -> bool:
    """Whether to try again after a failure; a certificate is as bad the next time."""
    return not (isinstance(error, httpx.ConnectError) and "SSL" in str(error))


def reason_of(error: httpx.HTTPError) -> str:
    """A failure of the connection in words."""
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.ReadTimeout():
            return "it sends nothing any more"
        case httpx.ConnectError() if not may_pass(error):
            return f"no TLS connection ({error}); a server without TLS is called with --insecure"
        case _:
            return str(error) or type(error).__name__


def _no_cookies() -> CookieJar:
    """A jar that takes none: nothing here needs them, and a jar does not tell the ports of a host apart."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _next_hop(request: httpx.Request, target: str) -> tuple[httpx.URL, dict[str, str]]:
    """Where a redirect leads, and the headers that may go there: none that say who asks, where the host changes."""
    try:
        url = request.url.join(_parsed(target))
    except (httpx.InvalidURL, ValueError) as error:
        raise DownloadFailed(f"{request.url.host} redirects to no address: {error}") from error
    if request.url.scheme == "https" and url.scheme == "http":
        raise AddressRefused(
            f"{request.url.host} redirects to plain HTTP at {url.host}, which is never followed from https: "
            "anybody on the way could change what comes; name an address that stays with https"
        )
    headers = {name: value for name, value in request.headers.items() if name != "host"}
    if (url.scheme, url.host, url.port) != (request.url.scheme, request.url.host, request.url.port):
        headers = {name: value for name, value in headers.items() if name not in CREDENTIALS}
    return url, headers


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise DownloadFailed(f"{url[:100]!r} is no address: {error}") from error


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _host(url: str) -> str:
    return _parsed(url).netloc.decode("ascii", "replace")


async def _bounded(response: httpx.Response, limit_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit_bytes:
            raise DownloadFailed(
                f"{response.request.url.host} sends more than {limit_bytes} bytes where a small answer is due"
            )
    return bytes(content)
