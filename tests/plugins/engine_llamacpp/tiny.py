"""Tiny GGUF models of several kinds that llama.cpp loads in milliseconds, written anew for each test run.

Their weights are random, always the same for one function and its arguments. What they say means nothing, but it
depends on every token before, so whoever computes something twice or forgets something gets another answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Weights = NDArray[np.float32]

WIDTH = 64
HEADS = 4
KV_HEADS = 2
HEAD_WIDTH = WIDTH // HEADS
HIDDEN = 128
CONTEXT = 1024
SLIDING_WINDOW = 16
INNER = 128  # width of a Mamba layer
STATE = 8
CONV = 4
RANK = 8  # of Mamba's time step
LORA_RANK = 4

UNKNOWN, BOS, EOS, FIM_PRE, FIM_SUF, FIM_MID, IM_START, IM_END = range(8)
SPECIALS = ("<unk>", "<s>", "</s>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|im_start|>", "<|im_end|>")
LETTERS = "\u2581abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()[]{}<>|/_-+=*\\\n"
FIRST_BYTE = len(SPECIALS)
FIRST_LETTER = FIRST_BYTE + 256
N_VOCAB = FIRST_LETTER + len(LETTERS)

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
POOLING = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS, "rank": gguf.PoolingType.RANK}


def write_llama(
    file: Path, *, fim: bool = True, chat_template: str = "", pooling: str = "", noise: float = 0.0
) -> Path:
    """Write a Llama whose tokens are characters; greedily, it never ends by itself."""
    writer = _writer(file, "llama")
    _write_characters(writer, fim=fim, chat_template=chat_template)
    _write_attention_sizes(writer)
    if pooling:
        writer.add_pooling_type(POOLING[pooling])
    random = _Random(1)
    writer.add_tensor("token_embd.weight", random.matrix(N_VOCAB, WIDTH, scale=1.0))
    writer.add_tensor("output_norm.weight", _ones(WIDTH))
    output = random.matrix(N_VOCAB, WIDTH) + noise * _Random(7).matrix(N_VOCAB, WIDTH)
    writer.add_tensor("output.weight", _only_letters(output))
    for layer in range(2):
        block = f"blk.{layer}"
        writer.add_tensor(f"{block}.attn_norm.weight", _ones(WIDTH))
        _write_attention(writer, block, random)
        writer.add_tensor(f"{block}.ffn_norm.weight", _ones(WIDTH))
        _write_gated_ffn(writer, block, random)
    return _finish(writer, file)


def write_draft(file: Path) -> Path:
    """Write a model that says nearly what `write_llama`'s says: most of its guesses are right, but not all."""
    return write_llama(file, noise=0.3)


def write_sliding_window(file: Path) -> Path:
    """Write a Gemma 2 whose first layer sees `SLIDING_WINDOW` tokens, and whose second sees all."""
    writer = _writer(file, "gemma2")
    _write_characters(writer, fim=False, chat_template="")
    _write_attention_sizes(writer)
    writer.add_sliding_window(SLIDING_WINDOW)
    random = _Random(2)
    # It is the output matrix too. Small rows never win; they keep controls and bytes out of the answer.
    writer.add_tensor("token_embd.weight", _only_letters(random.matrix(N_VOCAB, WIDTH), others=0.05))
    writer.add_tensor("output_norm.weight", _ones(WIDTH))
    for layer in range(2):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", _ones(WIDTH))
        for norm in ("post_attention_norm", "post_ffw_norm"):
            # What the layers add must outweigh the last token, or the model would only repeat it.
            writer.add_tensor(f"{block}.{norm}.weight", 4 * _ones(WIDTH))
        _write_attention(writer, block, random)
        _write_gated_ffn(writer, block, random)
    return _finish(writer, file)


def write_recurrent(file: Path) -> Path:
    """Write a Mamba: a running state and no KV cache."""
    writer = _writer(file, "mamba")
    _write_characters(writer, fim=False, chat_template="")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    _write_state_sizes(writer)
    writer.add_layer_norm_rms_eps(1e-5)
    random = _Random(3)
    writer.add_tensor("token_embd.weight", random.matrix(N_VOCAB, WIDTH, scale=1.0))
    writer.add_tensor("output_norm.weight", _ones(WIDTH))
    writer.add_tensor("output.weight", _only_letters(random.matrix(N_VOCAB, WIDTH)))
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", _ones(WIDTH))
        _write_state_space(writer, f"blk.{layer}", random)
    return _finish(writer, file)


