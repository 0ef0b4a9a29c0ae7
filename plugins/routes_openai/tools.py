"""The functions on offer and the choice among them, under their new names and their old ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage import Tool, ToolChoice
from hoshikage.core.errors import InvalidRequest, NotSupported

if TYPE_CHECKING:
    from hoshikage.plugins.routes_openai.bodies import ChatBody, FunctionBody, FunctionRef, NamedChoice, ToolBody

CHOICES = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What the model may call.

    Attributes:
        parallel: whether one answer may hold several calls.
        field: where the functions stood in the body.
    """

    tools: tuple[Tool, ...]
    choice: ToolChoice
    parallel: bool
    field: str


def is_old_style(body: ChatBody) -> bool:
    """Whether the client speaks of functions, not of tools, and reads the answer in those words."""
    return bool(body.functions)


def offer(body: ChatBody) -> Offer:
    """The functions of a body.

    Raises:
        NotSupported: a tool is no function.
        InvalidRequest: the choice is unknown or names no function on offer.
    """
    if body.functions:
        if body.tools:
            raise InvalidRequest("functions: this is the old name of tools; send only one of them", param="functions")
        tools = tuple(_tool(f, f"functions[{i}]") for i, f in enumerate(body.functions))
        choice = _choice(body.function_call, "function_call", tools, ("auto", "none"))
        return Offer(tools, choice, parallel=False, field="functions")
    tools = tuple(_tool(_function(t, f"tools[{i}]"), f"tools[{i}].function") for i, t in enumerate(body.tools or ()))
    choice = _choice(_wanted(body.tool_choice), "tool_choice", tools, tuple(CHOICES))
    return Offer(tools, choice, parallel=body.parallel_tool_calls is not False, field="tools")


def _function(body: ToolBody, field: str) -> FunctionBody:
    if body.type != "function":
        raise NotSupported(
            f"{field}.type: tools of type {body.type[:40]!r} are not supported, only 'function'", param=f"{field}.type"
        )
    if body.function is None:
        raise InvalidRequest(f"{field}.function: this field is required", param=f"{field}.function")
    return body.function


def _tool(body: FunctionBody, field: str) -> Tool:
    parameters = body.parameters or {}
    if parameters.get("type", "object") != "object":
        raise InvalidRequest(
            f"{field}.parameters: the schema must be of type 'object', not {str(parameters['type'])[:40]!r}",
            param=f"{field}.parameters",
        )
    return Tool(body.name, body.description or "", parameters, bool(body.strict))


def _wanted(choice: str | NamedChoice | None) -> str | FunctionRef | None:
    if choice is None or isinstance(choice, str):
        return choice
    if choice.type != "function":
        raise NotSupported(
            f"tool_choice.type: {choice.type[:40]!r} is not supported, only 'function'", param="tool_choice.type"
        )
    if choice.function is None:
        raise InvalidRequest("tool_choice.function: this field is required", param="tool_choice.function")
    return choice.function


def _choice(
    wanted: str | FunctionRef | None, field: str, tools: tuple[Tool, ...], words: tuple[str, ...]
) -> ToolChoice:
    if wanted is None:
        return ToolChoice()
    if not isinstance(wanted, str):
        if wanted.name not in {t.name for t in tools}:
            names = ", ".join(t.name for t in tools[:20]) or "none at all"
            raise InvalidRequest(
                f"{field}: there is no function {wanted.name[:128]!r} on offer; there are: {names}", param=field
            )
        return ToolChoice("named", wanted.name)
    if wanted not in words:
        raise InvalidRequest(
            f"{field}: {wanted[:40]!r} is unknown; send {', '.join(words)} or the name of a function as an object",
            param=field,
        )
    if wanted == "required" and not tools:
        raise InvalidRequest(f"{field}: a call is required, but there are no tools; send some in tools", param=field)
    return CHOICES[wanted]
