"""Predicting what a load takes from the header of the file and the settings.

The formulas follow how llama.cpp lays out its buffers, and were checked against what it reports and what the kernel
counts with SmolLM2-135M, Gemma-3-270M and generated models of other shapes (docs/benchmarks/swap.md). Running states
and latent attention follow its published formulas. What a GPU takes has not been run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hoshikage import MemoryNeed
from hoshikage.plugins.engine_llamacpp.layout import Layout
from hoshikage.plugins.engine_llamacpp.repacking import copy_bytes
from hoshikage.plugins.engine_llamacpp.shape import shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gguf import GgufHeader, TensorInfo
    from hoshikage.plugins.engine_llamacpp.machine import Machine
    from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
    from hoshikage.plugins.engine_llamacpp.usage import Usage

MIB: Final = 1 << 20
# Read by index and never multiplied with, so they are not repacked.
LOOKED_UP: Final = frozenset({"token_embd.weight", "position_embd.weight", "token_types.weight"})

# Measured with the worker of this version, CPython 3.11 and llama-cpp-python 0.3.36 on Linux x86-64: 36 MiB of its own
# and 25 MiB of resident library pages.
PROCESS_BYTES: Final = 61 * MIB
TOKEN_BYTES: Final = 154  # of each entry of the vocabulary, in llama.cpp's tables
MERGE_BYTES: Final = 120
GPU_PROCESS_BYTES: Final = 300 * MIB  # what a CUDA context commonly takes; not measured here


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a load is expected to take; the sizes in main memory unless they are of the GPUs.

    Attributes:
        weights_bytes: weights, mapped or read.
        repacked_bytes: copies of weights in another order.
        context_bytes: KV cache and running states.
        output_bytes: the buffer for the scores of all vocabulary entries.
        compute_bytes: intermediate results of a full batch.
        process_bytes: the process with its libraries and the vocabulary.
        vram_bytes: everything on the GPUs.
    """

    weights_bytes: int = 0
    repacked_bytes: int = 0
    context_bytes: int = 0
    output_bytes: int = 0
    compute_bytes: int = 0
    process_bytes: int = 0
    vram_bytes: int = 0

    @property
    def need(self) -> MemoryNeed:
        """The same in the kernel's words."""
        other = self.repacked_bytes + self.output_bytes + self.compute_bytes + self.process_bytes
        return MemoryNeed(self.weights_bytes, self.context_bytes, other, self.vram_bytes)


def footprint(
    header: GgufHeader,
    settings: LlamaCppSettings,
    machine: Machine,
    *,
    context_length: int = 0,
    draft: GgufHeader | None = None,
    adapter_bytes: int = 0,
) -> Footprint:
    """Predict what a load takes.

    Args:
        header: of the model.
        settings: as they hold for this model.
        machine: where it is loaded.
        context_length: tokens that the context shall hold; 0 leaves it to the settings.
        draft: the header of the draft model, where there is one.
        adapter_bytes: the size of its LoRA adapters.

    Raises:
        ModelFileError: a value in a header is impossible.
    """
    parts = [_model(header, settings, machine, context_length)]
    if draft is not None:
        parts.append(_model(draft, settings, machine, context_length))
    return Footprint(
        weights_bytes=sum(part.weights_bytes for part in parts),
        repacked_bytes=sum(part.repacked_bytes for part in parts),
        context_bytes=sum(part.context_bytes for part in parts),
        output_bytes=sum(part.output_bytes for part in parts),
        compute_bytes=sum(part.compute_bytes for part in parts),
        process_bytes=PROCESS_BYTES + sum(part.process_bytes for part in parts) + adapter_bytes,
        vram_bytes=sum(part.vram_bytes for part in parts) + (GPU_PROCESS_BYTES if parts[0].vram_bytes else 0),
    )


def corrected(predicted: Footprint, usage: Usage) -> MemoryNeed:
    """What a load takes, by what its worker measured when the model was ready.

    The worker has computed nothing by then, so the pages of its compute buffer are unused; they are added as predicted.
    Where the kernel does not tell, the prediction stays.
    """
    if not usage.anonymous_bytes:
        return predicted.need
    named = usage.weights_bytes + usage.context_bytes
    rest = max(usage.anonymous_bytes - named, 0) + usage.library_bytes
    return MemoryNeed(
        weights_bytes=usage.mapped_bytes + usage.weights_bytes,
        context_bytes=usage.context_bytes,
        other_bytes=rest + min(predicted.compute_bytes, usage.compute_bytes),
        vram_bytes=usage.vram_bytes + (GPU_PROCESS_BYTES if usage.vram_bytes else 0),
        measured=True,
    )


def _model(header: GgufHeader, settings: LlamaCppSettings, machine: Machine, context_length: int) -> Footprint:
    """One model with its context, without the process."""
    shape = shape_of(header)
    layout = Layout(shape, settings, context_length, has_gpu=machine.has_gpu)
    on_cpu, on_gpu = layout.share_out(header.tensors)
    sizes = {t.name: 0 if t.name in LOOKED_UP else copy_bytes(t, machine) for t in on_cpu}
    kept = [t for t in on_cpu if not sizes[t.name]]
    copies = sum(sizes.values())
    gpu_bytes = sum(t.size_bytes for t in on_gpu)
    if shape.tied:
        # The embedding matrix is looked up on the CPU; as the output matrix it may have to lie elsewhere, too.
        embedding = next((t for t in header.tensors if t.name == "token_embd.weight"), None)
        if embedding is not None and layout.n_gpu_layers:
            gpu_bytes += embedding.size_bytes
        elif embedding is not None:
            copies += copy_bytes(embedding, machine)
    context_bytes = {gpu: layout.context_bytes(gpu=gpu) for gpu in (False, True)}
    return Footprint(
        weights_bytes=_span(kept) if settings.use_mmap else sum(t.size_bytes for t in kept),
        repacked_bytes=copies,
        context_bytes=context_bytes[False],
        output_bytes=layout.output_bytes(),
        compute_bytes=layout.compute_bytes(),
        process_bytes=shape.n_tokens * TOKEN_BYTES + shape.n_merges * MERGE_BYTES,
        vram_bytes=gpu_bytes + context_bytes[True] + layout.reserved_bytes() if layout.n_gpu_layers else 0,
    )


def _span(tensors: Sequence[TensorInfo]) -> int:
    """What stays mapped: of each file of the model, from the first of these tensors in it to the last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for t in tensors:
        first[t.part] = min(first.get(t.part, t.offset), t.offset)
        last[t.part] = max(last.get(t.part, 0), t.offset + t.size_bytes)
    return sum(last[part] - first[part] for part in first)