def write_hybrid(file: Path) -> Path:
    """Write a Jamba: a layer with a running state, then one with attention."""
    writer = _writer(file, "jamba")
    _write_characters(writer, fim=False, chat_template="")
    _write_attention_sizes(writer, kv_heads=[0, KV_HEADS])
    _write_state_sizes(writer)
    random = _Random(4)
    writer.add_tensor("token_embd.weight", random.matrix(N_VOCAB, WIDTH, scale=1.0))
    writer.add_tensor("output_norm.weight", _ones(WIDTH))
    writer.add_tensor("output.weight", _only_letters(random.matrix(N_VOCAB, WIDTH)))
    for layer in range(2):
        block = f"blk.{layer}"
        writer.add_tensor(f"{block}.attn_norm.weight", _ones(WIDTH))
        if layer == 0:
            _write_state_space(writer, block, random)
            for name, width in (("dt", RANK), ("b", STATE), ("c", STATE)):
                writer.add_tensor(f"{block}.ssm_{name}_norm.weight", _ones(width))
        else:
            _write_attention(writer, block, random)
        writer.add_tensor(f"{block}.ffn_norm.weight", _ones(WIDTH))
        _write_gated_ffn(writer, block, random)
    return _finish(writer, file)


def write_bert(
    file: Path,
    *,
    pooling: Literal["mean", "cls", "rank", ""] = "mean",
    outputs: int = 0,
    context: int = 512,
    rerank_template: str = "",
) -> Path:
    """Write an encoder: `[CLS] text [SEP]`, every token sees every other.

    Args:
        file: where to write.
        pooling: what the file says; empty says nothing.
        outputs: numbers that its ranking head gives; 0 is no head.
        context: the most tokens of one input.
        rerank_template: how a query and a document stand together; empty has no template.
    """
    writer = _writer(file, "bert", context=context)
    _write_words(writer)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling:
        writer.add_pooling_type(POOLING[pooling])
    if rerank_template:
        writer.add_chat_template([{"name": "rerank", "template": rerank_template}])
    random = _Random(5)
    writer.add_tensor("token_embd.weight", random.matrix(len(_words()), WIDTH, scale=1.0))
    writer.add_tensor("token_types.weight", random.matrix(2, WIDTH, scale=0.1))
    writer.add_tensor("position_embd.weight", random.matrix(context, WIDTH, scale=0.2))
    _write_layer_norm(writer, "token_embd_norm")
    for layer in range(2):
        _write_encoder_layer(writer, f"blk.{layer}", random)
    if outputs:
        _write_linear(writer, "cls", random, (WIDTH, WIDTH))
        _write_linear(writer, "cls.output", random, (outputs, WIDTH))
        if outputs > 1:
            writer.add_classifier_output_labels([f"label {n}" for n in range(outputs)])
    return _finish(writer, file)


def write_lora(file: Path, *, seed: int = 6) -> Path:
    """Write a LoRA adapter for `write_llama`'s model, strong enough to make it say something else."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(LORA_RANK))
    random = _Random(seed)
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_v": (KV_HEADS * HEAD_WIDTH, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
    for layer in range(2):
        for name, (rows, columns) in shapes.items():
            tensor = f"blk.{layer}.{name}.weight"
            writer.add_tensor(f"{tensor}.lora_a", random.matrix(LORA_RANK, columns, scale=0.5))
            writer.add_tensor(f"{tensor}.lora_b", random.matrix(rows, LORA_RANK, scale=0.5))
    return _finish(writer, file)


class _Random:
    """A stream of weights."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def matrix(self, rows: int, columns: int, *, scale: float = 0.0) -> Weights:
        """Normally distributed; by default so that the output is as large as the input."""
        scale = scale or columns**-0.5
        return (self._generator.standard_normal((rows, columns)) * scale).astype(np.float32)


def _writer(file: Path, architecture: str, *, context: int = CONTEXT) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name(f"tiny {architecture}")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    return writer


def _finish(writer: gguf.GGUFWriter, file: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_characters(writer: gguf.GGUFWriter, *, fim: bool, chat_template: str) -> None:
    """Write a SentencePiece vocabulary: specials, bytes, then one token for each common character."""
    kind = gguf.TokenType
    writer.add_tokenizer_model("llama")
    # llama.cpp knows these tokens by their names, too.
    specials = [name if fim else name.replace("fim", "other") for name in SPECIALS]
    writer.add_token_list([*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *LETTERS])
    writer.add_token_scores([0.0] * FIRST_LETTER + [-1.0 - n for n in range(len(LETTERS))])
    controls = [kind.UNKNOWN] + [kind.CONTROL] * (len(SPECIALS) - 1)
    writer.add_token_types([*controls, *[kind.BYTE] * 256, *[kind.NORMAL] * len(LETTERS)])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_eot_token_id(IM_END)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if fim:
        writer.add_uint32(gguf.Keys.Tokenizer.FIM_PRE_ID, FIM_PRE)
        writer.add_uint32(gguf.Keys.Tokenizer.FIM_SUF_ID, FIM_SUF)
        writer.add_uint32(gguf.Keys.Tokenizer.FIM_MID_ID, FIM_MID)
    if chat_template:
        writer.add_chat_template(chat_template)


def _words() -> list[str]:
    """Characters at the beginning of a word, and inside of one."""
    return [*WORDS, *("\u2581" + c for c in ALPHABET), *ALPHABET]


def _write_words(writer: gguf.GGUFWriter) -> None:
    kind = gguf.TokenType
    tokens = _words()
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind.CONTROL] * len(WORDS) + [kind.NORMAL] * (len(tokens) - len(WORDS)))
    writer.add_pad_token_id(PAD)
    writer.add_unk_token_id(UNK)
    writer.add_bos_token_id(CLS)  # a word-piece vocabulary begins with it
    writer.add_sep_token_id(SEP)
    writer.add_mask_token_id(MASK)


