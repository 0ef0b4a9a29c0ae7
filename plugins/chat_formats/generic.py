"""Every other template: tools are described in words, and calls stand between `<tool_call>` and `</tool_call>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.hermes import CLOSER, OPENER, HermesFormat, tagged_calls
from hoshikage.plugins.chat_formats.json_call import read_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

FENCE = "```"


class GenericParser(AnswerParser):
    """Reads answers in the form that was described, and those that come close to it.

    Models that were not trained on a form leave out the tags or write a fence in their place. Because any JSON
    could come so, an object is a call only if it names a function that was offered.
    """

    openers = (OPENER, f"{FENCE}json")
    bare = True
    strangers = False

    def calls(self) -> Steps[bool]:
        """Read calls in a row and whatever ends them."""
        begun = yield from read_calls(self, separators=(",", ";"))
        if begun:
            yield from self.source.space()
            yield from self.source.one_of(CLOSER, FENCE)
        return begun


class GenericFormat(TemplateFormat):
    """The format of models that no other format recognises."""

    name = "generic"
    order = 1000
    parser_class = GenericParser
    markers = (OPENER, CLOSER)
    tool_text = HermesFormat.tool_text

    def recognises(self, template: str) -> bool:
        """Every template is recognised, also none at all."""
        del template
        return True

    def renders_tools(self, template: str) -> bool:
        """Nothing is left to the template: how the model would answer it is not known here."""
        del template
        return False

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """Tagged calls, one a line."""
        return tagged_calls(tools, parallel=parallel)
