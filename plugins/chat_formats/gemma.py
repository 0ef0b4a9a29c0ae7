"""Gemma 3: a JSON object, often in a fence of backquotes.

Gemma has no tokens for tools and its template no place for them; Google documents prompts that describe a form of
calls instead. This is the second of these, `{"name": function name, "parameters": dictionary of argument name and
its value}`; the other, calls in Python's syntax, cannot say all that JSON schemas allow.
Source: https://ai.google.dev/gemma/docs/capabilities/function-calling
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import named_arguments, text, tool_grammar
from hoshikage.plugins.chat_formats.json_call import read_calls
from hoshikage.plugins.chat_formats.tools_as_text import ToolText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

FENCE = "```"


class GemmaParser(AnswerParser):
    """Reads answers of Gemma. An object is a call only if it names a function that was offered."""

    openers = (f"{FENCE}json", f"{FENCE}tool_code", f"{FENCE}tool_call")
    bare = True
    strangers = False

    def calls(self) -> Steps[bool]:
        """Read objects and the end of the fence."""
        begun = yield from read_calls(self, separators=(",", ";"))
        if begun:
            yield from self.source.space()
            yield from self.source.one_of(FENCE)
        return begun


class GemmaFormat(TemplateFormat):
    """The format of Gemma 2 and 3, whose templates do not mention tools."""

    name = "gemma"
    parser_class = GemmaParser
    tool_text = ToolText(opener=f"{FENCE}json\n", closer=f"\n{FENCE}", arguments="parameters")

    def recognises(self, template: str) -> bool:
        """Whether the template has Gemma's turns, and no tools."""
        return "<start_of_turn>" in template and not self.renders_tools(template)

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """One fenced object for each call."""

        def call(tool: Tool) -> str:
            fenced = named_arguments(tool, key="parameters")
            return f"{text(f'{FENCE}json')} {text(chr(10))} {fenced} {text(chr(10))} {text(FENCE)}"

        return tool_grammar(tools, call, start="calls", parallel=parallel, more=text("\n"))
