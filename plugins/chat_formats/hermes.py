"""Hermes, Qwen 2.5 and Qwen 3: a JSON object between `<tool_call>` and `</tool_call>`.

Source: https://github.com/NousResearch/Hermes-Function-Calling, and the chat templates of Qwen 2.5 and Qwen 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import EMPTY_LINE, named_arguments, text, tool_grammar
from hoshikage.plugins.chat_formats.json_call import JsonCall
from hoshikage.plugins.chat_formats.tools_as_text import ToolText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

OPENER, CLOSER = "<tool_call>", "</tool_call>"


class HermesParser(AnswerParser):
    """Reads answers of Hermes and Qwen."""

    openers = (OPENER,)

    def calls(self) -> Steps[bool]:
        """Read one call and its closing tag."""
        yield from self.source.space()
        begun = yield from JsonCall(self).read()
        if begun:
            yield from self.source.space()
            yield from self.source.one_of(CLOSER)
        return begun


class HermesFormat(TemplateFormat):
    """The format of Hermes and Qwen."""

    name = "hermes"
    parser_class = HermesParser
    markers = (OPENER, CLOSER)
    tool_text = ToolText(opener=f"{OPENER}\n", closer=f"\n{CLOSER}")  # some templates know tools by another name

    def recognises(self, template: str) -> bool:
        """Whether the template asks for the tag around JSON."""
        return OPENER in template and "<function=" not in template and "<arg_key>" not in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """Tagged calls, one a line."""
        return tagged_calls(tools, parallel=parallel)


def tagged_calls(tools: Sequence[Tool], *, parallel: bool) -> Constraint:
    """The grammar of calls between tags."""

    def call(tool: Tool) -> str:
        return f'{text(OPENER)} "\\n" {named_arguments(tool)} "\\n" {text(CLOSER)}'

    return tool_grammar(tools, call, start=f"{EMPTY_LINE} calls", parallel=parallel, more='"\\n"')
