"""What a golden answer is, and how a parser's pieces are collected to compare with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage import ChatRequest, Tool
from hoshikage.plugins.chat_formats import hoshikage_provide_chat_formats

if TYPE_CHECKING:
    from hoshikage import FormatParser

TOOLS = (
    Tool(
        "get_weather",
        "The weather of a city.",
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"}},
            "required": ["city"],
        },
    ),
    Tool("now"),
)
FORMATS = {chat_format.name: chat_format for chat_format in hoshikage_provide_chat_formats()}

# Braces, quotes, escapes and characters of several bytes, as they stand in JSON.
HARD = r'{"city": "{\"a\": [1}]\\", "why": "東京 \u661f \ud83c\udf19 </tool_call> <|call|> ```", "in": {"a": [{}, []]}}'
WEATHER = '{"city": "東京", "days": 3}'


@dataclass(frozen=True, slots=True)
class Golden:
    """An answer of one format.

    Attributes:
        title: what it shows.
        raw: as the model writes it.
        calls: name and arguments of each.
        ids: of the calls, where the format carries them.
        tail: the end of the prompt.
        tools: what was offered.
    """

    format: str
    title: str
    raw: str
    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    ids: tuple[str, ...] = ()
    tail: str = "<|im_start|>assistant\n"
    tools: tuple[Tool, ...] = TOOLS

    @property
    def result(self) -> tuple[object, ...]:
        """What a parser makes of it."""
        ids = self.ids or ("",) * len(self.calls)
        calls = tuple((call_id, *call) for call_id, call in zip(ids, self.calls, strict=True))
        return self.content, self.reasoning, calls


class Collected:
    """What a parser has handed out so far."""

    def __init__(self, parser: FormatParser) -> None:
        self.parser = parser
        self.content = ""
        self.reasoning = ""
        self.calls: list[list[str]] = []

    def push(self, *texts: str) -> Collected:
        """Give the parser some text."""
        for text in texts:
            self._add(self.parser.push(text))
        return self

    def finish(self) -> Collected:
        """End the answer."""
        self._add(self.parser.finish())
        return self

    def _add(self, parsed) -> None:
        self.content += parsed.content
        self.reasoning += parsed.reasoning
        for delta in parsed.tool_calls:
            if delta.index == len(self.calls):
                self.calls.append([delta.id, delta.name, ""])
            else:
                assert ("", "") == (delta.id, delta.name)
            self.calls[delta.index][2] += delta.arguments

    @property
    def result(self) -> tuple[object, ...]:
        """In the form of `Golden.result`."""
        return self.content, self.reasoning, tuple(tuple(call) for call in self.calls)


def request(tools: tuple[Tool, ...] = TOOLS, **fields) -> ChatRequest:
    """A request that offers tools."""
    return ChatRequest("r1", "the-model", tools=tools, **fields)


def reader(name: str, *, tail: str = "", tools: tuple[Tool, ...] = TOOLS, **fields) -> Collected:
    """A parser of a format, and what it hands out."""
    return Collected(FORMATS[name].parser(request(tools, **fields), tail))


def tagged(name: str, arguments: str) -> str:
    """A call of Hermes and Qwen."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
