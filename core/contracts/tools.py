"""Functions that a model may call, as clients offer them and as models ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask the client to call.

    Attributes:
        name: what the model calls it.
        description: what it does, for the model to read.
        parameters: the JSON schema of its arguments, an object.
        strict: whether the arguments must follow the schema to the letter.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model calls tools.

    Attributes:
        mode: `auto` leaves it to the model, `none` forbids, `required` asks for at least one call, `named` for a
            call of `name`.
    """

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A finished call, as it stands in a conversation.

    Attributes:
        id: what the result refers to.
        arguments: a JSON object, as text.
    """

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """What a piece of the answer adds to one call.

    Attributes:
        index: the call's place in the answer, from 0.
        id: given in the call's first delta only.
        name: given in the call's first delta only.
        arguments: the next characters of the arguments' JSON text; joined, they are one JSON object.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
