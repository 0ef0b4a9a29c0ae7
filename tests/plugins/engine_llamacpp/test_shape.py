"""Sizes read from headers of many kinds of models, and headers that lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.errors import ModelFileError
from hoshikage.plugins.engine_llamacpp.footprint import footprint
from hoshikage.plugins.engine_llamacpp.machine import Machine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from hoshikage.plugins.engine_llamacpp.shape import Layer, shape_of
from tests.plugins.engine_llamacpp.headers import TOKENS, header_of, llama_tensors

KEYS = ("block_count", "context_length", "attention.head_count", "expert_used_count", "attention.sliding_window")
STATE_KEYS = ("ssm.state_size", "ssm.inner_size", "shortconv.l_cache", "wkv.head_size", "attention.shared_kv_layers")
MOST_BYTES = 1 << 90


def layer_of(block, **options) -> Layer:
    """What the only layer of a model with these tensors remembers."""
    return shape_of(header_of({f"blk.0.{name}.weight": shape for name, shape in block.items()}, **options)).layers[0]


def test_a_llama_is_read_from_its_tensors():
    """No number of the metadata is needed for the widths."""
    header = header_of(
        llama_tensors(n_layers=3), metadata={"context_length": 4096, "attention.head_count": 8}, arrays={TOKENS: 1000}
    )
    shape = shape_of(header)

    assert {n: Layer(128, 128) for n in range(3)} == shape.layers
    assert (512, 1024, 512, 128) == (shape.n_embd, shape.n_ff, shape.n_query, shape.n_kv)
    assert (8, 1000, 4096, 1000, False) == (
        shape.n_head,
        shape.n_vocab,
        shape.n_ctx_train,
        shape.n_tokens,
        shape.tied,
    )


def test_one_matrix_for_query_key_and_value_is_taken_apart():
    """What is not the query is half K and half V."""
    assert Layer(256, 256) == layer_of({"attn_qkv": (512, 512 + 2 * 256), "attn_output": (512, 512)})


def test_a_layer_without_values_of_its_own_caches_its_keys_twice():
    """Some layers of Gemma 4 have no V matrix: what they cache as V is as wide as K."""
    assert Layer(128, 128) == layer_of({"attn_k": (512, 128)})


def test_folded_latent_attention_caches_one_narrow_key():
    """DeepSeek's compressed cache: the rank and the rotated part, and no V."""
    block = {"attn_kv_a_mqa": (2048, 512 + 64), "attn_k_b": (128, 512, 16), "attn_v_b": (512, 128, 16)}

    assert Layer(576, 0) == layer_of(block)


def test_unfolded_latent_attention_caches_whole_heads():
    """An older file of the same model caches K and V of every head."""
    block = {
        "attn_q": (2048, 16 * 192),
        "attn_kv_a_mqa": (2048, 576),
        "attn_kv_b": (512, 16 * (128 + 128)),
        "attn_output": (16 * 128, 2048),
    }

    assert Layer(16 * 192, 16 * 128) == layer_of(block)


def test_a_mamba_layer_has_a_state_and_no_cache():
    """The last columns of the convolution, and the state of every channel, in 32 bits."""
    metadata = {"ssm.state_size": 16, "ssm.inner_size": 1536}

    assert Layer(0, 0, (3 * 1536 + 16 * 1536) * 4) == layer_of({"ssm_conv1d": (4, 1536)}, metadata=metadata)


def test_a_short_convolution_has_a_state():
    """LFM2's layers keep their last inputs."""
    header = header_of(
        {"token_embd.weight": (1024, 100), "blk.0.shortconv.conv.weight": (3, 1024)},
        metadata={"shortconv.l_cache": 3},
    )

    assert Layer(0, 0, 2 * 1024 * 4) == shape_of(header).layers[0]


