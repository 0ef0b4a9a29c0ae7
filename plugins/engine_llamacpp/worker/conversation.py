"""From a conversation to its prompt: written as chat templates expect it, which is not the same for all of them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What chat formats say to the engine among the template's variables; no template sees it.
TOOLS_AS_TEXT = "hoshikage_tools_as_text"
CALLS_AS_TEXT = "hoshikage_calls_as_text"

_MISTRAL_ID_LENGTH = 9
_GAP = "\n\n"
_ASKS_FOR_NONE = re.compile(r"""(?<!\w)content(?:['"]\])?\s+is\s+(?:not\s+)?none\b""")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a conversation is written for one template.

    Attributes:
        text_arguments: the arguments of calls are JSON text, not objects: templates that join texts need it.
        null_content: a turn that only calls has no content at all, not an empty one.
        single_calls: every turn has one call at most, and its result follows it.
        short_ids: ids of calls have nine letters and digits, as Mistral's must.
        system_in_user: the system message stands in the first user turn, for templates that have no such role.
        alternating: neighbours of one role are one turn, for templates that insist on taking turns.
    """

    text_arguments: bool = False
    null_content: bool = False
    single_calls: bool = False
    short_ids: bool = False
    system_in_user: bool = False
    alternating: bool = False


def build_prompt(template: ChatTemplate, frame: frames.Generate) -> str:
    """Render a request's conversation through the model's template.

    A template that fails on one way of writing it is given the next; which way is right cannot be known before.

    Raises:
        TemplateRefused: the template accepts none of them; the reason is that of the plainest.
    """
    variables = dict(frame.template_variables)
    tool_text = variables.pop(TOOLS_AS_TEXT, None)
    call_form = variables.pop(CALLS_AS_TEXT, None)
    turns = _calls_as_text(frame.turns, call_form) if isinstance(call_form, dict) else frame.turns
    tools = [_tool(tool) for tool in frame.tools]
    if isinstance(tool_text, str):
        turns, tools = _with_instructions(turns, tool_text), []
    manner: Manner | None = _first_manner(template.source)
    refusals: list[TemplateRefused] = []
    while manner is not None:
        try:
            return template.render(_messages(turns, manner), tools=tools, variables=variables)
        except TemplateRefused as error:
            refusals.append(error)
            manner = _next_manner(manner, error, turns)
    raise refusals[0]


def _first_manner(source: str) -> Manner:
    """What a template's source tells: without it, some turns would be lost or written twice, and nothing raised."""
    return Manner(null_content=_ASKS_FOR_NONE.search(source) is not None, single_calls="tool_calls[0]" in source)


def _next_manner(manner: Manner, error: TemplateRefused, turns: Sequence[frames.Turn]) -> Manner | None:
    """What to try after a refusal; `None` if nothing is left that could make a difference."""
    calls = any(turn.tool_calls for turn in turns)
    if calls and isinstance(error.__cause__, TypeError):
        if not manner.text_arguments:
            return replace(manner, text_arguments=True)
        return replace(manner, null_content=False) if manner.null_content else None
    if not isinstance(error.__cause__, TemplateRefused):
        return None
    if "ID" in str(error) and not manner.short_ids:
        return replace(manner, short_ids=True)
    if not manner.system_in_user and any(turn.role == "system" for turn in turns):
        return replace(manner, system_in_user=True)
    neighbours = itertools.pairwise(_system_in_user(turns))
    if not manner.alternating and any(one.role == other.role for one, other in neighbours):
        return replace(manner, alternating=True)
    return None


def _messages(turns: Sequence[frames.Turn], manner: Manner) -> list[dict[str, Any]]:
    if manner.single_calls:
        turns = _single_calls(turns)
    if manner.system_in_user:
        turns = _system_in_user(turns)
    if manner.alternating:
        turns = _alternating(turns)
    return [_message(turn, manner) for turn in turns]


def _message(turn: frames.Turn, manner: Manner) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.name is not None:
        message["name"] = turn.name
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
        # gpt-oss calls it so, and refuses it beside the content of a turn that calls.
        if not (turn.tool_calls and turn.content):
            message["thinking"] = turn.reasoning
    if turn.tool_calls:
        message["tool_calls"] = [_call(call, manner) for call in turn.tool_calls]
        if manner.null_content and not turn.content:
            message["content"] = None
    if turn.role == "tool":
        message["tool_call_id"] = _id(turn.tool_call_id, manner)
    return message


def _call(call: frames.ToolCall, manner: Manner) -> dict[str, Any]:
    arguments = call.arguments if manner.text_arguments else _Arguments.of(call.arguments)
    function = {"name": call.name, "arguments": arguments}
    return {"id": _id(call.id, manner), "type": "function", "function": function}


class _Arguments(dict[str, Any]):
    """A JSON object that is JSON also where a template writes it down without further ado."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> _Arguments | str:
        """What JSON text says; the text itself where it is no object, as of a call that broke off."""
        try:
            value = json.loads(text or "{}")
        except ValueError:
            return text
        return cls(value) if isinstance(value, dict) else text


def _id(call_id: str, manner: Manner) -> str:
    short = len(call_id) == _MISTRAL_ID_LENGTH and call_id.isascii() and call_id.isalnum()
    if short or not manner.short_ids:
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:_MISTRAL_ID_LENGTH]


def _tool(tool: frames.Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _with_instructions(turns: Sequence[frames.Turn], text: str) -> list[frames.Turn]:
    """Put a text before the system message, which is added where there is none."""
    if turns and turns[0].role == "system":
        return [_changed(turns[0], content=_joined((text, turns[0].content))), *turns[1:]]
    return [frames.Turn("system", text), *turns]


def _calls_as_text(turns: Iterable[frames.Turn], form: Mapping[str, Any]) -> list[frames.Turn]:
    """Write calls into the assistant's text, and their results as the user's, for templates without tools."""
    written: list[frames.Turn] = []
    for role, group in itertools.groupby(turns, lambda turn: turn.role):
        if role == "tool":
            results = (f"<tool_response>\n{turn.content}\n</tool_response>" for turn in group)
            written.append(frames.Turn("user", "\n".join(results)))
        else:
            written += [_with_calls_in_content(turn, form) for turn in group]
    return written


def _with_calls_in_content(turn: frames.Turn, form: Mapping[str, Any]) -> frames.Turn:
    calls = "\n".join(_call_text(call, form) for call in turn.tool_calls)
    return _changed(turn, content=_joined((turn.content, calls)), tool_calls=[]) if calls else turn


def _call_text(call: frames.ToolCall, form: Mapping[str, Any]) -> str:
    key = str(form.get("arguments", "arguments"))
    text = json.dumps({"name": call.name, key: _Arguments.of(call.arguments)}, ensure_ascii=False)
    return f"{form.get('opener', '')}{text}{form.get('closer', '')}"


def _single_calls(turns: Sequence[frames.Turn]) -> list[frames.Turn]:
    """Take turns with several calls apart, each call with its result behind it."""
    written: list[frames.Turn] = []
    waiting: dict[str, frames.Turn] = {}
    for turn in turns:
        if turn.role == "tool":
            if (call := waiting.pop(turn.tool_call_id, None)) is not None:
                written.append(call)
        else:
            written += waiting.values()
            waiting = {}
        if len(turn.tool_calls) < 2:
            written.append(turn)
            continue
        first, *others = turn.tool_calls
        written.append(_changed(turn, tool_calls=[first]))
        waiting = {call.id: frames.Turn("assistant", "", tool_calls=[call]) for call in others}
    return [*written, *waiting.values()]


def _system_in_user(turns: Iterable[frames.Turn]) -> list[frames.Turn]:
    """Put what the system says before what the user says next."""
    written: list[frames.Turn] = []
    waiting: list[str] = []
    for turn in turns:
        if turn.role == "system":
            waiting.append(turn.content)
        elif turn.role == "user" and waiting:
            written.append(_changed(turn, content=_joined((*waiting, turn.content))))
            waiting.clear()
        else:
            written.append(turn)
    return [*written, frames.Turn("user", _joined(waiting))] if waiting else written


def _alternating(turns: Iterable[frames.Turn]) -> list[frames.Turn]:
    """Join neighbours of one role, except where a call or its result stands by itself."""
    written: list[frames.Turn] = []
    for turn in turns:
        before = written[-1] if written else None
        if before and before.role == turn.role != "tool" and not (before.tool_calls or turn.tool_calls):
            written[-1] = _changed(before, content=_joined((before.content, turn.content)))
        else:
            written.append(turn)
    return written


def _joined(texts: Iterable[str]) -> str:
    return _GAP.join(text for text in texts if text)


def _changed(turn: frames.Turn, **changes: Any) -> frames.Turn:
    return msgspec.structs.replace(turn, **changes)
