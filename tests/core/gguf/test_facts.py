"""From a header to facts."""

from __future__ import annotations

import pytest

from hoshikage.core.contracts import ModelFacts
from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import facts_of, read_header
from tests.core.gguf import raw_gguf as raw

TENSORS = (raw.tensor("norm", (16,)), raw.tensor("weight", (64,), raw.Q4_0, offset=64))


@pytest.fixture
def facts(file_of):
    """The facts of a file with these pairs and two tensors, most of whose weights are Q4_0."""

    def read(*pairs: bytes) -> ModelFacts:
        return facts_of(read_header(file_of(raw.gguf(pairs=pairs, tensors=TENSORS, data_bytes=128))))

    return read


def test_facts_of_a_written_model(written):
    """Everything that the writer was told comes back as facts."""
    facts = facts_of(read_header(written))

    assert ("llama", "影 model", "Q4_0") == (facts.architecture, facts.name, facts.quantization)
    assert (4096, 64) == (facts.context_length, facts.embedding_length)
    assert facts.parameter_count == 5 + 2 * 3 * 64


def test_template_is_a_fact_and_not_metadata(written):
    """The chat template is kept once, apart from the other values."""
    facts = facts_of(read_header(written))

    assert facts.chat_template == "{{ messages }}"
    assert "tokenizer.chat_template" not in facts.metadata
    assert facts.metadata["x.int8"] == -100


def test_missing_values_are_empty(facts):
    """What the file does not say is empty or 0."""
    found = facts(raw.ARCHITECTURE)

    assert ("", "", 0, 0) == (found.name, found.chat_template, found.context_length, found.embedding_length)


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "F32"), (1, "F16"), (3, "Q4_1"), (7, "Q8_0"), (15, "Q4_K_M"), (1024 + 17, "Q5_K_M")],
)
def test_file_type_names_the_quantization(facts, number, name):
    """The file's own type counts, also where it was guessed."""
    assert facts(raw.ARCHITECTURE, raw.pair("general.file_type", raw.UINT32, raw.u32(number))).quantization == name


def test_without_file_type_most_weights_name_the_quantization(facts):
    """Where the file names no type, or one that nobody knows, the weights are counted."""
    unknown = raw.pair("general.file_type", raw.UINT32, raw.u32(999))

    assert facts(raw.ARCHITECTURE).quantization == "Q4_0"
    assert facts(raw.ARCHITECTURE, unknown).quantization == "Q4_0"


def test_without_weights_there_is_no_quantization(file_of):
    """A file with a vocabulary alone has no quantization and no parameters."""
    found = facts_of(read_header(file_of(raw.gguf(pairs=(raw.ARCHITECTURE,)))))

    assert ("", 0) == (found.quantization, found.parameter_count)


@pytest.mark.parametrize(
    "pairs", [(), (raw.pair("general.architecture", raw.STRING, raw.text("")),)], ids=["missing", "empty"]
)
def test_missing_architecture_is_refused(facts, pairs):
    """Without an architecture no engine can load the file."""
    with pytest.raises(ModelFileError, match=r"model\.gguf: the metadata has no general\.architecture"):
        facts(*pairs)


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (raw.pair("llama.context_length", raw.STRING, raw.text("64")), "llama.context_length is '64', but"),
        (raw.pair("llama.context_length", raw.FLOAT32, raw.u32(0)), "llama.context_length is 0.0, but"),
        (raw.pair("llama.context_length", raw.BOOL, b"\x01"), "llama.context_length is True, but"),
        (raw.pair("llama.context_length", 5, raw.u32(2**32 - 1)), "llama.context_length is -1, but"),
        (
            raw.array("llama.embedding_length", raw.UINT32, 0),
            "is an array of 0 UINT32, but it must be a single",
        ),
        (raw.pair("general.name", raw.UINT32, raw.u32(1)), "general.name is 1, but it must be a text"),
        (raw.pair("general.file_type", raw.STRING, raw.text("x" * 999)), "general.file_type is 'xxx"),
        (
            raw.array("tokenizer.chat_template", raw.UINT8, 0),
            "tokenizer.chat_template is an array of 0 UINT8",
        ),
    ],
    ids=raw.id_of,
)
def test_value_of_a_wrong_type_is_refused(facts, pair, problem):
    """A value that is there must have the type that it has in every model."""
    with pytest.raises(ModelFileError) as caught:
        facts(raw.ARCHITECTURE, pair)

    assert problem in caught.value.message
    assert len(caught.value.message) < 400


def test_architecture_of_a_wrong_type_is_refused(facts):
    """The architecture must be a text."""
    with pytest.raises(ModelFileError, match=r"general\.architecture is 7, but it must be a text"):
        facts(raw.pair("general.architecture", raw.UINT32, raw.u32(7)))


@pytest.mark.model
def test_facts_of_smollm2(smollm2_path):
    """A real model's facts are those of its card."""
    facts = facts_of(read_header(smollm2_path))

    assert ("llama", "Q4_1", "135M") == (facts.architecture, facts.quantization, facts.parameter_size)
    assert (8192, 576) == (facts.context_length, facts.embedding_length)
    assert "<|im_start|>" in facts.chat_template
