"""Chat formats: how families of models write thinking and tool calls, and any other model through a described form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import hookimpl
from hoshikage.plugins.chat_formats.deepseek import DeepSeekFormat, DeepSeekV31Format
from hoshikage.plugins.chat_formats.gemma import GemmaFormat
from hoshikage.plugins.chat_formats.generic import GenericFormat
from hoshikage.plugins.chat_formats.gpt_oss import GptOssFormat
from hoshikage.plugins.chat_formats.hermes import HermesFormat
from hoshikage.plugins.chat_formats.llama3 import Llama3Format
from hoshikage.plugins.chat_formats.mistral import MistralArgsFormat, MistralFormat
from hoshikage.plugins.chat_formats.qwen_coder import QwenCoderFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import ChatFormat


@hookimpl
def hoshikage_provide_chat_formats() -> Sequence[ChatFormat]:
    """Offer all formats."""
    return [
        DeepSeekFormat(),
        DeepSeekV31Format(),
        GemmaFormat(),
        GptOssFormat(),
        HermesFormat(),
        Llama3Format(),
        MistralArgsFormat(),
        MistralFormat(),
        QwenCoderFormat(),
        GenericFormat(),
    ]
