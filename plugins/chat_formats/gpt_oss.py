"""gpt-oss: messages on channels, in OpenAI's harmony format.

OpenAI's own library reads token ids and needs a vocabulary from the network, whose digest it checks; an answer here
is text, and the format is small, so it is read here.
Source: https://cookbook.openai.com/articles/openai-harmony
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.answer import AnswerParser
from hoshikage.plugins.chat_formats.arguments import read_object
from hoshikage.plugins.chat_formats.base import TemplateFormat
from hoshikage.plugins.chat_formats.grammar import arguments, text, tool_grammar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import ChatRequest, Constraint, Directions, Tool
    from hoshikage.plugins.chat_formats.source import Steps

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
_CHANNEL_NAME = re.compile(r"<\|channel\|>\s*(\w+)")
_FUNCTION = re.compile(r"\bto=functions\.([^\s<]+)")


class HarmonyParser(AnswerParser):
    """Reads answers of gpt-oss.

    The channel `analysis` is thinking. A message to a function is a call, whichever side of the channel names the
    function. All else is for the reader, also what the model says on `commentary` before it calls, and text
    without any channel, as constrained answers have it.
    """

    thinks = (f"{CHANNEL}analysis{MESSAGE}", END)
    _function = ""

    def answer(self) -> Steps[None]:
        """Read one message after the other."""
        self.source.mark()
        yield from self.source.space()
        marker = yield from self.source.one_of("to=", START, CHANNEL)
        if not marker:
            self.source.back()
        self.source.forget()
        while marker := marker or (yield from self.source.until((START, CHANNEL), self.content)):
            header = [marker]
            yield from self.source.until((MESSAGE,), header.append)
            marker = yield from self._message("".join(header))

    def calls(self) -> Steps[bool]:
        """Read the arguments of a call whose header is taken."""
        yield from self.source.space()
        if (yield from self.source.peek()) != "{":
            return False
        self.begin_call(self._function)
        yield from read_object(self.source, self.arguments)
        return True

    def _message(self, header: str) -> Steps[str]:
        """Read a message; return the marker of a next one that follows without an end."""
        function = _FUNCTION.search(header)
        channel = _CHANNEL_NAME.search(header)
        emit = self.reasoning if channel and channel[1] == "analysis" else self.content
        if function and self.tools and self.is_callable(function[1]):
            self._function = function[1]
            emit = self.content
            yield from self._attempt("")
        ending = yield from self.source.until((END, CALL, RETURN, START), emit)
        self.end_reasoning()
        return START if ending == START else ""


class GptOssFormat(TemplateFormat):
    """The format of gpt-oss. It always thinks; asked not to, it thinks as little as it can."""

    name = "gpt_oss"
    parser_class = HarmonyParser
    markers = (START, CHANNEL, MESSAGE, CONSTRAIN, CALL)

    def recognises(self, template: str) -> bool:
        """Whether the template has channels."""
        return CHANNEL in template and MESSAGE in template

    def thinks(self, template: str) -> bool:
        """Whether there is a channel for thinking."""
        return "analysis" in template

    def directions(self, template: str, request: ChatRequest) -> Directions:
        """What the engine must know; an answer of a given form begins after the header of its message."""
        directions = super().directions(template, request)
        calls = request.tool_choice.mode in {"required", "named"}
        if request.constraint is None or calls or not directions.think_close:
            return directions
        return replace(directions, think_close=f"{END}{START}assistant{CHANNEL}final{MESSAGE}")

    def thinking_variables(self, template: str, request: ChatRequest) -> dict[str, object]:
        """The effort, in the words that gpt-oss knows: `low`, `medium` and `high`."""
        variables = super().thinking_variables(template, request)
        if request.thinking.enabled is False or request.thinking.effort == "minimal":
            variables["reasoning_effort"] = "low"
        return variables

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """One call. Its end marker ends the answer as well, so it is no part of the grammar."""
        del parallel  # the model cannot call twice in one answer

        def call(tool: Tool) -> str:
            to = text(f"commentary to=functions.{tool.name} ")
            return f'{text(CHANNEL)} {to} {text(CONSTRAIN)} "json" {text(MESSAGE)} {arguments(tool)}'

        return tool_grammar(tools, call, start=f'({text(START)} "assistant")? calls', parallel=False)
