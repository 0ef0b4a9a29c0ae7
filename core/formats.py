"""Which chat format a model has, and what its format makes of a request."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.errors import HoshikageError, InvalidRequest, NotSupported, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hoshikage.core.contracts import ChatFormat, ChatRequest, Constraint, Directions, Tool

log = structlog.get_logger(__name__)

# Variables by which chat formats speak to the engine's template; clients have no business there.
PRIVATE_PREFIX = "hoshikage_"


def choose_format(formats: Iterable[ChatFormat], template: str) -> ChatFormat | None:
    """The first format that recognises a template, of those in their order; one that raises is passed over."""
    for chat_format in formats:
        try:
            if chat_format.recognises(template):
                return chat_format
        except Exception:
            log.exception("chat_format_failed", chat_format=chat_format.name)
    return None


def format_capabilities(chat_format: ChatFormat | None, template: str) -> frozenset[str]:
    """What models of this format and template can do besides text; nothing where the format fails."""
    if chat_format is None:
        return frozenset()
    try:
        return chat_format.capabilities(template)
    except Exception:
        log.exception("chat_format_failed", chat_format=chat_format.name)
        return frozenset()


def prepare(request: ChatRequest, chat_format: ChatFormat | None, template: str) -> ChatRequest:
    """The request as the engine needs it: with directions, and with a constraint where a tool must be called.

    A raw prompt has no format: it goes through as it stands.

    Raises:
        InvalidRequest: `tool_choice` asks for what is not offered, or two fields ask for two forms of answer.
        NotSupported: the model cannot do what is asked.
    """
    if request.prompt is not None:
        return request
    must_call = _tools_to_call(request)
    if request.tool_choice.mode == "none":
        request = replace(request, tools=())
    if chat_format is None:
        if request.tools:
            raise NotSupported(
                f'"{request.model}" does not support tools: no plug-in offers a chat format for it', param="tools"
            )
        return request
    if must_call:
        request = replace(request, constraint=_tool_constraint(request, chat_format, must_call))
    return replace(request, directions=_directions(request, chat_format, template))


def _tools_to_call(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools of which one must be called; empty where none must."""
    choice = request.tool_choice
    if choice.mode not in ("required", "named"):
        return ()
    if not request.tools:
        raise InvalidRequest(
            "tool_choice asks for a call, but the request offers no tools; add tools or leave out tool_choice",
            param="tool_choice",
        )
    if choice.mode == "required":
        return request.tools
    named = tuple(tool for tool in request.tools if tool.name == choice.name)
    if not named:
        offered = ", ".join(tool.name for tool in request.tools)
        raise InvalidRequest(
            f"tool_choice names {choice.name!r}, but the tools offered are: {offered}", param="tool_choice"
        )
    return named


def _tool_constraint(request: ChatRequest, chat_format: ChatFormat, tools: tuple[Tool, ...]) -> Constraint:
    if request.constraint is not None:
        raise InvalidRequest(
            f"{request.constraint.param} and tool_choice {request.tool_choice.mode!r} both say what form the answer "
            "has; leave one of them out",
            param=request.constraint.param,
        )
    parallel = request.parallel_tool_calls and request.tool_choice.mode == "required"
    with _answering_for(chat_format):
        return chat_format.tool_constraint(tools, parallel=parallel)


def _directions(request: ChatRequest, chat_format: ChatFormat, template: str) -> Directions:
    with _answering_for(chat_format):
        directions = chat_format.directions(template, request)
    theirs = {k: v for k, v in request.template_variables.items() if not k.startswith(PRIVATE_PREFIX)}
    variables = {**directions.template_variables, **theirs}
    return replace(directions, template_variables=variables)


@contextmanager
def _answering_for(chat_format: ChatFormat) -> Iterator[None]:
    """Name the format whose code fails in an unexpected way, in the log and to the client."""
    try:
        yield
    except HoshikageError:
        raise
    except Exception as error:
        log.exception("chat_format_failed", chat_format=chat_format.name)
        raise PluginError(
            f"the chat format {chat_format.name!r} failed on this request; the server's log has the details"
        ) from error
