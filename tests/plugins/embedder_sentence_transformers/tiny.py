"""Tiny models of the two shapes that ruri has, with random weights; written by the process that loads them too."""

from __future__ import annotations

import json
import random
from pathlib import Path

DIM = 32
KANA = "".join(chr(code) for code in range(0x3041, 0x3094))
WORDS = (
    "クエリ",
    "文章",
    "検索",
    "猫",
    "犬",
    "大阪",
    "仕事",
    "名前",
    "会議",
    "昨日",
    "食べ",
    "です",
    "ます",
    "は",
    "が",
    "の",
    "を",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_wordpiece(folder: str) -> str:
    """The shape of ruri v1 and v2: MeCab cuts into words, these into pieces, and DistilBERT reads them."""
    import torch
    from transformers import BertJapaneseTokenizer, DistilBertConfig, DistilBertModel

    path = Path(folder)
    path.mkdir(parents=True)
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *KANA,
        *LETTERS,
        *(f"##{c}" for c in KANA + LETTERS),
    ]
    (path / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n", "utf-8")
    tokenizer = BertJapaneseTokenizer(
        str(path / "vocab.txt"),
        word_tokenizer_type="mecab",
        subword_tokenizer_type="wordpiece",
        mecab_kwargs={"mecab_dic": "unidic_lite"},
        model_max_length=512,
    )
    tokenizer.save_pretrained(path)
    torch.manual_seed(1)
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=DIM, hidden_dim=64, n_layers=2, n_heads=2)
    DistilBertModel(config).save_pretrained(path)
    return _with_pooling(path, longest=512)


def write_sentencepiece(folder: str, *, prompts: dict[str, str] | None = None) -> str:
    """The shape of ruri v3: SentencePiece, and ModernBERT."""
    import sentencepiece
    import torch
    from transformers import AutoTokenizer, ModernBertConfig, ModernBertModel

    path, chance = Path(folder), random.Random(1)
    path.mkdir(parents=True)
    lines = ["".join(chance.choices([*WORDS, *KANA, *LETTERS, " "], k=30)) for _ in range(300)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(path / "tokenizer"),
        vocab_size=500,
        byte_fallback=True,
        pad_id=3,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "model_max_length": 8192, "pad_token": "<pad>"})
    )
    config = ModernBertConfig(
        vocab_size=600,
        hidden_size=DIM,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=8192,
        pad_token_id=3,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
    )
    torch.manual_seed(2)
    ModernBertModel(config).save_pretrained(path)
    AutoTokenizer.from_pretrained(path).save_pretrained(path)
    return _with_pooling(path, longest=8192, prompts=prompts)


def _with_pooling(path: Path, *, longest: int, prompts: dict[str, str] | None = None) -> str:
    """What sentence-transformers itself writes beside a model."""
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    rows = [
        {"idx": n, "name": name, "path": place, "type": f"sentence_transformers.models.{kind}"}
        for n, (name, place, kind) in enumerate(modules)
    ]
    (path / "modules.json").write_text(json.dumps(rows))
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))
    (path / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": DIM, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (path / "1_Pooling/config.json").write_text(json.dumps(pooling))
    if prompts is not None:
        (path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return str(path)
