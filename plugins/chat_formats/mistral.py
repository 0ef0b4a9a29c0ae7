"""Mistral: calls after `[TOOL_CALLS]`, as a JSON array or, in newer models, as `name[ARGS]{…}`.

Source: https://docs.mistral.ai/capabilities/function_calling and the tokenizers of mistral-common: versions 2 to 7
write the array, 11 `name[CALL_ID]id[ARGS]`, 13 `name[ARGS]`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.arguments import read_object
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import arguments, named_arguments, text, tool_grammar
from hoshikage.plugins.chat_formats.json_call import JsonCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Constraint, Tool
    from hoshikage.plugins.chat_formats.source import Steps

CALLS, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_HEAD = re.compile(r"\s*(.*?)(?:\[CALL_ID\](.*?))?")


class MistralParser(AnswerParser):
    """Reads answers of Mistral. In the array, an id comes after the arguments, so these wait for it."""

    thinks = ("[THINK]", "[/THINK]")
    openers = (CALLS,)

    def calls(self) -> Steps[bool]:
        """Read an array of calls, or one call."""
        yield from self.source.space()
        if (yield from self.source.one_of("[")):
            return (yield from self._array())
        return (yield from self._named())

    def _array(self) -> Steps[bool]:
        begun = False
        separator = ","
        while separator == ",":
            yield from self.source.space()
            if not (yield from JsonCall(self, id_follows=True).read()):
                break
            begun = True
            yield from self.source.space()
            separator = yield from self.source.one_of(",", "]")
        return begun

    def _named(self) -> Steps[bool]:
        parts: list[str] = []
        if (yield from self.source.until((ARGS, CALLS), parts.append)) != ARGS:
            return False
        head = _HEAD.fullmatch("".join(parts))
        yield from self.source.space()
        if not head or not self.is_callable(head[1]) or (yield from self.source.peek()) != "{":
            return False
        self.begin_call(head[1], head[2] or "")
        yield from read_object(self.source, self.arguments)
        return True


class MistralFormat(TemplateFormat):
    """The format of Mistral's models up to version 7 of the tokenizer."""

    name = "mistral"
    parser_class = MistralParser
    markers = (CALLS, CALL_ID, ARGS)

    def recognises(self, template: str) -> bool:
        """Whether the template writes calls as an array."""
        return CALLS in template and ARGS not in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """An array of calls; the ids are left to the server."""
        return tool_grammar(
            tools, named_arguments, start=f'{text(CALLS)} "[" calls "]"', parallel=parallel, more='", "'
        )


class MistralArgsFormat(MistralFormat):
    """The format of Mistral's models from version 11 of the tokenizer on."""

    name = "mistral_args"

    def recognises(self, template: str) -> bool:
        """Whether the template writes calls with `[ARGS]`."""
        return CALLS in template and ARGS in template

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """The marker, the name and the arguments of each call."""

        def call(tool: Tool) -> str:
            return f"{text(CALLS)} {text(tool.name)} {text(ARGS)} {arguments(tool)}"

        return tool_grammar(tools, call, start="calls", parallel=parallel)
