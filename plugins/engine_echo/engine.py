"""The engine without a model: it loads in no time, or as slowly and badly as it is told."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import msgspec

from hoshikage import LoadPlan, MemoryNeed, ModelFacts
from hoshikage.core.errors import ModelLoadFailed
from hoshikage.plugins.engine_echo.model import EchoModel
from hoshikage.plugins.engine_echo.numbers import DIMENSIONS
from hoshikage.plugins.engine_echo.settings import EchoSettings

if TYPE_CHECKING:
    from hoshikage import LoadedModel, ModelRecord

AS_SET = LoadPlan()
MEAN_POOLING = 1  # as GGUF numbers it; that a model has some says that it makes vectors
# What a template of the Hermes family looks like: chat formats are told apart by the markers in it.
CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Call: <tool_call>{"name": "...", "arguments": {}}</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}"""


class EchoEngine:
    """An engine that needs no file and no memory."""

    name = "echo"

    def __init__(self, settings: EchoSettings) -> None:
        self._settings = settings

    def supports(self, record: ModelRecord) -> bool:
        """Only what asks for it by name: it must never stand in for a real model."""
        return record.engine == self.name

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """What there is to say of a model that is none."""
        options = self._options(record)
        metadata: dict[str, str | int | float | bool] = {
            "general.architecture": "echo",
            "general.basename": record.name,
            "echo.context_length": options.context_length,
            "echo.embedding_length": DIMENSIONS,
            "echo.pooling_type": MEAN_POOLING,
        }
        return ModelFacts(
            architecture="echo",
            name=record.name,
            context_length=options.context_length,
            embedding_length=DIMENSIONS,
            chat_template=options.chat_template or CHAT_TEMPLATE,
            metadata=metadata,
        )

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """As much as it is told to say; by itself it takes nothing."""
        del context_length
        return MemoryNeed(weights_bytes=self._options(record).memory_bytes)

    async def load(self, record: ModelRecord, plan: LoadPlan = AS_SET) -> LoadedModel:
        """Wait as long as told, then be ready."""
        options = self._options(record)
        options = dataclasses.replace(options, context_length=max(options.context_length, plan.context_length))
        await asyncio.sleep(options.load_delay_s)
        if options.fail_load:
            raise ModelLoadFailed(f"model {record.name!r} cannot be loaded: {options.fail_load}")
        return EchoModel(record.name, options)

    async def close(self) -> None:
        """It holds nothing."""

    def _options(self, record: ModelRecord) -> EchoSettings:
        merged = {**dataclasses.asdict(self._settings), **record.options}
        try:
            return msgspec.convert(merged, EchoSettings)
        except msgspec.ValidationError as error:
            raise ModelLoadFailed(f"model {record.name!r} has a bad option: {error}") from error
