from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx
import pytest
from quart import Quart, request
from werkzeug.datastructures import Headers

from hoshikage.core.http.callers import caller_key, caller_of, host_allowed, host_of, origin_allowed, request_id_of

if TYPE_CHECKING:
    from tests.server import ServerProcess


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("example.com.", "example.com"),
        ("[::1]:8000", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        (":8000", ""),
        ("", ""),
        ("[::1", ""),
    ],
)
def test_the_host_is_read_from_its_header(header: str, host: str):
    """Port, brackets, case and a trailing dot do not matter."""
    assert host == host_of(header)


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("127.9.9.9", True),
        ("[::1]:8000", True),
        ("me.localhost", True),
        ("chat.example.com", True),
        ("evil.com", False),
        ("evil.com:8000", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.evil.com", False),
        (":8000", False),
        ("", False),
    ],
)
def test_a_loopback_server_answers_for_known_hosts_only(header: str, *, allowed: bool):
    """Only names of this machine and those that the settings allow are answered."""
    found = host_allowed(header, bound_to="127.0.0.1", allowed=["chat.example.com"])

    assert allowed == found


def test_an_open_server_answers_for_every_host():
    """A server on all interfaces cannot know its names."""
    assert host_allowed("anything.example", bound_to="0.0.0.0", allowed=[])


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://127.0.0.1", True),
        ("http://0.0.0.0:8080", True),
        ("app://obsidian.md", True),
        ("tauri://localhost", True),
        ("vscode-webview://abc", True),
        ("chrome-extension://abc", True),
        ("https://mine.example", True),
        ("https://server.example:8000", True),
        ("https://evil.com", False),
        ("null", False),
        ("http://[", False),
        ("http://[::1", False),
    ],
)
def test_origins_of_apps_and_this_machine_may_call(origin: str, *, allowed: bool):
    """Local pages, known apps, the own origin and allowed ones may call; other pages may not."""
    found = origin_allowed(origin, host_header="server.example:8000", allowed=["https://mine.example"])

    assert allowed == found


@pytest.mark.parametrize("header", [None, "", "a" * 65, "two words", "new\nline", 'quote"'])
def test_a_harmful_request_id_is_replaced(header: str | None):
    """Only short ids of harmless characters are taken over."""
    made = request_id_of(header)

    assert made != header
    assert len(made) == 32


KEYS = [
    {"Authorization": "Bearer s3cret"},
    {"authorization": "bearer  s3cret "},
    {"x-api-key": "s3cret"},
    {"api-key": "s3cret"},
]


@pytest.mark.parametrize("headers", KEYS)
def test_a_caller_is_known_by_its_key(headers: dict[str, str]):
    """Whoever sends a key is known by a fingerprint of it, in whatever header and from wherever it comes."""
    keys = {caller_key(Headers(headers), address) for address in ("10.0.0.1", "10.0.0.2")}

    assert keys == {hashlib.sha256(b"s3cret").hexdigest()[:16]}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic s3cret"}, {"x-api-key": " "}]
)
def test_a_caller_without_a_key_is_known_by_its_address(headers: dict[str, str]):
    """Where no key was sent, the address tells callers apart."""
    assert caller_key(Headers(headers), "10.0.0.1") == "10.0.0.1"


def test_keys_tell_callers_apart():
    """Two keys from one address are two callers."""
    assert caller_key(Headers({"x-api-key": "a"}), "10.0.0.1") != caller_key(Headers({"x-api-key": "b"}), "10.0.0.1")


@pytest.mark.parametrize("headers", KEYS)
async def test_the_key_itself_is_not_kept(headers: dict[str, str]):
    """What is known of a caller does not hold the key."""
    async with Quart(__name__).test_request_context("/", headers=headers):
        caller = caller_of(request)

    assert caller.key
    assert "s3cret" not in str(caller)


def test_dns_rebinding_is_refused(echo_server: ServerProcess):
    """A request that names a strange host is 403, in the protocol's shape."""
    answer = httpx.get(f"{echo_server.url}/v1/models", headers={"Host": "evil.com"})

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_refused"


def test_a_strange_page_is_refused(echo_server: ServerProcess):
    """A browser page of a strange origin is 403 and gets no CORS headers."""
    answer = httpx.get(f"{echo_server.url}/api/tags", headers={"Origin": "https://evil.com"})

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_preflight_lets_known_origins_in(echo_server: ServerProcess):
    """A preflight of a known origin gets 204 with the methods and headers that clients use."""
    answer = httpx.options(
        f"{echo_server.url}/v1/chat/completions",
        headers={
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-stainless-os",
        },
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Content-Type" in answer.headers["access-control-allow-headers"]
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
