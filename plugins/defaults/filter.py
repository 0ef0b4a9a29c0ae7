"""The filter that completes a request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage import Caller, ChatRequest, ModelRecord, Sampling
    from hoshikage.plugins.defaults.settings import DefaultsSettings

SAMPLING_DEFAULTS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n")


class DefaultsFilter:
    """Completes sampling, length and stop strings; what the request says itself always wins."""

    name = "defaults"
    order = 100

    def __init__(self, settings: DefaultsSettings) -> None:
        self._settings = settings

    async def apply(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        """See `RequestFilter.apply`."""
        del caller
        return replace(
            request,
            sampling=self._sampling(request.sampling),
            max_tokens=self._max_tokens(request),
            # dict keeps the order and drops what comes twice
            stop=tuple(dict.fromkeys((*request.stop, *record.stop))),
        )

    def _sampling(self, sampling: Sampling) -> Sampling:
        missing = {name: getattr(self._settings, name) for name in SAMPLING_DEFAULTS if getattr(sampling, name) is None}
        return replace(sampling, **missing)

    def _max_tokens(self, request: ChatRequest) -> int:
        if request.max_tokens is not None:
            return request.max_tokens
        s = self._settings
        return s.max_tokens_streaming if request.stream else s.max_tokens_non_streaming
