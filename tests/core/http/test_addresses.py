from __future__ import annotations

import asyncio
import ipaddress

import httpx
import pytest

from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.core.http.addresses import AddressRules, find_addresses, is_public, resolve

LIMIT_S = 5.0


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_of_the_internet_are_public(text: str):
    """IPv4, IPv6, and IPv4 in IPv6, where what is inside is public."""
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep their keys
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:0:0:0:0:0:80ff:fffe",  # Teredo to 127.0.0.1
        "2001:db8::1",
    ],
)
def test_all_others_are_not(text: str):
    """Loopback, private, link-local, reserved and multicast addresses, however IPv6 wraps them."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://1.1.1.1/x",
        "gopher://1.1.1.1/",
        "http://1.1.1.1/",
        "https://me:pw@1.1.1.1/x",
        "//x/y",
    ],
)
def test_only_https_without_a_password_is_called(url: str):
    """Other schemes, plain HTTP and URLs that carry credentials are refused by their looks."""
    with pytest.raises(AddressRefused) as caught:
        AddressRules().check_url(httpx.URL(url))

    assert "pw" not in caught.value.message


def test_plain_http_can_be_allowed():
    """With the permission, plain HTTP passes; other schemes still do not."""
    rules = AddressRules(plain_http=True)
    rules.check_url(httpx.URL("http://example.com/"))

    with pytest.raises(AddressRefused):
        rules.check_url(httpx.URL("ftp://example.com/"))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0", "localhost", "::1", "[::1]"],
)
async def test_every_spelling_of_loopback_is_refused(host: str):
    """Decimal, hexadecimal, octal and short forms mean what they mean to the system that would connect."""
    with pytest.raises((AddressRefused, DownloadFailed)):
        await find_addresses(host, 443, AddressRules(), resolve, limit_s=LIMIT_S)


async def test_a_name_with_one_private_address_is_called_at_its_public_one():
    """Of several addresses only those that are public are left."""

    async def both(host: str, port: int) -> list[str]:
        return ["10.0.0.1", "1.1.1.1"]

    assert await find_addresses("two.example", 443, AddressRules(), both, limit_s=LIMIT_S) == ["1.1.1.1"]


@pytest.mark.parametrize("allowed", ["registry.lan", "registry.lan:5000", "Registry.LAN"])
async def test_a_host_that_is_named_may_be_private(allowed: str):
    """With or without its port, in any case of letters."""

    async def private(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    rules = AddressRules([allowed])
    assert await find_addresses("registry.lan", 5000, rules, private, limit_s=LIMIT_S) == ["10.0.0.1"]


@pytest.mark.parametrize("allowed", ["[::1]:5000", "[::1]", "::1"])
def test_an_ipv6_address_is_named_as_in_an_url(allowed: str):
    """In brackets, as the address of a mirror in the settings has it and as the error advises, or bare."""
    assert ["::1"] == AddressRules([allowed]).permitted("::1", 5000, ["::1"])
    with pytest.raises(AddressRefused, match=r'pull\.allowed_hosts = \["\[::1\]:5000"\]'):
        AddressRules().permitted("::1", 5000, ["::1"])


@pytest.mark.parametrize("allowed", ["registry.lan:5001", "lan", "", "*"])
async def test_permission_is_for_that_host_and_port_alone(allowed: str):
    """Another port or a part of the name is no permission, and the error says which setting would be."""

    async def private(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    with pytest.raises(AddressRefused, match=r"pull\.allowed_hosts"):
        await find_addresses("registry.lan", 5000, AddressRules([allowed]), private, limit_s=LIMIT_S)


async def test_a_name_that_nobody_knows_is_an_error_of_its_own():
    """An unknown name is no refusal, and is named."""
    with pytest.raises(DownloadFailed, match=r"no\.such\.invalid"):
        await find_addresses("no.such.invalid", 443, AddressRules(), resolve, limit_s=LIMIT_S)


async def test_a_slow_name_server_is_given_up():
    """A look-up has a limit of its own."""

    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(DownloadFailed, match="no answer within"):
        await find_addresses("slow.example", 443, AddressRules(), never, limit_s=0.01)
