"""llama.cpp through its low-level binding: a model with its context, and the batch of one step."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

import llama_cpp
import msgspec

from hoshikage.plugins.engine_llamacpp.machine import may_reorder
from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize
from hoshikage.plugins.engine_llamacpp.worker.warm_memory import give_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.frames import Init
    from hoshikage.plugins.engine_llamacpp.worker.sequence import Adapters

FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
# ggml_log_level as ggml.h has it (the binding's own logger is out of date): 0 is none, 5 goes on with the last line.
LOG_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}
SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}
NO_SLOT = 1
LAST_WORDS = 3
MAX_SLOTS = 256  # llama.cpp's LLAMA_MAX_SEQ


class LoadError(Exception):
    """llama.cpp would not load the file or build the context; its own last words are in the text."""


class NativeLog:
    """Collects what llama.cpp says; its errors explain a failed load."""

    def __init__(self, forward: Callable[[str, str], None]) -> None:
        self._forward = forward
        self._level = "info"
        self._buffers = Buffers()
        self.errors: list[str] = []
        # ctypes keeps no reference to a callback: without this attribute it would be freed while in use.
        self._callback = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def note_buffers_in(self, buffers: Buffers) -> None:
        """From now on, what llama.cpp says of its buffers belongs to these."""
        self._buffers = buffers

    def _receive(self, level: int, text: bytes, _user_data: Any) -> None:
        self._level = LOG_LEVELS.get(level, self._level)
        line = text.decode("utf-8", "replace").rstrip()
        if not line or line == ".":
            return
        self._buffers.read(line)
        if self._level == "error":
            self.errors.append(line)
        if self._level in {"warning", "error"}:
            self._forward(self._level, line)


class NativeModel:
    """A loaded model, its context and its vocabulary.

    Raises:
        LoadError: the file cannot be loaded, or the context does not fit in memory.
    """

    def __init__(self, init: Init, log: NativeLog) -> None:
        llama_cpp.llama_backend_init()
        self._init = init
        self._log = log
        self.buffers = Buffers()
        log.note_buffers_in(self.buffers)
        self.model: Any = _load_model(init.path, init, log)
        self.vocab: Any = llama_cpp.llama_model_get_vocab(self.model)
        self.cuttable: bool = _is_cuttable(self.model)
        self.n_slots: int = min(init.max_num_seqs + init.max_cached_seqs, MAX_SLOTS)
        self.context: Any = None
        self._memory: Any = None
        self.n_ctx: int = 0
        self.size_bytes: int = 0
        self._use(self._first_context())
        self.generates: bool = bool(self._memory)
        self.n_vocab: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self._adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self.vocab))
        self._pieces: dict[int, bytes] = {}
        self._adapters = {name: _load_adapter(self.model, name, path, log) for name, path in init.adapters.items()}
        self._adapters_in_use: Adapters = ()

    def _first_context(self) -> Any:
        try:
            return _new_context(self.model, self._init, self._log, n_seq_max=self.n_slots)
        except LoadError:
            llama_cpp.llama_model_free(self.model)
            raise

    @property
    def adapter_names(self) -> list[str]:
        """The LoRA adapters that requests may ask for."""
        return list(self._adapters)

    def use_adapters(self, adapters: Adapters) -> None:
        """Compute the next steps with these LoRA adapters and no others."""
        if adapters == self._adapters_in_use:
            return
        count = len(adapters)
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*(self._adapters[name] for name, _ in adapters))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters))
        llama_cpp.llama_set_adapters_lora(self.context, handles, count, scales)
        self._adapters_in_use = adapters

    def chat_template(self) -> str:
        """The template of the file, or nothing."""
        template = llama_cpp.llama_model_chat_template(self.model, None)
        return template.decode("utf-8", "replace") if template else ""

    def special_text(self, *, bos: bool) -> str:
        """The text of the token that begins a prompt, or of the one that ends an answer."""
        token = llama_cpp.llama_vocab_bos(self.vocab) if bos else llama_cpp.llama_vocab_eos(self.vocab)
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def tokenize(self, text: str, *, templated: bool, special: bool = True) -> list[int]:
        """Turn text into token ids.

        A template may have written the beginning-of-sequence token itself; the vocabulary would add it again.

        Args:
            text: any text.
            templated: whether a chat template wrote the text.
            special: whether to add what a prompt begins with, and to read the names of special tokens as these.
        """
        bos = self.special_text(bos=True)
        if templated and self._adds_bos and bos:
            text = text.removeprefix(bos)
        return tokenize(self.vocab, text, add_special=special, parse_special=special)

    def token_of(self, text: str) -> int | None:
        """The one special token with this text, where the vocabulary has it."""
        tokens = tokenize(self.vocab, text, add_special=False, parse_special=True)
        return tokens[0] if len(tokens) == 1 and not self.piece(tokens[0]) else None

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; they need not be whole characters."""
        key = -1 - token if special else token
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = self._read_piece(token, special=special)
        return found

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        n = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[: max(n, 0)]

    def text_of(self, tokens: list[int]) -> str:
        """The text of tokens, special ones by their names."""
        return b"".join(self.piece(token, special=True) for token in tokens).decode("utf-8", "replace")

    @functools.cached_property
    def end_tokens(self) -> frozenset[int]:
        """Every token that ends an answer; asking the whole vocabulary takes some ten milliseconds, the first time."""
        return frozenset(token for token in range(self.n_vocab) if self.ends_answer(token))

    def ends_answer(self, token: int) -> bool:
        """Whether the model says with this token that the answer is complete."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def share(self, source: int, slot: int, start: int, end: int) -> None:
        """Let a slot use another one's cells from position `start` to `end`; no cell is copied."""
        # A memory that cannot be cut has no part of itself to hand on, only the whole.
        span = (start, end) if self.cuttable else (-1, -1)
        llama_cpp.llama_memory_seq_cp(self._memory, source, slot, *span)

    def forget(self, slot: int) -> None:
        """Free all cells of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def free(self, slot: int, start: int, end: int = -1) -> None:
        """Free the cells of a sequence from position `start` to `end`, or all after it."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, start, end)

    def snapshot(self, slot: int) -> bytearray:
        """What the model remembers of a slot's text, to be given to `restore`; empty if it cannot be had."""
        size = llama_cpp.llama_state_seq_get_size(self.context, slot)
        memory = bytearray(size)
        written = llama_cpp.llama_state_seq_get_data(self.context, _bytes_of(memory), size, slot) if size else 0
        return memory[:written] if written < size else memory

    def restore(self, slot: int, memory: bytearray) -> bool:
        """Give an empty slot what `snapshot` took. Returns whether llama.cpp took all of it."""
        size = len(memory)
        return bool(llama_cpp.llama_state_seq_set_data(self.context, _bytes_of(memory), size, slot) == size)

    def extend_context(self, n_ctx: int) -> None:
        """Go on with a larger context on the same weights; everything in the old one is moved there.

        Raises:
            LoadError: there is no memory for it; the old context is as it was.
        """
        wanted = msgspec.structs.replace(self._init, n_ctx=n_ctx)
        self._log.note_buffers_in(larger := Buffers())
        context = _new_context(self.model, wanted, self._log, n_seq_max=self.n_slots)
        size = llama_cpp.llama_state_get_size(self.context)
        everything = bytearray(size)
        taken = llama_cpp.llama_state_get_data(self.context, _bytes_of(everything), size)
        if llama_cpp.llama_state_set_data(context, _bytes_of(everything), taken) != taken:
            llama_cpp.llama_free(context)
            raise LoadError(_last_words(self._log, f"a context of {n_ctx} tokens does not take over what is computed"))
        llama_cpp.llama_free(self.context)
        give_back()
        self._use(context)
        self.buffers.replace_context(larger)
        self._log.note_buffers_in(self.buffers)
        adapters, self._adapters_in_use = self._adapters_in_use, ()
        self.use_adapters(adapters)

    def _use(self, context: Any) -> None:
        self.context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self.n_ctx = llama_cpp.llama_n_ctx(context)
        self.size_bytes = llama_cpp.llama_model_size(self.model) + _cache_bytes(self.model, self.n_ctx)

    def close(self) -> None:
        """Free adapters, context and model."""
        for adapter in self._adapters.values():
            llama_cpp.llama_adapter_lora_free(adapter)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


