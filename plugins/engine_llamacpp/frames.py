"""The frames between server and worker: MessagePack with a length in front, over a Unix socket pair."""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

LENGTH = struct.Struct("<I")

Finish = Literal["stop", "length"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """One message of a conversation."""

    role: str
    content: str
    name: str | None = None


class SamplingParams(msgspec.Struct, frozen=True):
    """Sampling with every default filled in; see `hoshikage.Sampling` for the meanings."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: dict[int, float] = {}


class Init(msgspec.Struct, frozen=True, tag="init"):
    """What to load, and how: the first frame. See `LlamaCppSettings` for the fields."""

    path: str
    n_ctx: int
    n_batch: int
    n_ubatch: int
    prefill_chunk: int
    max_num_seqs: int
    n_threads: int
    n_gpu_layers: int
    main_gpu: int
    flash_attention: Literal["auto", "on", "off"]
    cache_type_k: str
    cache_type_v: str
    use_mmap: bool
    use_mlock: bool
    nice: int


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Begin a sequence: from `turns` through the chat template, or from raw `prompt`."""

    id: int
    turns: list[Turn]
    prompt: str | None
    sampling: SamplingParams
    max_tokens: int | None
    stop: list[str]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a sequence before its next step."""

    id: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End the worker."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded."""

    n_ctx: int
    size_bytes: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The model could not be loaded; the worker ends."""

    reason: str


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The prompt is tokenised and fits."""

    id: int
    prompt_tokens: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A sequence cannot begin or go on: the prompt does not fit, the field `param` is wrong, or computing failed."""

    id: int
    reason: str
    kind: Literal["context", "invalid", "failed"]
    prompt_tokens: int = 0
    n_ctx: int = 0
    param: str = "messages"


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What one step added to one sequence; `finish` ends it."""

    id: int
    text: str
    tokens: int
    finish: Finish | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    cached_tokens: int = 0


class Step(msgspec.Struct, frozen=True, tag="step"):
    """One decode step: the deltas of all its sequences in one frame."""

    deltas: list[Delta]


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line that llama.cpp wrote."""

    level: LogLevel
    text: str


ToWorker = Init | Generate | Cancel | Stop
FromWorker = Ready | Failed | Begun | Refused | Step | Log

_encoder = msgspec.msgpack.Encoder()
to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def pack(frame: ToWorker | FromWorker) -> bytes:
    """Encode a frame with its length in front."""
    body = _encoder.encode(frame)
    return LENGTH.pack(len(body)) + body
