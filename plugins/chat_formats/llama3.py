"""Llama 3.1 to 3.3: bare JSON objects at the beginning of the answer, or after `<|python_tag|>`.

Source: https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/#json-based-tool-calling
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import named_arguments, tool_grammar
from hoshikage.plugins.chat_formats.json_call import read_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

PYTHON_TAG = "<|python_tag|>"


class Llama3Parser(AnswerParser):
    """Reads answers of Llama 3. A bare object is a call only if it names a function that was offered."""

    openers = (PYTHON_TAG,)
    bare = True
    strangers = False

    def calls(self) -> Steps[bool]:
        """Read objects, separated by `;`, a comma or white space."""
        return read_calls(self, separators=(";", ",", PYTHON_TAG, f";{PYTHON_TAG}"))


class Llama3Format(TemplateFormat):
    """The format of Llama 3.1 and later."""

    name = "llama3"
    parser_class = Llama3Parser
    markers = (PYTHON_TAG,)

    def recognises(self, template: str) -> bool:
        """Whether the template has Llama 3's headers, tools, which 3.0 has not, and calls as Meta writes them."""
        ours = "<|start_header_id|>" in template and ('parameters"' in template or 'parameters\\"' in template)
        return ours and self.renders_tools(template)

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """Bare objects, separated by `; `."""

        def call(tool: Tool) -> str:
            return named_arguments(tool, key="parameters")

        return tool_grammar(tools, call, start="calls", parallel=parallel, more='"; "')
