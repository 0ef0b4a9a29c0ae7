"""Tools for templates that have no place for them: described in words, in front of the system message.

The engine finds what is said here under two names among the template's variables, which no template sees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage import ChatRequest, Tool

# The engine puts this text before the system message, and gives the template no tools.
TOOLS_AS_TEXT = "hoshikage_tools_as_text"
# The engine writes calls and results of the conversation so far as text, in the form given here.
CALLS_AS_TEXT = "hoshikage_calls_as_text"


@dataclass(frozen=True, slots=True)
class ToolText:
    """How tools are described, and how calls are written, in plain text.

    Attributes:
        opener: stands before a call.
        closer: stands after it.
        arguments: what the arguments are called in the JSON object between them.
        form: shows the model a call where it is no such object; the template then writes calls by itself.
    """

    opener: str = ""
    closer: str = ""
    arguments: str = "arguments"
    form: str = ""

    def variables(self, request: ChatRequest) -> dict[str, object]:
        """What the engine is told: nothing where neither tools nor calls occur."""
        variables: dict[str, object] = {}
        if request.tools and request.tool_choice.mode != "none":
            variables[TOOLS_AS_TEXT] = self.description(request)
        used = variables or any(message.tool_calls or message.role == "tool" for message in request.messages)
        if used and not self.form:
            variables[CALLS_AS_TEXT] = {"opener": self.opener, "closer": self.closer, "arguments": self.arguments}
        return variables

    def description(self, request: ChatRequest) -> str:
        """Tell the model which functions there are and how to call them."""
        example = json.dumps({"name": "function_name", self.arguments: {"argument_name": "value"}})
        lines = ["You can call these functions:", *map(_described, request.tools), ""]
        lines.append("To call a function, answer with its name and arguments in exactly this form, and nothing else:")
        lines.append(self.form or f"{self.opener}{example}{self.closer}")
        if request.parallel_tool_calls:
            lines.append("To call several functions, write the form once for each call.")
        if request.tool_choice.mode == "required":
            lines.append("You must call a function now.")
        elif request.tool_choice.mode == "named":
            lines.append(f"You must call the function {request.tool_choice.name} now.")
        return "\n".join(lines)


def _described(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return json.dumps({key: value for key, value in function.items() if value}, ensure_ascii=False)
