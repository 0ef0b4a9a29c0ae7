"""The root of Hoshikage's one error family."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class HoshikageError(Exception):
    """Something the reader of the message can act on.

    Attributes:
        status: the HTTP status a route answers with.
        code: a stable machine-readable name, the same in every protocol.
        should_retry: whether the same request may succeed later without a change.
        param: the request field or setting that is at fault, where there is one.
        details: numbers a client may want to read without parsing the message.
        retry_after_s: after how many seconds a retry makes sense.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    should_retry: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        details: Mapping[str, int | str] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s


class ConfigError(HoshikageError):
    """A setting has an unknown key, a wrong type or a value out of range."""

    code = "config_error"
