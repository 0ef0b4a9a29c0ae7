"""The frames between server and worker: MessagePack with a length in front, over a Unix socket pair."""

from __future__ import annotations

import struct
from typing import Any, Literal

import msgspec

from hoshikage.plugins.engine_llamacpp.usage import Usage

LENGTH = struct.Struct("<I")

Finish = Literal["stop", "length"]
LogLevel = Literal["debug", "info", "warning", "error"]
RefusalKind = Literal["context", "invalid", "unsupported", "failed", "deadline"]
ConstraintKind = Literal["json_object", "json_schema", "regex", "choice", "lark", "gbnf"]


class ToolCall(msgspec.Struct, frozen=True, array_like=True):
    """A call in the conversation so far; `arguments` is a JSON object as text."""

    id: str
    name: str
    arguments: str


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """One message of a conversation; see `hoshikage.Message`."""

    role: str
    content: str
    name: str | None = None
    reasoning: str = ""
    tool_calls: list[ToolCall] = []
    tool_call_id: str = ""


class Tool(msgspec.Struct, frozen=True, array_like=True):
    """A function on offer; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


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
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    ignore_eos: bool = False


class Constraint(msgspec.Struct, frozen=True, array_like=True):
    """The form that an answer must have; see `hoshikage.Constraint`."""

    kind: ConstraintKind
    source: str
    param: str


class Thinking(msgspec.Struct, frozen=True, array_like=True):
    """How the model marks its thinking, and how long it may think; `budget` in tokens, negative is without end."""

    open: str
    close: str
    budget: int = -1


class Adapter(msgspec.Struct, frozen=True, array_like=True):
    """A LoRA adapter in use."""

    name: str
    scale: float


class StateStore(msgspec.Struct, frozen=True, array_like=True):
    """Where conversations are saved; see `StateSettings`.

    Attributes:
        key: model, build and number formats, as the name of a folder.
        folders: the fastest first.
        fast_bytes: what all models together may take in the folders but the last.
        disk_bytes: and in the last.
        interval_s: how often ended answers are saved.
        min_tokens: shorter texts are not.
    """

    key: str
    folders: list[str]
    fast_bytes: int
    disk_bytes: int
    interval_s: float
    min_tokens: int


class Init(msgspec.Struct, frozen=True, tag="init"):
    """What to load, and how: the first frame. See `LlamaCppSettings` for the fields.

    Attributes:
        chat_template: stands in for the file's own; empty: the file's own.
        state: `None` saves nothing.
    """

    path: str
    n_ctx: int
    n_batch: int
    n_ubatch: int
    max_pause_s: float
    max_num_seqs: int
    n_threads: int
    n_gpu_layers: int
    main_gpu: int
    split_mode: Literal["none", "layer", "row"]
    tensor_split: list[float]
    flash_attention: Literal["auto", "on", "off"]
    cache_type_k: str
    cache_type_v: str
    use_mmap: bool
    use_mlock: bool
    nice: int
    max_cached_seqs: int
    reuses_prefixes: bool
    lookup_tokens: int
    draft_model: str
    draft_tokens: int
    adapters: dict[str, str]
    pooling: Literal["model", "mean", "cls", "last"]
    chat_template: str = ""
    state: StateStore | None = None


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Begin `n` sequences: from `turns` through the chat template, or from raw `prompt`. See `hoshikage.ChatRequest`.

    Attributes:
        prompt: text or token ids; `None` where there are turns.
        logprobs: how many alternatives to report with each token; -1 reports nothing.
        markers: texts of special tokens that must come out as text.
        scope: sequences take over the cached beginnings of their own scope only.
        deadline_s: from the time that the frame arrives; 0 is none.
        so_far: what another worker, which has died, had said of each answer; `None` for one that was complete.
    """

    id: int
    turns: list[Turn]
    prompt: str | list[int] | None
    sampling: SamplingParams
    max_tokens: int | None
    stop: list[str]
    suffix: str | None = None
    tools: list[Tool] = []
    template_variables: dict[str, Any] = {}
    n: int = 1
    logprobs: int = -1
    constraint: Constraint | None = None
    thinking: Thinking | None = None
    markers: list[str] = []
    adapters: list[Adapter] = []
    scope: str = ""
    deadline_s: float = 0.0
    so_far: list[list[int] | None] = []


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """Turn texts or token ids into vectors; `truncate` cuts what is too long."""

    id: int
    inputs: list[str | list[int]]
    truncate: bool = False


