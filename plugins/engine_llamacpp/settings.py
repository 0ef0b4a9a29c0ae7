"""The settings of the llama.cpp engine; every one can also stand in a model's `options`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from hoshikage import Unit

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


@dataclass(frozen=True, slots=True)
class LlamaCppSettings:
    """How models are loaded and how steps are filled."""

    n_ctx: Annotated[
        int,
        Unit("tokens"),
        Meta(ge=0, le=16_777_216, description="Context shared by all callers; 0 is the model's trained length."),
    ] = 8192
    n_batch: Annotated[
        int, Unit("tokens"), Meta(ge=32, le=65_536, description="The most tokens that one step computes.")
    ] = 512
    n_ubatch: Annotated[
        int, Unit("tokens"), Meta(ge=32, le=65_536, description="The most tokens computed in one piece.")
    ] = 512
    max_pause_s: Annotated[
        float,
        Unit("s"),
        Meta(gt=0, le=60, description="How long an arriving prompt may hold up the answers of others at a time."),
    ] = 0.25
    max_num_seqs: Annotated[
        int, Meta(ge=1, le=256, description="Requests answered at once; more of them wait in the worker.")
    ] = 16
    n_threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads for computing; 0 takes the cores this process may use.")
    ] = 0
    n_gpu_layers: Annotated[
        int, Meta(ge=-1, le=10_000, description="Layers on the GPU; -1 is all, 0 is CPU only.")
    ] = -1
    main_gpu: Annotated[int, Meta(ge=0, le=63, description="The GPU that holds what is not split.")] = 0
    split_mode: Annotated[
        Literal["none", "layer", "row"],
        Meta(description="How several GPUs share the model: not at all, by layers, or by rows of each matrix."),
    ] = "layer"
    tensor_split: Annotated[
        tuple[Annotated[float, Meta(ge=0)], ...],
        Meta(max_length=16, description="The share of each GPU, e.g. [3, 1]; empty goes by their free memory."),
    ] = ()
    flash_attention: Annotated[
        Literal["auto", "on", "off"], Meta(description="Fused attention; a quantised V cache needs it.")
    ] = "auto"
    cache_type_k: Annotated[CacheType, Meta(description="Number format of the K cache; smaller saves memory.")] = "f16"
    cache_type_v: Annotated[CacheType, Meta(description="Number format of the V cache; smaller saves memory.")] = "f16"
    use_mmap: Annotated[bool, Meta(description="Map the file instead of reading it.")] = True
    use_mlock: Annotated[bool, Meta(description="Keep the model from being swapped out.")] = False
    nice: Annotated[
        int, Meta(ge=0, le=19, description="How much the worker yields to the HTTP side; 0 not at all.")
    ] = 0
    max_cached_seqs: Annotated[
        int,
        Meta(ge=0, le=192, description="Ended requests whose computed text is kept for others; 0 keeps none."),
    ] = 48
    lookup_tokens: Annotated[
        int,
        Unit("tokens"),
        Meta(ge=0, le=64, description="The longest guess by prompt lookup: text that repeats is made faster. 0: off."),
    ] = 0
    draft_model: Annotated[
        str, Meta(description="GGUF file of a small model with the same vocabulary that guesses ahead; empty: none.")
    ] = ""
    draft_tokens: Annotated[
        int, Unit("tokens"), Meta(ge=1, le=64, description="The longest guess by the draft model.")
    ] = 8
    adapters: Annotated[
        dict[str, str], Meta(description="LoRA adapters that requests may ask for: name to GGUF file.")
    ] = field(default_factory=dict)
    spare_workers: Annotated[
        int,
        Meta(ge=0, le=16, description="Processes that wait, ready, for the next model; each takes some 200 MB."),
    ] = 1
    pooling: Annotated[
        Literal["model", "mean", "cls", "last"],
        Meta(description="How embeddings are made of tokens; `model`: as the file says, else the mean."),
    ] = "model"


@dataclass(frozen=True, slots=True)
class PrefixCacheSettings:
    """Who profits from text that is already computed."""

    scope: Annotated[
        Literal["all", "caller", "off"],
        Meta(description="Whose requests may reuse computed text: of everyone, of the same caller only, or nobody's."),
    ] = "all"


@dataclass(frozen=True, slots=True)
class StateSettings:
    """What stays of conversations when a model is unloaded, so that nothing is read twice."""

    enabled: Annotated[bool, Meta(description="Whether the computed state of conversations is saved in files.")] = True
    folder: Annotated[str, Meta(description="Where on disk; empty: `state` in the data directory.")] = ""
    size_gib: Annotated[
        float, Unit("GiB"), Meta(ge=0, description="What all models together may take on disk; the oldest goes first.")
    ] = 8.0
    fast_gib: Annotated[
        float,
        Unit("GiB"),
        Meta(ge=0, description="And beside the staged models on the RAM disk; more moves to the disk."),
    ] = 1.0
    interval_s: Annotated[
        float, Unit("s"), Meta(gt=0, description="How often ended answers are saved while the model stays loaded.")
    ] = 180.0
    min_tokens: Annotated[
        int, Unit("tokens"), Meta(ge=1, description="Shorter conversations are computed again instead.")
    ] = 64
