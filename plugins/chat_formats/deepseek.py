"""DeepSeek R1, V3 and V3.1: calls between tokens of their own, thinking that the prompt may have opened.

Source: the chat templates of DeepSeek-R1 and DeepSeek-V3.1, and the latter's model card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.arguments import read_object
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import EMPTY_LINE, arguments, text, tool_grammar
from hoshikage.plugins.chat_formats.tools_as_text import ToolText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

CALLS_BEGIN, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL_BEGIN, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
SEPARATOR = "<｜tool▁sep｜>"
FENCE = "```"
_ALL_CALLS = f"{EMPTY_LINE} {text(CALLS_BEGIN)} calls {text(CALLS_END)}"
_EXAMPLE = '{"argument_name": "value"}'


class DeepSeekParser(AnswerParser):
    """Reads answers of DeepSeek, with the function's name before the separator (V3.1) or after it (R1, V3)."""

    openers = (CALLS_BEGIN, CALL_BEGIN)

    def calls(self) -> Steps[bool]:
        """Read one call; the marker that follows opens the next."""
        yield from self.source.space()
        yield from self.source.one_of(CALL_BEGIN)
        head: list[str] = []
        if not (yield from self.source.until((SEPARATOR,), head.append)):
            return False
        name = "".join(head).strip()
        yield from self.source.space()
        if (yield from self.source.peek()) != "{":
            head.clear()
            if not (yield from self.source.until((f"\n{FENCE}json",), head.append)):
                return False
            name = "".join(head).strip()
            yield from self.source.space()
        if not self.is_callable(name) or (yield from self.source.peek()) != "{":
            return False
        self.begin_call(name)
        if (yield from read_object(self.source, self.arguments)):
            yield from self._end()
        return True

    def _end(self) -> Steps[None]:
        for marker in (FENCE, CALL_END, CALLS_END):
            yield from self.source.space()
            yield from self.source.one_of(marker)


class DeepSeekFormat(TemplateFormat):
    """The format of DeepSeek R1 and V3. Their templates write calls, but most have no place for tools."""

    name = "deepseek"
    parser_class = DeepSeekParser
    markers = (CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, SEPARATOR)
    tool_text = ToolText(
        form=f"{CALLS_BEGIN}{CALL_BEGIN}function{SEPARATOR}function_name\n{FENCE}json\n{_EXAMPLE}\n{FENCE}"
        f"{CALL_END}{CALLS_END}"
    )

    def recognises(self, template: str) -> bool:
        """Whether the template writes calls in fences."""
        return SEPARATOR in template and f"{FENCE}json" in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """All calls between the outer markers."""

        def call(tool: Tool) -> str:
            name = text(f"{tool.name}\n{FENCE}json\n")
            ending = f"{text(chr(10) + FENCE)} {text(CALL_END)}"
            return f'{text(CALL_BEGIN)} "function" {text(SEPARATOR)} {name} {arguments(tool)} {ending}'

        return tool_grammar(tools, call, start=_ALL_CALLS, parallel=parallel, more=text("\n"))


class DeepSeekV31Format(TemplateFormat):
    """The format of DeepSeek V3.1."""

    name = "deepseek_v31"
    parser_class = DeepSeekParser
    markers = DeepSeekFormat.markers
    tool_text = ToolText(form=f"{CALLS_BEGIN}{CALL_BEGIN}function_name{SEPARATOR}{_EXAMPLE}{CALL_END}{CALLS_END}")

    def recognises(self, template: str) -> bool:
        """Whether the template writes calls without fences."""
        return SEPARATOR in template and f"{FENCE}json" not in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """All calls between the outer markers."""

        def call(tool: Tool) -> str:
            return f"{text(CALL_BEGIN)} {text(tool.name)} {text(SEPARATOR)} {arguments(tool)} {text(CALL_END)}"

        return tool_grammar(tools, call, start=_ALL_CALLS, parallel=parallel)