class Rerank(msgspec.Struct, frozen=True, tag="rerank"):
    """Score documents against a query."""

    id: int
    query: str
    documents: list[str]


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    """Turn a text into token ids; with `special`, as a prompt."""

    id: int
    text: str
    special: bool


class Detokenize(msgspec.Struct, frozen=True, tag="detokenize"):
    """Turn token ids into text."""

    id: int
    tokens: list[int]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a sequence before its next step."""

    id: int


class Extend(msgspec.Struct, frozen=True, tag="extend"):
    """Make room for at least so many tokens."""

    id: int
    n_ctx: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End the worker."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded."""

    n_ctx: int
    size_bytes: int
    usage: Usage = Usage()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The model could not be loaded; the worker ends."""

    reason: str


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The prompt is tokenised and fits; `tail` is its end, for whoever reads the answer."""

    id: int
    prompt_tokens: int
    tail: str = ""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A request cannot begin or go on.

    Attributes:
        kind: the prompt does not fit; the field `param` is wrong; the model cannot do it; computing failed; it was
            not complete in time.
    """

    id: int
    reason: str
    kind: RefusalKind
    prompt_tokens: int = 0
    n_ctx: int = 0
    param: str = "messages"


class Alternative(msgspec.Struct, frozen=True, array_like=True):
    """A token's bytes and the natural logarithm of its probability."""

    token: bytes
    logprob: float


class Logprob(msgspec.Struct, frozen=True, array_like=True):
    """A chosen token, and the likeliest ones at its place."""

    token: bytes
    logprob: float
    top: list[Alternative]


class Account(msgspec.Struct, frozen=True, array_like=True):
    """What one sequence cost; see `hoshikage.Usage`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    thinking_tokens: int
    drafted_tokens: int
    accepted_tokens: int
    preemptions: int
    prefill_s: float
    decode_s: float


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What one step added to one sequence; `finish` ends it, with its account."""

    id: int
    index: int
    text: str
    tokens: list[int]
    logprobs: list[Logprob] = []
    finish: Finish | None = None
    account: Account | None = None


class Counters(msgspec.Struct, array_like=True):
    """What the worker has done since its start; see `hoshikage.EngineCounters`. The worker counts in one of these."""

    steps: int = 0
    compute_s: float = 0.0
    batch_tokens: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0
    running: int = 0
    waiting: int = 0
    cells_total: int = 0
    cells_used: int = 0
    cells_kept: int = 0
    restored_tokens: int = 0
    saved_bytes: int = 0


class Step(msgspec.Struct, frozen=True, tag="step"):
    """One decode step: the deltas of all its sequences in one frame, and now and then how things stand."""

    deltas: list[Delta]
    counters: Counters | None = None


class Embedded(msgspec.Struct, frozen=True, tag="embedded"):
    """Vectors of length 1 as little-endian 32-bit floats, one after another."""

    id: int
    dimensions: int
    vectors: bytes
    prompt_tokens: int


class Scored(msgspec.Struct, frozen=True, tag="scored"):
    """One score per document."""

    id: int
    scores: list[float]
    prompt_tokens: int


class Tokenized(msgspec.Struct, frozen=True, tag="tokenized"):
    """Token ids."""

    id: int
    tokens: list[int]


class Detokenized(msgspec.Struct, frozen=True, tag="detokenized"):
    """Text."""

    id: int
    text: str


class Extended(msgspec.Struct, frozen=True, tag="extended"):
    """How much room there is now."""

    id: int
    n_ctx: int
    size_bytes: int
    usage: Usage = Usage()


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line that llama.cpp wrote."""

    level: LogLevel
    text: str


ToWorker = Init | Generate | Embed | Rerank | Tokenize | Detokenize | Extend | Cancel | Stop
FromWorker = Ready | Failed | Begun | Refused | Step | Embedded | Scored | Tokenized | Detokenized | Extended | Log

_encoder = msgspec.msgpack.Encoder()
to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def pack(frame: ToWorker | FromWorker) -> bytes:
    """Encode a frame with its length in front."""
    body = _encoder.encode(frame)
    return LENGTH.pack(len(body)) + body
