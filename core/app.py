"""The Quart application: the routes of the plug-ins, one gate in front of them, and errors in their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson
import structlog
from quart import Quart, Response, g, request
from quart.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from hoshikage.core.errors import BodyTooLarge, HoshikageError, HostRefused, InvalidRequest, PluginError
from hoshikage.core.http.callers import cors_headers, host_allowed, origin_allowed, request_id_of
from hoshikage.core.http.stream import EXTENSION, Streams
from hoshikage.core.http.uploads import FlowingConnection, FlowingRequest
from hoshikage.core.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hoshikage.core.contracts import RouteGroup
    from hoshikage.core.kernel import Kernel

log = structlog.get_logger(__name__)


class NoSuchRoute(HoshikageError):
    """The path is unknown."""

    status = 404
    code = "not_found"


class WrongMethod(HoshikageError):
    """The path is known, but not with this method."""

    status = 405
    code = "method_not_allowed"


class BodyTooSlow(HoshikageError):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"
    should_retry = True


def build_app(kernel: Kernel, *, bound_to: str) -> Quart:
    """Build the web application.

    Args:
        kernel: what the routes talk to; it need not be started yet.
        bound_to: the address that the server listens on; a loopback one makes the `Host` check strict.

    Raises:
        PluginError: two groups of routes claim one path and method.
    """
    settings = kernel.settings.section(ServerSettings)
    app = Quart("hoshikage", static_folder=None)
    app.request_class = FlowingRequest
    app.asgi_http_class = FlowingConnection
    app.json = _PlainJson(app)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        BODY_TIMEOUT=settings.body_timeout_s,
        RESPONSE_TIMEOUT=None,  # it would cut long answers; stalled clients are cut by `Streams`
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.extensions[EXTENSION] = Streams(settings)
    groups = kernel.manager.route_groups(kernel)
    _register(app, groups)
    _Gate(settings, bound_to).install(app)
    _ErrorShapes(groups).install(app)
    return app


class _PlainJson(DefaultJSONProvider):
    """Writes Japanese as it is, half as long as escaped, and keys in the order that the protocols show them."""

    ensure_ascii = False
    sort_keys = False


def _register(app: Quart, groups: Sequence[RouteGroup]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for group in groups:
        before = {id(rule) for rule in app.url_map.iter_rules()}
        app.register_blueprint(group.blueprint)
        for rule in [r for r in app.url_map.iter_rules() if id(r) not in before]:
            for method in rule.methods or ():
                other = owners.setdefault((rule.rule, method), group.name)
                if other != group.name:
                    raise PluginError(
                        f"the route groups {other!r} and {group.name!r} both serve {method} {rule.rule}; disable "
                        "one of the plug-ins with plugins.disabled"
                    )


class _Gate:
    """What every request passes: its id, the `Host` and `Origin` checks, CORS."""

    def __init__(self, settings: ServerSettings, bound_to: str) -> None:
        self._settings = settings
        self._bound_to = bound_to

    def install(self, app: Quart) -> None:
        app.before_request(self.enter)
        app.after_request(self.leave)

    async def enter(self) -> Response | None:
        g.request_id = request_id_of(request.headers.get("X-Request-Id"))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        host = request.headers.get("Host", "")
        if not host_allowed(host, bound_to=self._bound_to, allowed=self._settings.allowed_hosts):
            raise HostRefused(
                f"this server does not answer for the host {host!r}; name it in server.allowed_hosts to allow it"
            )
        origin = request.headers.get("Origin")
        if origin and not origin_allowed(origin, host_header=host, allowed=self._settings.cors_origins):
            raise HostRefused(
                f"pages of the origin {origin!r} may not call; name it in server.cors_origins to allow it"
            )
        if request.method == "OPTIONS":
            return Response("", status=204)
        return None

    async def leave(self, response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        origin = request.headers.get("Origin")
        if origin and response.status_code != HostRefused.status:
            requested = request.headers.get("Access-Control-Request-Headers", "")
            response.headers.update(cors_headers(origin, requested))
        return response


class _ErrorShapes:
    """Turns every error into JSON, in the shape of the protocol that the path belongs to."""

    def __init__(self, groups: Sequence[RouteGroup]) -> None:
        shaped = [(prefix, g.error_body) for g in groups if g.error_body for prefix in g.prefixes]
        self._shapes = sorted(shaped, key=lambda s: len(s[0]), reverse=True)

    def install(self, app: Quart) -> None:
        app.register_error_handler(HoshikageError, self.known)
        app.register_error_handler(HTTPException, self.http)
        app.register_error_handler(Exception, self.unknown)

    async def known(self, error: HoshikageError) -> Response:
        log.info("request_refused", path=request.path, status=error.status, code=error.code, reason=error.message)
        return self._respond(error)

    async def http(self, error: HTTPException) -> Response:
        return await self.known(_named(error))

    async def unknown(self, error: Exception) -> Response:
        log.error("request_failed", path=request.path, exc_info=error)
        return self._respond(
            HoshikageError(f"internal error; the server's log has the details under request id {g.request_id}")
        )

    def _respond(self, error: HoshikageError) -> Response:
        response = Response(
            orjson.dumps(self._body(error)),
            status=error.status,
            content_type="application/json; charset=utf-8",
        )
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        if not error.should_retry:
            response.headers["X-Should-Retry"] = "false"
        return response

    def _body(self, error: HoshikageError) -> Mapping[str, object]:
        for prefix, shape in self._shapes:
            if request.path.startswith(prefix) and shape is not None:
                return shape(error)
        return {"error": error.message}


def _named(error: HTTPException) -> HoshikageError:
    path = f"{request.method} {request.path}"
    match error.code:
        case 404:
            return NoSuchRoute(f"there is no route {path}")
        case 405:
            allowed = ", ".join(sorted(cast("Sequence[str]", getattr(error, "valid_methods", None) or [])))
            return WrongMethod(f"{path} is not allowed; allowed: {allowed or 'other methods'}")
        case 408:
            return BodyTooSlow("the request body did not arrive in time (server.body_timeout_s)")
        case 413:
            return BodyTooLarge(
                "the request body is larger than server.max_body_bytes, or the blob than server.max_blob_bytes"
            )
        case _:
            return InvalidRequest(error.description or error.name)
