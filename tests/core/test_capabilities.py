"""What a model can do, from its header and its format."""

from __future__ import annotations

import pytest

from hoshikage import ModelFacts
from hoshikage.core.capabilities import capabilities_of, generates
from tests.fakes import FakeFormat

ABLE = FakeFormat(able=frozenset({"tools", "thinking"}))


@pytest.mark.parametrize(
    ("facts", "able"),
    [
        (ModelFacts("llama"), {"completion"}),
        (ModelFacts(), {"completion"}),
        (ModelFacts("qwen2", metadata={"tokenizer.ggml.fim_pre_token_id": 151659}), {"completion", "insert"}),
        (ModelFacts("llama", metadata={"tokenizer.ggml.prefix_token_id": 32007}), {"completion", "insert"}),
        (ModelFacts("qwen3", metadata={"qwen3.pooling_type": 3}), {"completion", "embedding"}),
        (ModelFacts("llama", metadata={"qwen3.pooling_type": 3}), {"completion"}),
        (ModelFacts("bert"), {"embedding"}),
        (ModelFacts("nomic-bert", metadata={"nomic-bert.pooling_type": 1}), {"embedding"}),
    ],
)
def test_capabilities_of_the_header(facts: ModelFacts, able: set[str]):
    """A model writes text unless it is an encoder, fills gaps if it has the tokens, and embeds if it says how."""
    assert able == capabilities_of(facts, None)


def test_capabilities_of_the_format():
    """What the format can do is added; an encoder has no use for it."""
    assert {"completion", "tools", "thinking"} == capabilities_of(ModelFacts("qwen3"), ABLE)
    assert {"embedding"} == capabilities_of(ModelFacts("bert"), ABLE)


@pytest.mark.parametrize(
    "architecture", ["bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "modern-bert", "xlm-roberta"]
)
def test_encoders_write_no_text(architecture: str):
    """Architectures that read a text as a whole are known."""
    assert not generates(ModelFacts(architecture))


@pytest.mark.parametrize("architecture", ["", "llama", "qwen3", "gemma3", "t5", "echo"])
def test_others_write_text(architecture: str):
    """Every other architecture writes text, the unknown one too."""
    assert generates(ModelFacts(architecture))