def _write_attention_sizes(writer: gguf.GGUFWriter, *, kv_heads: int | list[int] = KV_HEADS) -> None:
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)


def _write_state_sizes(writer: gguf.GGUFWriter) -> None:
    writer.add_ssm_conv_kernel(CONV)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)


def _write_attention(writer: gguf.GGUFWriter, block: str, random: _Random) -> None:
    rows = {"attn_q": WIDTH, "attn_k": KV_HEADS * HEAD_WIDTH, "attn_v": KV_HEADS * HEAD_WIDTH, "attn_output": WIDTH}
    for name, count in rows.items():
        # Large queries and keys make attention choose some tokens instead of the average of all.
        scale = 0.3 if name in {"attn_q", "attn_k"} else 0.0
        writer.add_tensor(f"{block}.{name}.weight", random.matrix(count, WIDTH, scale=scale))


def _write_gated_ffn(writer: gguf.GGUFWriter, block: str, random: _Random) -> None:
    writer.add_tensor(f"{block}.ffn_gate.weight", random.matrix(HIDDEN, WIDTH))
    writer.add_tensor(f"{block}.ffn_up.weight", random.matrix(HIDDEN, WIDTH))
    writer.add_tensor(f"{block}.ffn_down.weight", random.matrix(WIDTH, HIDDEN))


def _write_state_space(writer: gguf.GGUFWriter, block: str, random: _Random) -> None:
    writer.add_tensor(f"{block}.ssm_in.weight", random.matrix(2 * INNER, WIDTH))
    writer.add_tensor(f"{block}.ssm_conv1d.weight", random.matrix(INNER, CONV))
    writer.add_tensor(f"{block}.ssm_conv1d.bias", np.zeros(INNER, np.float32))
    writer.add_tensor(f"{block}.ssm_x.weight", random.matrix(RANK + 2 * STATE, INNER))
    writer.add_tensor(f"{block}.ssm_dt.weight", random.matrix(INNER, RANK))
    writer.add_tensor(f"{block}.ssm_dt.bias", np.zeros(INNER, np.float32))
    # The state fades by this much for a unit of time: slowly, so that the beginning is not forgotten.
    writer.add_tensor(f"{block}.ssm_a", np.full((INNER, STATE), -0.02, np.float32))
    writer.add_tensor(f"{block}.ssm_d", _ones(INNER))
    writer.add_tensor(f"{block}.ssm_out.weight", random.matrix(WIDTH, INNER))


def _write_encoder_layer(writer: gguf.GGUFWriter, block: str, random: _Random) -> None:
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        _write_linear(writer, f"{block}.{name}", random, (WIDTH, WIDTH))
    _write_layer_norm(writer, f"{block}.attn_output_norm")
    _write_linear(writer, f"{block}.ffn_up", random, (HIDDEN, WIDTH))
    _write_linear(writer, f"{block}.ffn_down", random, (WIDTH, HIDDEN))
    _write_layer_norm(writer, f"{block}.layer_output_norm")


def _write_linear(writer: gguf.GGUFWriter, name: str, random: _Random, shape: tuple[int, int]) -> None:
    writer.add_tensor(f"{name}.weight", random.matrix(*shape))
    writer.add_tensor(f"{name}.bias", random.matrix(1, shape[0], scale=0.1)[0])


def _write_layer_norm(writer: gguf.GGUFWriter, name: str) -> None:
    writer.add_tensor(f"{name}.weight", _ones(WIDTH))
    writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))


def _only_letters(output: Weights, *, others: float = 0.0) -> Weights:
    """Shrink the rows of specials and bytes, so that the likeliest token is always a character."""
    output[:FIRST_LETTER] *= others
    return output


def _ones(width: int) -> Weights:
    return np.ones(width, np.float32)
