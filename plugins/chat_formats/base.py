"""What all formats share: what the engine must know of thinking and tools, read off the chat template."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hoshikage import Directions
from hoshikage.core.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hoshikage import ChatRequest, Constraint, Tool
    from hoshikage.plugins.chat_formats.answer import AnswerParser
    from hoshikage.plugins.chat_formats.tools_as_text import ToolText

# Names under which templates ask whether to think: Qwen 3 and most others, DeepSeek V3.1 and Granite.
_THINKING_SWITCHES = ("enable_thinking", "thinking")

_CLOSINGS = {"{{": "}}", "{%": "%}", "{#": "#}"}
_OPENING = re.compile(r"\{[{%#]")
_LITERAL = re.compile(r"""(["'])(?:(?!\1|\\).|\\.)*(?:\1|$)""", re.DOTALL)


class TemplateFormat(ABC):
    """One way of writing calls and thinking; see `hoshikage.ChatFormat`.

    Attributes:
        order: specific formats first, see `hoshikage.ChatFormat`.
        parser_class: reads answers.
        markers: texts that are tokens of their own in the vocabularies of these models.
        tool_text: how tools are described where the template has no place for them; `None` where they cannot be.
    """

    name: str
    order: int = 100
    parser_class: ClassVar[type[AnswerParser]]
    markers: ClassVar[tuple[str, ...]] = ()
    tool_text: ClassVar[ToolText | None] = None

    @abstractmethod
    def recognises(self, template: str) -> bool:
        """Whether a model with this template writes this format."""

    @abstractmethod
    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """The form of an answer that calls at least one of these tools; with `parallel`, it may call more."""

    def parser(self, request: ChatRequest, prompt_tail: str) -> AnswerParser:
        """A parser for one answer."""
        return self.parser_class(request, prompt_tail)

    def capabilities(self, template: str) -> frozenset[str]:
        """What models with this template can do besides text."""
        able = {"tools": self.takes_tools(template), "thinking": self.thinks(template)}
        return frozenset(name for name, can in able.items() if can)

    def directions(self, template: str, request: ChatRequest) -> Directions:
        """What the engine must know of the format to answer this request.

        Raises:
            NotSupported: the request asks for tools or thinking, and the template cannot do it.
        """
        thinks = self.thinks(template)
        if request.thinking.enabled and not thinks:
            raise NotSupported(f'"{request.model}" does not support thinking', param="think")
        if request.tools and request.tool_choice.mode != "none" and not self.takes_tools(template):
            raise NotSupported(f'"{request.model}" does not support tools', param="tools")
        opener, closer = self.parser_class.thinks if thinks else ("", "")
        variables = {**self.thinking_variables(template, request), **self.tool_variables(template, request)}
        markers = (*((opener, closer) if thinks else ()), *self.markers)
        return Directions(opener, closer, markers=markers, template_variables=variables)

    def thinks(self, template: str) -> bool:
        """Whether the template knows of thinking."""
        return any(marker in template for marker in self.parser_class.thinks)

    def takes_tools(self, template: str) -> bool:
        """Whether tools reach the model, through the template or as text."""
        return self.tool_text is not None or self.renders_tools(template)

    def renders_tools(self, template: str) -> bool:
        """Whether the template tells the model of the tools."""
        return mentions(template, "tools")

    def thinking_variables(self, template: str, request: ChatRequest) -> dict[str, object]:
        """What the template is told of thinking; a word that it does not know is left out."""
        thinking = request.thinking
        variables: dict[str, object] = {}
        if thinking.enabled is not None:
            variables |= {name: thinking.enabled for name in _THINKING_SWITCHES if mentions(template, name)}
        if thinking.effort is not None and mentions(template, "reasoning_effort"):
            variables["reasoning_effort"] = thinking.effort
        return variables

    def tool_variables(self, template: str, request: ChatRequest) -> dict[str, object]:
        """What the engine is told where it must describe the tools itself."""
        if self.tool_text is None or self.renders_tools(template):
            return {}
        return self.tool_text.variables(request)


def mentions(template: str, name: str) -> bool:
    """Whether a template's code uses a name; what it writes and what is remarked in it do not count."""
    return re.search(rf"\b{name}\b", _LITERAL.sub(" ", " ".join(_code(template)))) is not None


def _code(template: str) -> Iterator[str]:
    """What stands in `{{ }}` and `{% %}`; one pass, for a template is a stranger's text of any size."""
    at = 0
    while opening := _OPENING.search(template, at):
        end = template.find(_CLOSINGS[opening[0]], opening.end())
        if end < 0:
            return
        if opening[0] != "{#":
            yield template[opening.end() : end]
        at = end + 2
