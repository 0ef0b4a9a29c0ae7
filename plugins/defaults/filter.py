"""The filter that completes a request."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import msgspec

from hoshikage import Adapter, Message, Sampling
from hoshikage.core.parameters import ADAPTERS, ModelParameters, max_tokens_of, sampling_of, stop_of, usable_parameters

if TYPE_CHECKING:
    from hoshikage import Caller, ChatRequest, ModelRecord
    from hoshikage.plugins.defaults.settings import DefaultsSettings

SAMPLING_DEFAULTS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n")
# What can be left open.
CHOICES = tuple(field.name for field in fields(Sampling) if field.default is None)


class DefaultsFilter:
    """Completes sampling, length, stop strings and the opening of the conversation.

    What the request says itself wins, then what the model brings, then the settings.
    """

    name = "defaults"
    order = 100

    def __init__(self, settings: DefaultsSettings) -> None:
        self._settings = settings
        self._known: dict[str, ModelParameters] = {}

    async def apply(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        """See `RequestFilter.apply`."""
        del caller
        parameters = self._parameters(record)
        stop = request.stop or stop_of(parameters)
        return replace(
            request,
            messages=opened(request, record) if request.prompt is None else request.messages,
            sampling=self._sampling(request.sampling, sampling_of(parameters)),
            max_tokens=self._max_tokens(request, parameters),
            # dict keeps the order and drops what comes twice
            stop=tuple(dict.fromkeys((*stop, *record.stop))),
            adapters=request.adapters or _adapters(record),
        )

    def _parameters(self, record: ModelRecord) -> ModelParameters:
        """What the model brings, checked once: it may come from elsewhere."""
        given = {name: value for name, value in record.parameters.items() if name != ADAPTERS}
        key = f"{record.name} {given!r}"
        if key not in self._known:
            self._known[key] = msgspec.convert(usable_parameters(given, record.name), ModelParameters)
        return self._known[key]

    def _sampling(self, asked: Sampling, brought: Sampling) -> Sampling:
        missing = {name: getattr(brought, name) for name in CHOICES if getattr(asked, name) is None}
        for name in SAMPLING_DEFAULTS:
            if missing.get(name, 0) is None:
                missing[name] = getattr(self._settings, name)
        return replace(asked, **missing, ignore_eos=asked.ignore_eos or brought.ignore_eos)

    def _max_tokens(self, request: ChatRequest, parameters: ModelParameters) -> int:
        if request.max_tokens is not None:
            return request.max_tokens
        if (brought := max_tokens_of(parameters)) is not None:
            return brought
        s = self._settings
        return s.max_tokens_streaming if request.stream else s.max_tokens_non_streaming


def opened(request: ChatRequest, record: ModelRecord) -> tuple[Message, ...]:
    """The conversation after the model's opening, and with its system prompt where it has none."""
    messages = (*record.messages, *request.messages)
    if not record.system or any(message.role == "system" for message in request.messages):
        return messages
    return (Message("system", record.system), *messages)


def _adapters(record: ModelRecord) -> tuple[Adapter, ...]:
    """The adapters that the model always uses."""
    names = record.parameters.get(ADAPTERS, ())
    return tuple(Adapter(str(name)) for name in names) if isinstance(names, list | tuple) else ()