class Batch:
    """The tokens of one step."""

    def __init__(self, capacity: int) -> None:
        self._batch = llama_cpp.llama_batch_init(capacity, 0, 1)

    def clear(self) -> None:
        """Begin a new step."""
        self._batch.n_tokens = 0

    def add(self, tokens: list[int], *, position: int, slot: int, choose: int) -> int:
        """Append tokens of one sequence, and ask for the logits of the last `choose` of them.

        Returns:
            The row of the last token.
        """
        batch = self._batch
        row: int = batch.n_tokens
        for offset, token in enumerate(tokens):
            batch.token[row] = token
            batch.pos[row] = position + offset
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = slot
            batch.logits[row] = len(tokens) - offset <= choose
            row += 1
        batch.n_tokens = row
        return row - 1

    def decode(self, model: NativeModel) -> int:
        """Compute the step. Returns llama.cpp's code: 0 done, 1 no room in the cache, else an error."""
        return int(llama_cpp.llama_decode(model.context, self._batch))

    def close(self) -> None:
        """Free the arrays."""
        llama_cpp.llama_batch_free(self._batch)


def _load_model(path: str, init: Init, log: NativeLog) -> Any:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = init.n_gpu_layers
    params.main_gpu = init.main_gpu
    params.split_mode = SPLIT_MODES[init.split_mode]
    params.use_extra_bufts = may_reorder()
    params.load_mode = _load_mode(use_mmap=init.use_mmap, use_mlock=init.use_mlock)
    shares = _tensor_split(init.tensor_split)
    if shares is not None:
        params.tensor_split = shares
    model = llama_cpp.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise LoadError(_last_words(log, "llama.cpp cannot load the file"))
    return model


