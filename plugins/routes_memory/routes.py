"""`/v1/memories`: each caller sees their own alone, by the key that they send and `X-Hoshikage-User`."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import orjson
from quart import Blueprint, Response, request

from hoshikage import Memory, Owner, RouteGroup
from hoshikage.core.contracts import owner_of
from hoshikage.core.errors import HoshikageError, InvalidRequest, MemoryUnavailable
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.core.http.stream import STREAM_HEADERS
from hoshikage.core.recall import NO_MEMORY
from hoshikage.plugins.routes_memory.bodies import Correction, Line, NewMemory, memory_row, recalled_row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from hoshikage import MemoryCheck, MemoryStore, ServerApi

DEFAULT_LIMIT: Final = 20
MOST: Final = 1000


def memory_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("memory", __name__)

    @blueprint.get("/v1/memories")
    async def memories() -> dict[str, Any]:
        """The newest, or with `q` those that fit it."""
        store, owner, query = _store(server), _owner(), request.args.get("q", "")
        limit = _limit()
        if query.strip():
            rows = [recalled_row(item) for item in await store.search(owner, query, limit=limit)]
        else:
            rows = [memory_row(memory) for memory in await store.newest(owner, limit=limit)]
        return {"object": "list", "data": rows}

    @blueprint.post("/v1/memories")
    async def add() -> tuple[dict[str, Any], int]:
        body = await read_body(NewMemory)
        return memory_row(await _store(server).add(_owner(), body.text, session=body.session)), 201

    @blueprint.patch("/v1/memories/<memory_id>")
    async def edit(memory_id: str) -> dict[str, Any]:
        body = await read_body(Correction)
        return memory_row(await _store(server).edit(_owner(), memory_id, body.text))

    @blueprint.delete("/v1/memories/<memory_id>")
    async def forget(memory_id: str) -> dict[str, Any]:
        await _store(server).forget(_owner(), memory_id)
        return {"id": memory_id, "object": "memory", "deleted": True}

    @blueprint.delete("/v1/memories")
    async def forget_all() -> dict[str, Any]:
        """Everything of the caller and user, without a trace."""
        return {"object": "list", "deleted": await _store(server).forget_all(_owner())}

    @blueprint.get("/v1/memories/stats")
    async def stats() -> dict[str, Any]:
        return cast("dict[str, Any]", msgspec.to_builtins(await _store(server).stats(_owner())))

    @blueprint.get("/v1/memories/export")
    async def export() -> Response:
        """JSON Lines, the oldest first."""
        return await _json_lines(_lines(_store(server), _owner()))

    @blueprint.post("/v1/memories/import")
    async def take() -> dict[str, Any]:
        """JSON Lines as `export` writes them, all or none."""
        body = cast("bytes", await request.get_data(as_text=False))
        memories = [_memory(number, line) for number, line in enumerate(body.splitlines(), 1)]
        written = await _store(server).take(_owner(), [memory for memory in memories if memory is not None])
        return {"object": "list", "imported": written}

    _add_upkeep(blueprint, server)
    return RouteGroup("memory", blueprint)


def _add_upkeep(blueprint: Blueprint, server: ServerApi) -> None:
    """The routes that look after the store as a whole."""

    @blueprint.post("/v1/memories/verify")
    async def verify() -> Response:
        """How far each check has come, as JSON Lines; it looks at everybody's, and shows numbers alone."""
        return await _json_lines(_check_lines(_store(server).verify()))

    @blueprint.post("/v1/memories/rebuild")
    async def rebuild() -> Response:
        """Make anew what is made from the memories; the answer is as that of `verify`."""
        return await _json_lines(_check_lines(_store(server).rebuild()))


def _store(server: ServerApi) -> MemoryStore:
    if server.memory is None:
        raise MemoryUnavailable(NO_MEMORY)
    return server.memory


def _owner() -> Owner:
    return owner_of(caller_of(request))


def _limit() -> int:
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise InvalidRequest(f"limit is {text[:40]!r}; it must be a whole number from 1 to {MOST}", param="limit")
    return int(text)


async def _lines(store: MemoryStore, owner: Owner) -> AsyncGenerator[bytes, None]:
    async for memory in store.export(owner):
        yield orjson.dumps(memory_row(memory)) + b"\n"


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for line in rest:
            yield line


async def _json_lines(lines: AsyncGenerator[bytes, None]) -> Response:
    first = await anext(lines, b"")  # what cannot be read at all gets the status of an error
    response = Response(_joined(first, lines), content_type="application/x-ndjson", headers=STREAM_HEADERS)
    response.timeout = None  # Quart would cut the stream after a minute
    return response


async def _check_lines(checks: AsyncIterator[MemoryCheck]) -> AsyncGenerator[bytes, None]:
    begun = False
    try:
        async for check in checks:
            begun = True
            yield orjson.dumps({"object": "memory.check", **msgspec.to_builtins(check)}) + b"\n"
    except HoshikageError as error:
        if not begun:
            raise
        yield orjson.dumps({"error": {"message": error.message, "code": error.code}}) + b"\n"


def _memory(number: int, line: bytes) -> Memory | None:
    if not line.strip():
        return None
    try:
        found = msgspec.json.decode(line, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"line {number} is no memory: {error}", param=f"line {number}") from error
    said_at = time.time() if found.said_at is None else found.said_at
    return Memory("", found.text, said_at, found.role, found.kind, found.session, found.request_id)
