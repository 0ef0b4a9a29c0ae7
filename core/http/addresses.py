"""Which addresses the server may call when somebody else names them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import AddressRefused, DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    import httpx

    # What a name and a port mean, as texts of addresses.
    Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS: Final = {"http": 80, "https": 443}
# The well-known prefix under which a NAT64 gateway reaches IPv4 addresses (RFC 6052), and its local sibling (RFC 8215).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


class NamesUnknownNow(DownloadFailed):
    """Nobody says at the moment what a name means: the network may be away."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the open Internet, whatever form of IPv6 it is wrapped in."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    local = isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64)
    return address.is_global and not odd and not local


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to in the end."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system what a name means; numbers in odd forms, such as `0x7f.1`, come out as what they are."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What may be called.

    Attributes:
        allowed_hosts: hosts, `name` or `name:port`, that may be private; all others must be public.
        plain_http: whether `http:` is allowed.
    """

    allowed_hosts: Collection[str] = ()
    plain_http: bool = False

    def check_url(self, url: httpx.URL) -> None:
        """Refuse what can be told from the URL alone.

        Raises:
            AddressRefused: with the reason.
        """
        if url.scheme not in PORTS or not url.host:
            raise AddressRefused(f"{_shown(url)} is refused: only https addresses are called")
        if url.userinfo:
            raise AddressRefused(f"{_shown(url)} is refused: it carries a user name or password")
        if url.scheme == "http" and not self.plain_http:
            raise AddressRefused(
                f"{_shown(url)} is refused: it is plain HTTP; allow that with --insecure, or with pull.allow_http"
            )

    def permitted(self, host: str, port: int, addresses: Sequence[str]) -> list[str]:
        """Those of a host's addresses that may be called.

        Raises:
            AddressRefused: there is none.
        """
        name = f"[{host}]" if ":" in host else host
        if {host.lower(), name.lower(), f"{name.lower()}:{port}"} & {allowed.lower() for allowed in self.allowed_hosts}:
            return list(addresses)
        public = [a for a in addresses if is_public(ipaddress.ip_address(a))]
        if not public:
            raise AddressRefused(
                f"{name}:{port} is refused: it is at {', '.join(addresses)}, which is no public address; if you "
                f'trust it, name it in the setting pull.allowed_hosts = ["{name}:{port}"]'
            )
        return public


async def find_addresses(host: str, port: int, rules: AddressRules, resolve: Resolve, *, limit_s: float) -> list[str]:
    """What a name means, as far as it may be called.

    Raises:
        AddressRefused: the name leads only to where nothing may be called.
        NamesUnknownNow: nobody answers what it means, or not in time.
        DownloadFailed: there is no such name.
    """
    try:
        async with asyncio.timeout(limit_s):
            found = await resolve(host, port)
    except (OSError, UnicodeError) as error:  # a time-out is an OSError; a name over 63 characters no Unicode
        reason = f"no answer within {limit_s:g} s" if isinstance(error, TimeoutError) else str(error)
        passes = isinstance(error, TimeoutError) or getattr(error, "errno", None) == socket.EAI_AGAIN
        kind = NamesUnknownNow if passes else DownloadFailed
        raise kind(f"the host {host!r} cannot be found: {reason}; check its spelling and the DNS") from error
    return rules.permitted(host, port, [a for a in found if "%" not in a])  # with a zone it is link-local


def _shown(url: httpx.URL) -> str:
    """A URL for a message: without what may be secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
