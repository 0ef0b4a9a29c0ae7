"""Lines of llama.cpp's log, as it writes them, and the buffers they tell of."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers

MIB = 1 << 20
GEMMA = """\
load_tensors:   CPU_Mapped model buffer size =   235.16 MiB
load_tensors:   CPU_REPACK model buffer size =    12.50 MiB
llama_context: n_ctx                 = 8192
llama_context:        CPU  output buffer size =    64.00 MiB
llama_kv_cache:        CPU KV buffer size =    24.00 MiB
llama_kv_cache: size =   24.00 MiB (  8192 cells,   3 layers, 64/1 seqs), K (f16):   12.00 MiB, V (f16):   12.00 MiB
llama_kv_cache:        CPU KV buffer size =   120.00 MiB
sched_reserve:        CPU compute buffer size =   514.50 MiB
"""
CUDA = """\
load_tensors:   CPU_Mapped model buffer size =   100.00 MiB
load_tensors:        CUDA0 model buffer size =   200.00 MiB
load_tensors:        CUDA1 model buffer size =   300.00 MiB
llama_context:  CUDA_Host  output buffer size =     1.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    32.00 MiB
llama_memory_recurrent:        CPU RS buffer size =     4.00 MiB
sched_reserve:      CUDA0 compute buffer size =    64.00 MiB
sched_reserve:  CUDA_Host compute buffer size =     8.00 MiB
"""


def buffers_of(log: str) -> Buffers:
    """What these lines tell."""
    buffers = Buffers()
    for line in log.splitlines():
        buffers.read(line)
    return buffers


def test_both_caches_of_a_sliding_window_count():
    """The same line comes twice, once for the layers with a window and once for the others."""
    buffers = buffers_of(GEMMA)

    assert (144 * MIB, 514.5 * MIB, 12.5 * MIB) == (
        buffers.context_bytes,
        buffers.compute_bytes,
        buffers.repacked_bytes,
    )


def test_what_is_mapped_or_copied_was_not_read():
    """Only a plain buffer holds weights that were read into memory."""
    read = "load_tensors:          CPU model buffer size =   222.50 MiB"

    assert (0, 222.5 * MIB) == (buffers_of(GEMMA).weights_bytes, buffers_of(read).weights_bytes)


def test_copies_for_amx_are_in_main_memory():
    """Its buffer has a name of its own, and is no GPU's."""
    buffers = buffers_of("load_tensors:          AMX model buffer size =    95.50 MiB")

    assert (95.5 * MIB, 0, 0) == (buffers.repacked_bytes, buffers.weights_bytes, buffers.vram_bytes)


def test_gpus_are_apart():
    """What is on any GPU counts there; what the host keeps for it is main memory."""
    buffers = buffers_of(CUDA)

    assert (596 * MIB, 8 * MIB, 4 * MIB) == (buffers.vram_bytes, buffers.compute_bytes, buffers.context_bytes)


def test_a_new_context_replaces_the_old_one():
    """After a resize, only the weights and the new buffers are there."""
    buffers = buffers_of(GEMMA)
    buffers.replace_context(buffers_of("llama_kv_cache:        CPU KV buffer size =     1.00 MiB"))

    assert (MIB, 0, 12.5 * MIB) == (buffers.context_bytes, buffers.compute_bytes, buffers.repacked_bytes)


@pytest.mark.parametrize(
    "line", ["", "x: CPU KV buffer size = much MiB", "x: CPU fruit buffer size = 1.00 MiB", "\x00"]
)
def test_other_lines_say_nothing(line):
    """A line that is not understood changes nothing."""
    buffers = buffers_of(line)

    assert (0, 0, 0) == (buffers.context_bytes, buffers.compute_bytes, buffers.vram_bytes)
