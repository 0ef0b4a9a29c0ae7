"""Predicting what a load takes, part by part, from headers alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage import MemoryNeed
from hoshikage.plugins.engine_llamacpp.footprint import (
    GPU_PROCESS_BYTES,
    MERGE_BYTES,
    PROCESS_BYTES,
    TOKEN_BYTES,
    Footprint,
    corrected,
    footprint,
)
from hoshikage.plugins.engine_llamacpp.machine import Machine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from hoshikage.plugins.engine_llamacpp.usage import Usage
from tests.plugins.engine_llamacpp.headers import TOKENS, header_of, llama_tensors

CPU = Machine()
GPU = Machine(has_gpu=True)
SETTINGS = LlamaCppSettings(n_ctx=1024, max_num_seqs=2, max_cached_seqs=3)
HEADER = header_of(llama_tensors(), metadata={"attention.head_count": 8, "context_length": 4096})
CELL = 2 * (128 + 128) * 2  # two layers, K and V, 16 bits


def of(header=HEADER, machine=CPU, *, context_length=0, **changes) -> Footprint:
    return footprint(header, replace(SETTINGS, **changes), machine, context_length=context_length)


# --- the context ---


def test_the_cache_has_a_cell_for_each_token():
    """K and V of every layer, for the whole context."""
    assert 1024 * CELL == of().context_bytes


@pytest.mark.parametrize(
    ("n_ctx", "asked", "cells"), [(1000, 0, 1024), (0, 0, 4096), (512, 2048, 2048), (512, 99_999, 4096), (1, 0, 256)]
)
def test_the_context_is_as_long_as_the_worker_makes_it(n_ctx, asked, cells):
    """Padded to 256, not above the trained length; a length that is asked for wins over the settings."""
    assert cells * CELL == of(n_ctx=n_ctx, context_length=asked).context_bytes


@pytest.mark.parametrize(("kind", "row"), [("q8_0", 128 // 32 * 34), ("q4_0", 128 // 32 * 18), ("f32", 128 * 4)])
def test_the_cache_type_changes_its_half(kind, row):
    """K and V have a type each."""
    assert 1024 * 2 * (row + 128 * 2) == of(cache_type_k=kind).context_bytes


def test_states_are_there_once_for_each_sequence():
    """A running state does not grow with the context, but with the sequences that run or are kept."""
    header = header_of({"blk.0.ssm_conv1d.weight": (4, 64)}, metadata={"ssm.state_size": 8, "ssm.inner_size": 64})

    assert 5 * (3 * 64 + 8 * 64) * 4 == of(header).context_bytes
    assert of(header).context_bytes == of(header, n_ctx=256).context_bytes


# --- weights ---


def test_mapped_weights_are_the_file_from_the_first_to_the_last():
    """Nothing is copied where the CPU takes the weights as they are."""
    assert (HEADER.file_size, 0) == (of().weights_bytes, of().repacked_bytes)


def test_each_file_of_a_split_model_is_mapped_by_itself():
    """Offsets begin anew in every file; what one maps says nothing of another."""
    half = len(HEADER.tensors) // 2
    start = HEADER.tensors[half].offset
    moved = tuple(replace(t, part=1, offset=t.offset - start) for t in HEADER.tensors[half:])
    split = replace(HEADER, tensors=(*HEADER.tensors[:half], *moved))

    assert of().weights_bytes == pytest.approx(of(split).weights_bytes, abs=64)  # the padding between the two


def test_repacked_weights_are_there_twice_while_their_file_is_mapped():
    """The copy counts besides the mapping; what only lies at its end is no longer mapped."""
    header = header_of(llama_tensors(), kind="Q4_0")
    machine = Machine(frozenset({"Q4_0"}))
    matrices = sum(t.size_bytes for t in header.tensors if len(t.shape) > 1 and t.name != "token_embd.weight")
    last_norm = next(t for t in header.tensors if t.name == "blk.1.attn_norm.weight")

    assert matrices == of(header, machine).repacked_bytes
    assert last_norm.offset + last_norm.size_bytes == of(header, machine).weights_bytes


def test_repacked_weights_are_there_once_when_the_file_is_read():
    """Without a mapping, the rest and the copies together are the file."""
    header = header_of(llama_tensors(), kind="Q4_0")
    found = of(header, Machine(frozenset({"Q4_0"})), use_mmap=False)

    assert header.file_size == found.weights_bytes + found.repacked_bytes


def test_an_embedding_that_is_the_output_too_is_copied_for_it():
    """Looking rows up needs the plain order, multiplying the other."""
    tied, untied = (header_of(llama_tensors(tied=t), kind="Q4_0") for t in (True, False))
    machine = Machine(frozenset({"Q4_0"}))

    assert of(untied, machine).repacked_bytes == of(tied, machine).repacked_bytes


# --- everything else ---


def test_every_sequence_has_room_for_its_scores():
    """The output buffer grows with the vocabulary and with the sequences that run or are kept."""
    assert (2 + 3) * 1000 * 4 == of().output_bytes


def test_a_batch_needs_its_intermediate_results_and_its_mask():
    """Of the widest part of a layer, for every token computed at once."""
    assert (3 * 1024 + 4 * 512) * 512 * 4 + 1024 * 512 * 2 == of().compute_bytes
    assert (3 * 1024 + 4 * 512) * 64 * 4 + 1024 * 64 * 2 == of(n_ubatch=64).compute_bytes
    assert of(n_ubatch=64) == of(n_batch=64)


def test_without_fused_attention_the_scores_of_all_heads_exist_at_once():
    """They grow with the context; a quantised V cache turns fused attention on in any case."""
    grows = of(flash_attention="off", n_ctx=2048).compute_bytes - of(flash_attention="off").compute_bytes

    assert 1024 * 512 * (8 + 1) * 4 == grows
    assert of(cache_type_v="q8_0") == of(cache_type_v="q8_0", flash_attention="off")


def test_a_sliding_window_has_a_mask_of_its_own():
    """But no smaller cache: the worker keeps the whole context of such layers, too."""
    header = header_of(llama_tensors(), architecture="gemma3", metadata={"attention.sliding_window": 64})

    assert 1024 * 512 * 2 == of(header).compute_bytes - of().compute_bytes
    assert of(header).context_bytes == of().context_bytes


def test_a_large_vocabulary_outweighs_the_layers():
    """The scores of all sequences of a step can be more than what its layers need."""
    header = header_of(llama_tensors(n_vocab=2_000_000))

    assert 2 * (2_000_000 + 2 * 512) * 4 == of(header).compute_bytes


def test_the_process_has_a_base_and_the_vocabulary():
    """Python and its libraries, and llama.cpp's tables of tokens and merges."""
    header = header_of(llama_tensors(), arrays={TOKENS: 1000, "tokenizer.ggml.merges": 900})

    assert PROCESS_BYTES + 1000 * TOKEN_BYTES + 900 * MERGE_BYTES == of(header).process_bytes