def test_an_rwkv_layer_has_a_state():
    """Two shifted tokens and a matrix for each head."""
    header = header_of(
        {"token_embd.weight": (1024, 100), "blk.0.time_mix_key.weight": (1024, 1024)}, metadata={"wkv.head_size": 64}
    )

    assert Layer(0, 0, 1024 * (2 + 64) * 4) == shape_of(header).layers[0]


def test_layers_that_share_a_cache_have_none():
    """The last layers of Gemma 4 look into the caches of others."""
    metadata = {"block_count": 3, "attention.shared_kv_layers": 1}
    layers = shape_of(header_of(llama_tensors(n_layers=3), metadata=metadata)).layers

    assert [Layer(128, 128), Layer(128, 128), Layer()] == [layers[n] for n in range(3)]


@pytest.mark.parametrize(
    ("architecture", "metadata"), [("bert", {}), ("gemma-embedding", {}), ("x", {"attention.causal": False})]
)
def test_an_encoder_remembers_nothing(architecture, metadata):
    """A model that computes each input at once has no cache."""
    shape = shape_of(header_of(llama_tensors(), architecture=architecture, metadata=metadata))

    assert {Layer()} == set(shape.layers.values())


def test_only_chosen_experts_are_computed():
    """Of many experts, the inner widths of those that a token uses add up."""
    tensors = {"blk.0.ffn_gate_exps.weight": (512, 768, 64), "blk.0.ffn_up_shexp.weight": (512, 768)}

    assert 8 * 768 == shape_of(header_of(tensors, metadata={"expert_used_count": 8})).n_ff


def test_an_array_in_place_of_a_number_is_no_error():
    """Where each layer has its own number of heads, the widths come from the tensors all the same."""
    header = header_of(llama_tensors(), arrays={"llama.attention.head_count": 2})

    assert Layer(128, 128) == shape_of(header).layers[0]


# --- headers that lie ---


@pytest.mark.parametrize("value", [-1, 2**32, "8", 1.5, True])
def test_an_impossible_number_is_refused_with_its_key(value):
    """The message names the file, the key and the value."""
    header = header_of(llama_tensors(), metadata={"context_length": value})

    with pytest.raises(ModelFileError, match=rf"/models/m\.gguf: llama\.context_length is '{value}', but it must be"):
        shape_of(header)


def test_a_long_value_is_cut_in_the_message():
    """A hostile text does not fill the log."""
    header = header_of(llama_tensors(), metadata={"context_length": "x" * 100_000})

    with pytest.raises(ModelFileError) as caught:
        shape_of(header)

    assert len(caught.value.message) < 300


@given(
    metadata=st.dictionaries(
        st.sampled_from(KEYS + STATE_KEYS),
        st.one_of(st.integers(0, 2**32 - 1), st.integers(), st.sampled_from(["", "8", 0.5, True])),
    ),
    tensors=st.dictionaries(
        st.builds(
            "blk.{}.{}.weight".format,
            st.integers(0, 99_999),
            st.sampled_from(
                ["attn_k", "attn_qkv", "attn_k_b", "attn_kv_b", "ssm_conv1d", "ffn_up_exps", "attn_output"]
            ),
        ),
        st.lists(st.integers(1, 2**15), min_size=1, max_size=4).map(tuple),
        max_size=8,
    ),
    mmap=st.booleans(),
    layers=st.integers(-1, 10_000),
)
def test_whatever_a_header_says_is_a_number_or_a_refusal(metadata, tensors, mmap, layers):
    """No header makes it fail in another way, count below zero, or take long."""
    settings = LlamaCppSettings(use_mmap=mmap, n_gpu_layers=layers)
    try:
        need = footprint(header_of(tensors, metadata=metadata), settings, Machine(frozenset({"F16"}), True)).need
    except ModelFileError:
        return

    parts = (need.weights_bytes, need.context_bytes, need.other_bytes, need.vram_bytes)
    assert all(0 <= part < MOST_BYTES for part in parts)
