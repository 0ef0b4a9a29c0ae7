"""What comes beside a model's weights, in the forms of Ollama's layers: parameters, opening messages, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from hoshikage.core.contracts import Message
from hoshikage.core.errors import DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
Parameter = bool | int | float | str | list[str]

MAX_MESSAGES: Final = 1000


class _Turn(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str = ""


def read_parameters(content: bytes) -> Mapping[str, Parameter]:
    """Sampling defaults by Ollama's names.

    Raises:
        DownloadFailed: it is no JSON object of numbers, texts and lists of texts.
    """
    return _read(content, dict[str, Parameter], "parameters")


def read_messages(content: bytes) -> tuple[Message, ...]:
    """The opening of every conversation.

    Raises:
        DownloadFailed: it is no JSON list of messages, or one is of nobody that can begin a conversation.
    """
    turns = _read(content, list[_Turn], "messages")
    if len(turns) > MAX_MESSAGES:
        raise DownloadFailed(f"the model comes with {len(turns)} messages; at most {MAX_MESSAGES} are taken")
    return tuple(Message(turn.role, turn.content) for turn in turns)


def read_text(content: bytes, part: str) -> str:
    """A part that is plain text.

    Raises:
        DownloadFailed: it is no UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DownloadFailed(f"the model's {part} cannot be read: it is no UTF-8 text") from error


def _read(content: bytes, shape: type[T], part: str) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DownloadFailed(f"the model's {part} cannot be read: {error}") from error
