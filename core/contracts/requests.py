"""What may change a request on its way in, and what watches it on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hoshikage.core.contracts.chat import Caller, ChatRequest
    from hoshikage.core.contracts.models import ModelRecord
    from hoshikage.core.contracts.receipts import Receipt


class RequestFilter(Protocol):
    """Changes a request before it is queued.

    Attributes:
        order: filters run from the lowest to the highest; built-in defaults stand at 100.
    """

    name: str
    order: int

    async def apply(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        """Return the request to go on with (`dataclasses.replace` makes a changed one).

        Raising a `HoshikageError` refuses the request; any other exception is logged with the filter's name,
        and the request goes on as it was.
        """
        ...


class Observer(Protocol):
    """Is told how each request ended."""

    name: str

    async def observe(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        """Called once per request, after the answer went out, off the response path.

        `answer` is the text so far where the request failed or was cancelled. An exception is logged with the
        observer's name and changes nothing.
        """
        ...