def _tensor_split(shares: Seq[float]) -> Any:
    """The shares of the GPUs as llama.cpp reads them: one for each device that there could be.

    Raises:
        LoadError: there are more shares than llama.cpp can have devices.
    """
    if not shares:
        return None
    most = llama_cpp.llama_max_devices()
    if len(shares) > most:
        raise LoadError(f"tensor_split names {len(shares)} devices; this build of llama.cpp knows at most {most}")
    return (ctypes.c_float * most)(*shares)


def _load_adapter(model: Any, name: str, path: str, log: NativeLog) -> Any:
    adapter = llama_cpp.llama_adapter_lora_init(model, path.encode())
    if not adapter:
        raise LoadError(_last_words(log, f"the LoRA adapter {name!r} ({path}) cannot be loaded"))
    return adapter


def _load_mode(*, use_mmap: bool, use_mlock: bool) -> int:
    if use_mmap:
        return int(llama_cpp.LLAMA_LOAD_MODE_MMAP_MLOCK if use_mlock else llama_cpp.LLAMA_LOAD_MODE_MMAP)
    return int(llama_cpp.LLAMA_LOAD_MODE_MLOCK if use_mlock else llama_cpp.LLAMA_LOAD_MODE_NONE)


def _new_context(model: Any, init: Init, log: NativeLog, *, n_seq_max: int) -> Any:
    trained = llama_cpp.llama_model_n_ctx_train(model)
    if trained <= 0:  # from 2^31 on it is read as a negative number, which would be a context of terabytes
        raise LoadError("the file's context_length is no number of tokens that llama.cpp can have")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = min(init.n_ctx or trained, trained)
    params.n_batch = init.n_batch
    params.n_ubatch = min(init.n_ubatch, init.n_batch)
    params.n_seq_max = n_seq_max
    params.n_outputs_max = max(init.n_batch, n_seq_max)
    params.n_threads = init.n_threads
    params.n_threads_batch = init.n_threads
    params.flash_attn_type = FLASH_ATTENTION[init.flash_attention]
    params.type_k = _cache_type(init.cache_type_k)
    params.type_v = _cache_type(init.cache_type_v)
    params.kv_unified = True  # all sequences share the cells, so one long prompt may use what others do not
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise LoadError(_last_words(log, f"no context of {params.n_ctx} tokens can be made"))
    return context


def _bytes_of(memory: bytearray) -> Any:
    """A C array over the same bytes; the bytearray must outlive it."""
    return (ctypes.c_uint8 * len(memory)).from_buffer(memory)


def _is_cuttable(model: Any) -> bool:
    """Whether the memory can be cut at any token: not where it is a running state or a sliding window."""
    state = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
    return not state and llama_cpp.llama_model_n_swa(model) == 0


def _cache_type(name: str) -> int:
    return int(getattr(llama_cpp, f"GGML_TYPE_{name.upper()}"))


def _cache_bytes(model: Any, n_ctx: int) -> int:
    """The KV cache at f16, from the model's shape; recurrent and sliding-window caches are smaller."""
    heads = max(llama_cpp.llama_model_n_head(model), 1)
    width = llama_cpp.llama_model_n_embd(model) // heads * llama_cpp.llama_model_n_head_kv(model)
    return int(2 * 2 * llama_cpp.llama_model_n_layer(model) * width * n_ctx)


def _last_words(log: NativeLog, what: str) -> str:
    """The last line alone is often only that it failed; the ones before it say why."""
    return f"{what}: {'; '.join(log.errors[-LAST_WORDS:])}" if log.errors else what
