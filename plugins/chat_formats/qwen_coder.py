"""Qwen3-Coder: a call in tags, with one tag for each argument, whose value is plain text.

Source: the chat template of Qwen3-Coder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hoshikage import Constraint
from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.arguments import decoded
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import EMPTY_LINE, argument, text, tool_grammar
from hoshikage.plugins.chat_formats.hermes import CLOSER, OPENER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hoshikage import Tool
    from hoshikage.plugins.chat_formats.source import Steps

FUNCTION, PARAMETER = "<function=", "<parameter="
FUNCTION_END, PARAMETER_END = "</function>", "</parameter>"
_VALUE_END = f"\n{PARAMETER_END}"


class QwenCoderParser(AnswerParser):
    """Reads answers of Qwen3-Coder. Each argument is handed out whole: its type is not known before its end."""

    openers = (OPENER, FUNCTION)

    def calls(self) -> Steps[bool]:
        """Read one call; the outer tag may be missing."""
        yield from self.source.space()
        yield from self.source.one_of(FUNCTION)
        name = yield from self._name()
        if name is None or not self.is_callable(name):
            return False
        self.begin_call(name)
        self.arguments("{")
        if (yield from self._parameters(_properties(self.tools.get(name)))):
            self.arguments("}")
            yield from self.source.space()
            yield from self.source.one_of(CLOSER)
        return True

    def _name(self) -> Steps[str | None]:
        parts: list[str] = []
        found = yield from self.source.until((">", "\n"), parts.append)
        return "".join(parts) if found == ">" else None

    def _parameters(self, schemas: Mapping[str, object]) -> Steps[bool]:
        separator = ""
        while True:
            yield from self.source.space()
            found = yield from self.source.one_of(PARAMETER, FUNCTION_END)
            if found != PARAMETER:
                return found == FUNCTION_END
            name = yield from self._name()
            value: list[str] = []
            if name is None or not (yield from self.source.until((PARAMETER_END,), value.append)):
                return False
            written = _json("".join(value).removeprefix("\n").removesuffix("\n"), schemas.get(name))
            self.arguments(f"{separator}{json.dumps(name, ensure_ascii=False)}: {written}")
            separator = ", "


class QwenCoderFormat(TemplateFormat):
    """The format of Qwen3-Coder."""

    name = "qwen_coder"
    parser_class = QwenCoderParser
    markers = (OPENER, CLOSER)

    def recognises(self, template: str) -> bool:
        """Whether the template asks for tags around functions and parameters."""
        return FUNCTION in template and PARAMETER in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """Tagged calls, with the parameters in the order of the schema. Only enumerations bind plain text."""

        def call(tool: Tool) -> str:
            begin = f"{text(OPENER)} {text(f'{chr(10)}{FUNCTION}{tool.name}>{chr(10)}')}"
            parameters = " ".join(_parameter(tool, name, schema) for name, schema in _properties(tool).items())
            return f"{begin} {parameters} {text(f'{FUNCTION_END}{chr(10)}')} {text(CLOSER)}"

        grammar = tool_grammar(tools, call, start=f"{EMPTY_LINE} calls", parallel=parallel, more=text("\n"))
        words = f"words[suffix={text(PARAMETER_END)}]: /(?s:.*)/\n"
        return Constraint(grammar.kind, grammar.source + words, param=grammar.param)


def _parameter(tool: Tool, name: str, schema: object) -> str:
    """The grammar of one parameter; a question mark stands after those that may be left out."""
    if _is_text(schema):
        choices = [str(choice) for choice in schema.get("enum", ())] if isinstance(schema, dict) else []
        value = " | ".join(text(f"{choice}{_VALUE_END}") for choice in choices) or "words"
    else:
        value = f"{argument(tool, name)} {text(_VALUE_END)}"
    required = tool.parameters.get("required")
    mark = "" if isinstance(required, list | tuple) and name in required else "?"
    return f"({text(f'{PARAMETER}{name}>{chr(10)}')} ({value}) {text(chr(10))}){mark}"


def _properties(tool: Tool | None) -> Mapping[str, object]:
    properties = tool.parameters.get("properties") if tool else None
    return properties if isinstance(properties, dict) else {}


def _is_text(schema: object) -> bool:
    """Whether a value of this schema is text for certain, so that what looks like JSON is none."""
    return isinstance(schema, dict) and schema.get("type") == "string"


def _json(value: str, schema: object) -> str:
    """The JSON text of a value: as it stands if it may be JSON and is, else as a string."""
    is_json = not _is_text(schema) and (value == "null" or decoded(value) is not None)
    return value if is_json else json.dumps(value, ensure_ascii=False)