def test_a_draft_model_and_adapters_come_on_top():
    """A second model has its own weights and context, but no second process."""
    both = footprint(HEADER, SETTINGS, CPU, draft=HEADER, adapter_bytes=100)

    assert (2 * of().context_bytes, 2 * of().weights_bytes) == (both.context_bytes, both.weights_bytes)
    assert of().process_bytes + 100 == both.process_bytes


def test_the_need_is_the_sum_of_the_parts():
    """In the kernel's words: weights, context, the rest, and the GPUs."""
    parts = Footprint(1, 2, 4, 8, 16, 32, 64)

    assert MemoryNeed(1, 4, 2 + 8 + 16 + 32, 64) == parts.need


# --- GPUs; by the formulas, as no machine of ours has one ---


def test_a_build_without_gpu_leaves_everything_in_main_memory():
    """The default asks for all layers on the GPU; without one that means none."""
    assert 0 == of(n_gpu_layers=-1).vram_bytes


def test_all_layers_on_the_gpu_leave_the_embedding():
    """Weights, caches and the scores go; looking up the embedding stays with the CPU."""
    found = of(machine=GPU)
    on_cpu = 512 * 1000 * 2

    assert (on_cpu, 0) == (found.weights_bytes, found.context_bytes)
    compute = (3 * 1024 + 4 * 512) * 512 * 4 + 1024 * 512 * 2
    assert HEADER.file_size - on_cpu + 1024 * CELL + compute + GPU_PROCESS_BYTES == found.vram_bytes


def test_the_last_layers_go_first():
    """The output counts as a layer: of two on the GPU, one is the output and one the last block."""
    found = of(machine=GPU, n_gpu_layers=2)

    assert 1024 * CELL // 2 == found.context_bytes
    assert of().weights_bytes > found.weights_bytes > of(machine=GPU).weights_bytes


def test_no_layers_on_the_gpu_is_as_without_one():
    """Turning it off takes nothing of it."""
    assert of() == of(machine=GPU, n_gpu_layers=0)


# --- corrected by what was measured ---

PREDICTED = Footprint(weights_bytes=999, compute_bytes=512)
USAGE = Usage(
    mapped_bytes=1000,
    anonymous_bytes=400,
    library_bytes=50,
    weights_bytes=10,
    context_bytes=300,
    compute_bytes=10_000,
)


def test_a_measured_need_is_what_the_kernel_counted():
    """Weights that are mapped or read, the context, and the rest with what a full batch will add."""
    assert MemoryNeed(1000 + 10, 300, 400 - 310 + 50 + 512, measured=True) == corrected(PREDICTED, USAGE)


def test_no_more_is_to_come_than_the_buffer_holds():
    """A prediction that is far too high does not survive the load."""
    usage = Usage(anonymous_bytes=400, compute_bytes=7)

    assert 400 + 7 == corrected(PREDICTED, usage).other_bytes


def test_a_gpu_has_a_base_as_well():
    """Where llama.cpp has buffers, the driver has its own."""
    usage = Usage(anonymous_bytes=1, vram_bytes=5)

    assert 5 + GPU_PROCESS_BYTES == corrected(PREDICTED, usage).vram_bytes


def test_without_a_measurement_the_prediction_stays():
    """A system without `smaps` tells nothing, and that is no measurement."""
    assert PREDICTED.need == corrected(PREDICTED, Usage(vram_bytes=5))
