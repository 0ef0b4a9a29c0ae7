"""How one family of models writes thinking and tool calls into its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.contracts.chat import ChatRequest, Directions
    from hoshikage.core.contracts.constraints import Constraint
    from hoshikage.core.contracts.tools import Tool, ToolCallDelta


class FormatParser(Protocol):
    """Takes one answer apart while it comes. It raises nothing: what it cannot read stays text."""

    def push(self, text: str) -> Parsed:
        """Take the next piece, cut anywhere, and return what is certain now."""
        ...

    def finish(self) -> Parsed:
        """Return the rest once the answer has ended, wherever that was."""
        ...


class Parsed(Protocol):
    """What a parser found in a piece of an answer."""

    @property
    def content(self) -> str:
        """Text for the reader."""
        ...

    @property
    def reasoning(self) -> str:
        """Thinking."""
        ...

    @property
    def tool_calls(self) -> Sequence[ToolCallDelta]:
        """Additions to tool calls."""
        ...


class ChatFormat(Protocol):
    """One way of writing tool calls and thinking, known from the model's chat template.

    Attributes:
        name: unique among all formats.
        order: formats are asked from the lowest to the highest; built-in ones stand at 100, the fallback at 1000.
    """

    name: str
    order: int

    def recognises(self, template: str) -> bool:
        """Whether a model with this Jinja2 template writes this format."""
        ...

    def directions(self, template: str, request: ChatRequest) -> Directions:
        """What the engine must know of the format to answer this request.

        Raises:
            NotSupported: the request asks for what the template cannot do, e.g. tools or thinking.
        """
        ...

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """The form of an answer that calls at least one of these tools; with `parallel`, it may call more."""
        ...

    def parser(self, request: ChatRequest, prompt_tail: str) -> FormatParser:
        """A parser for one answer. `prompt_tail` is the end of the prompt, where thinking may already be open."""
        ...

    def capabilities(self, template: str) -> frozenset[str]:
        """What models with this template can do besides text: `tools`, `thinking`."""
        ...
