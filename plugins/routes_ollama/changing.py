"""The routes that change what models there are: create, copy, delete, and the blobs that models are made of."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog
from quart import Blueprint, Response, request

from hoshikage.core.blobs import check_digest
from hoshikage.core.creation import NewModel
from hoshikage.core.errors import HoshikageError, InvalidRequest, NotSupported
from hoshikage.core.http.body import read_body
from hoshikage.core.http.stream import STREAM_HEADERS
from hoshikage.core.http.uploads import body_chunks, drain_body
from hoshikage.core.registry import OPENING_ROLES
from hoshikage.core.settings import ServerSettings
from hoshikage.plugins.routes_ollama.bodies import CopyBody, CreateBody, ModelBody
from hoshikage.plugins.routes_ollama.conversation import conversation
from hoshikage.plugins.routes_ollama.format import error_body, json_response, line
from hoshikage.plugins.routes_ollama.parse import model_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import Message, ServerApi

log = structlog.get_logger(__name__)

# What is still taken in of a body that is refused, so that its sender sees why.
DRAINED_BYTES = 64 << 20


def add_change_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Create, copy, delete."""

    @blueprint.post("/api/create")
    async def create() -> Response:
        body = await read_body(CreateBody)
        steps = server.store.create(new_model(body))
        if body.stream is not False:
            return await stream_steps(steps)
        async with aclosing(steps):
            *_, last = [step async for step in steps]
        return json_response({"status": last})

    @blueprint.post("/api/copy")
    async def copy() -> Response:
        body = await read_body(CopyBody)
        await server.store.copy(body.source, body.destination)
        return Response("", status=200)

    @blueprint.delete("/api/delete")
    async def delete() -> Response:
        await server.store.delete(model_of(await read_body(ModelBody)))
        return Response("", status=200)


def add_blob_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Whether a blob is here, and taking one in."""
    settings = server.settings.section(ServerSettings)

    @blueprint.route("/api/blobs/<digest>", methods=["HEAD"])
    async def has_blob(digest: str) -> Response:
        check_digest(digest)
        return Response("", status=200 if await server.store.has_blob(digest) else 404)

    @blueprint.post("/api/blobs/<digest>")
    async def take_blob(digest: str) -> Response:
        most, stall_s = settings.max_blob_bytes, settings.body_timeout_s
        try:
            check_digest(digest)
            chunks = body_chunks(max_bytes=most, stall_s=stall_s)
            announced = request.content_length or 0  # of what is over the bound, the pieces themselves say no
            is_new = await server.store.take_blob(digest, chunks, size_bytes=announced if announced <= most else 0)
        except HoshikageError:
            await drain_body(max_bytes=DRAINED_BYTES, stall_s=stall_s)
            raise
        if not is_new:
            await drain_body(max_bytes=most, stall_s=stall_s)
        return Response("", status=201 if is_new else 200)


def new_model(body: CreateBody) -> NewModel:
    """Translate the body of `/api/create`.

    Raises:
        NotSupported: it asks for what only Ollama does.
        InvalidRequest: a field has the right type but makes no sense.
    """
    name = model_of(body)
    if body.quantize or body.quantization:
        raise NotSupported(
            "quantize: this server does not quantise; make the file with llama.cpp's llama-quantize and send that",
            param="quantize",
        )
    if body.modelfile:
        raise NotSupported(
            "modelfile: its text is no longer sent; send its lines as from, files, parameters, template, system, "
            "messages and license",
            param="modelfile",
        )
    return NewModel(
        name=name,
        base=body.base or "",
        files=body.files,
        adapters=body.adapters,
        template=body.template,
        system=body.system,
        parameters=body.parameters,
        messages=None if body.messages is None else _opening(body, name),
        license="\n".join(body.license) if isinstance(body.license, list) else body.license,
    )


async def stream_steps(steps: AsyncGenerator[str, None]) -> Response:
    """Answer with a line for each step. What fails before the first one keeps its status code."""
    first = await anext(steps)
    response = Response(_lines(first, steps), content_type="application/x-ndjson", headers=STREAM_HEADERS)
    response.timeout = None  # Quart would cut the stream after a minute
    return response


async def _lines(first: str, steps: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(steps):
        try:
            yield line({"status": first})
            async for step in steps:
                yield line({"status": step})
        except HoshikageError as error:
            log.info("create_failed", code=error.code, reason=error.message)
            yield line(error_body(error))
        except Exception:  # a client must not take a stream that ends here for a success
            log.exception("create_failed")
            yield line(error_body(HoshikageError("internal error; the server's log has the details")))


def _opening(body: CreateBody, model: str) -> tuple[Message, ...]:
    messages = conversation(body.messages or (), model)
    for number, message in enumerate(messages):
        if message.role not in OPENING_ROLES or message.tool_calls:
            field = f"messages[{number}]"
            problem = f"{field}: an opening has texts of {', '.join(OPENING_ROLES)} only, and no calls"
            raise InvalidRequest(problem, param=field)
    return messages
