"""Who may call: the `Host` and `Origin` checks that keep strange web pages out, CORS, and the request id."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
import uuid
from typing import TYPE_CHECKING, cast, get_args
from urllib.parse import urlsplit

from hoshikage.core.contracts import Caller, MemoryMode, MemoryUse
from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection

    from quart import Request
    from werkzeug.datastructures import Headers

# Desktop apps, editors and browser extensions that people use as clients.
APP_SCHEMES = frozenset(
    {
        "app",
        "file",
        "tauri",
        "vscode-webview",
        "vscode-file",
        "chrome-extension",
        "moz-extension",
        "safari-web-extension",
    }
)
ALLOW_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOW_HEADERS = (
    "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, OpenAI-Beta, X-Request-Id, "
    "X-Hoshikage-Memory, X-Hoshikage-User, X-Hoshikage-Project, X-Hoshikage-Session"
)
STAINLESS = "x-stainless-"

KEY_DIGITS = 16
MAX_NAME_CHARS = 256
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of surrogate pairs, ends of lines and paragraphs

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def is_local(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The host in a `Host` header: without port, brackets and trailing dot, in lower case."""
    try:
        host = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
    return host.rstrip(".").lower()


def host_allowed(header: str, *, bound_to: str, allowed: Collection[str]) -> bool:
    """Whether to answer a request that names this host.

    A page on the web can point a name of its own at 127.0.0.1 and then read what it likes (DNS rebinding). So a
    server on a loopback address answers only for names that are known to mean it.
    """
    if "*" in allowed or not is_local(bound_to):
        return True
    host = host_of(header)
    return bool(host) and (is_local(host) or host in allowed)


def origin_allowed(origin: str, *, host_header: str, allowed: Collection[str]) -> bool:
    """Whether a browser page of this origin may call."""
    if "*" in allowed or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme in APP_SCHEMES:
        return True
    return is_local(host) or host == "0.0.0.0" or parts.netloc == host_header  # noqa: S104  an origin, not a bind


def cors_headers(origin: str, requested: str) -> dict[str, str]:
    """The headers that let a browser hand the answer to an allowed page."""
    extra = [h for h in requested.split(",") if h.strip().lower().startswith(STAINLESS)]
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": ALLOW_METHODS,
        "Access-Control-Allow-Headers": ", ".join([ALLOW_HEADERS, *(h.strip() for h in extra)]),
        "Access-Control-Expose-Headers": "X-Request-Id, Retry-After",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


def request_id_of(header: str | None) -> str:
    """The client's own id where it is harmless in a log, or else a new one."""
    return header if header and _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex


def caller_of(request: Request, *, session_id: str = "") -> Caller:
    """Who sent a request, as far as HTTP says.

    Args:
        request: with its headers.
        session_id: the conversation as the body names it; the header `X-Hoshikage-Session` wins.

    Raises:
        InvalidRequest: a header of long-term memory is not allowed.
    """
    address = request.remote_addr or ""
    agent = request.headers.get("User-Agent", "")[:200]
    use = memory_use(request.headers, session_id=session_id)
    return Caller(address, agent, key=caller_key(request.headers, address), memory=use)


def memory_use(headers: Headers, *, session_id: str = "") -> MemoryUse:
    """What the headers say of long-term memory, and the body, see `caller_of`.

    Raises:
        InvalidRequest: a value is not allowed.
    """
    mode = headers.get("X-Hoshikage-Memory", "").strip().lower()
    if mode not in {"", *get_args(MemoryMode)}:
        raise InvalidRequest(
            f"the header X-Hoshikage-Memory is {mode[:40]!r}; it must be off, read or on", param="X-Hoshikage-Memory"
        )
    user, project, session = (_name(headers, f"X-Hoshikage-{name}") for name in ("User", "Project", "Session"))
    return MemoryUse(cast("MemoryMode | None", mode or None), user, project, session or session_id)


def check_name(name: str, field: str) -> str:
    """A name that a client gives to a person or a conversation, without the blanks around it.

    Raises:
        InvalidRequest: it is too long, or more than a line of text.
    """
    name = name.strip(" \t")
    if problem := problem_of_name(name):
        raise InvalidRequest(f"{field}: {problem}", param=field.rpartition(" ")[2])
    return name


def problem_of_name(name: str) -> str:
    """What is wrong with a name; empty where nothing is."""
    if len(name) > MAX_NAME_CHARS:
        return f"it has {len(name)} characters; {MAX_NAME_CHARS} are allowed"
    for place, character in enumerate(name):
        if unicodedata.category(character) in UNPRINTABLE:
            return f"it has {character!a} at place {place}; a name is one line of text"
    return ""


def _name(headers: Headers, header: str) -> str:
    """A name from a header, whose bytes are UTF-8; Quart reads them as Latin-1."""
    try:
        name = headers.get(header, "").encode("latin-1").decode()
    except UnicodeError as error:
        raise InvalidRequest(f"the header {header} is no UTF-8: {error}", param=header) from error
    return check_name(name, f"the header {header}")


def caller_key(headers: Headers, address: str) -> str:
    """What tells callers apart: a fingerprint of the key that they sent, or else their address.

    The key is looked for where clients of the three protocols put it: `Authorization: Bearer`, `x-api-key` and
    `api-key`.
    """
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    secret = bearer or headers.get("x-api-key", "").strip() or headers.get("api-key", "").strip()
    return hashlib.sha256(secret.encode()).hexdigest()[:KEY_DIGITS] if secret else address
