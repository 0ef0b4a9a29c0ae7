"""What a model can do, judged from its header and its chat format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.core.formats import format_capabilities

if TYPE_CHECKING:
    from hoshikage.core.contracts import ChatFormat, ModelFacts

# Architectures that read a text as a whole and write none, by their GGUF names. XLM-RoBERTa and its relatives are
# `bert` with a tokenizer of their own.
ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "roberta",
        "t5encoder",
        "xlm-roberta",
    }
)
# The token before the text around a gap; the second is the name that older files use.
INFILL_KEYS = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id")


def generates(facts: ModelFacts) -> bool:
    """Whether a model writes text at all."""
    return facts.architecture not in ENCODERS


def capabilities_of(facts: ModelFacts, chat_format: ChatFormat | None) -> frozenset[str]:
    """What a model can do, in Ollama's words; see `ServerApi.capabilities`."""
    if not generates(facts):
        return frozenset({"embedding"})
    found = {"completion"} | format_capabilities(chat_format, facts.chat_template)
    if any(key in facts.metadata for key in INFILL_KEYS):
        found.add("insert")
    if f"{facts.architecture}.pooling_type" in facts.metadata:
        found.add("embedding")
    return frozenset(found)
