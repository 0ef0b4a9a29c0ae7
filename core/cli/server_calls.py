"""The command line as a client of the running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from hoshikage.core.cli.serving import ServerDown
from hoshikage.core.cli.start import assembly, server_url
from hoshikage.core.errors import HoshikageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from hoshikage.core.kernel import Assembly

CONNECT_LIMIT_S = 5.0


class Refused(HoshikageError):
    """The server said no; its words are the message."""

    code = "refused"


def ask_server(
    method: str, path: str, port: int | None, *, here: Assembly | None = None, **parts: Any
) -> httpx.Response:
    """Ask the server, for as long as it takes.

    Args:
        method: of HTTP.
        path: with its leading slash.
        port: where it listens; `None` is what the settings say.
        here: what the command has assembled already.
        parts: of the request, as `httpx.request` takes them.

    Raises:
        ServerDown: there is none.
        Refused: in its words.
    """
    import httpx  # here, as the commands that ask no server need not wait for it

    url = server_url((here or assembly()).settings, port)
    limits = httpx.Timeout(None, connect=CONNECT_LIMIT_S)  # a big model takes its time
    try:
        response = httpx.request(method, f"{url}{path}", timeout=limits, trust_env=False, **parts)
    except httpx.HTTPError as error:
        raise ServerDown(f"no server answers at {url} ({error}); start one with `hoshikage serve`") from error
    if not response.headers.get("Content-Type", "").startswith(("application/json", "application/x-ndjson")):
        raise Refused(f"{response.url} answered {response.status_code} and no JSON; is it a Hoshikage?")
    if not response.is_success:
        raise Refused(_message(response) or f"{response.url} answered {response.status_code}")
    return response


def stream_lines(method: str, path: str, port: int | None, **parts: Any) -> Iterator[Any]:
    """Ask the server, and yield each JSON line of its answer as it comes; see `ask_server` for arguments and errors."""
    import httpx

    url = server_url(assembly().settings, port)
    limits = httpx.Timeout(None, connect=CONNECT_LIMIT_S)
    try:
        with (
            httpx.Client(timeout=limits, trust_env=False) as client,
            client.stream(method, f"{url}{path}", **parts) as response,
        ):
            if not response.is_success:
                response.read()
                raise Refused(_message(response) or f"{response.url} answered {response.status_code}")
            for line in response.iter_lines():
                found = orjson.loads(line)
                if "error" in found:
                    raise Refused(found["error"]["message"])
                yield found
    except httpx.HTTPError as error:
        raise ServerDown(f"no server answers at {url} ({error}); start one with `hoshikage serve`") from error


def _message(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return ""
    error = answer.get("error") if isinstance(answer, dict) else None
    return str((error.get("message") if isinstance(error, dict) else error) or "")
