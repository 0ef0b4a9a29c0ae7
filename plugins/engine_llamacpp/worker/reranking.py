"""How a query and a document stand together in what a ranking model reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import llama_cpp

from hoshikage.core.gguf import read_header
from hoshikage.plugins.engine_llamacpp.worker.pooling import RANK, pooling_of_file
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq
    from pathlib import Path

HEAD_TENSORS = {"cls.weight", "cls.output.weight"}
PLACE = re.compile(r"(\{query\}|\{document\})")
TEMPLATE_NAME = b"rerank"


def has_ranking_head(model: Any, file: Path) -> bool:
    """Whether the model was trained to rank.

    llama.cpp would take the first number of anything for a score, so the file itself is asked.

    Raises:
        ModelFileError: the file is no longer there.
    """
    if pooling_of_file(model) == RANK:
        return True
    return any(tensor.name in HEAD_TENSORS for tensor in read_header(file).tensors)


def rerank_prompts(model: Any, query: str, documents: Seq[str]) -> list[list[int]]:
    """The token ids of each pair, by the template of the file or by what the vocabulary puts between two texts.

    Args:
        model: llama.cpp's handle of the model.
        query: what is looked for.
        documents: what may be about it.
    """
    vocab = llama_cpp.llama_model_get_vocab(model)
    template = llama_cpp.llama_model_chat_template(model, TEMPLATE_NAME)
    if template:
        parts = PLACE.split(template.decode("utf-8", "replace"))
        return [_templated(vocab, parts, {"{query}": query, "{document}": document}) for document in documents]
    head, between, end = _separators(vocab)
    asked = tokenize(vocab, query, add_special=False, parse_special=False)
    return [
        [*head, *asked, *between, *tokenize(vocab, document, add_special=False, parse_special=False), *end]
        for document in documents
    ]


def _separators(vocab: Any) -> tuple[list[int], list[int], list[int]]:
    """What stands before, between and after: `[CLS] … [SEP] … [SEP]`, or `<s> … </s></s> … </s>`."""
    sep = [llama_cpp.llama_vocab_sep(vocab)] if llama_cpp.llama_vocab_get_add_sep(vocab) else []
    eos = [llama_cpp.llama_vocab_eos(vocab)] if llama_cpp.llama_vocab_get_add_eos(vocab) else []
    bos = [llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else []
    # A vocabulary that is told to add a token it does not have says -1.
    head, between, end = ([token for token in tokens if token >= 0] for tokens in (bos, eos + sep, eos or sep))
    return head, between, end


def _templated(vocab: Any, parts: Seq[str], texts: dict[str, str]) -> list[int]:
    if any(_names_specials(vocab, text) for text in texts.values()):
        pieces = (
            tokenize(vocab, texts.get(part, part), add_special=False, parse_special=part not in texts) for part in parts
        )
        return [token for piece in pieces for token in piece]
    # In one piece, as in training: a space of the template and the word after it can be one token.
    whole = "".join(texts.get(part, part) for part in parts)
    return tokenize(vocab, whole, add_special=False, parse_special=True)


def _names_specials(vocab: Any, text: str) -> bool:
    """Whether a text contains the name of a special token, which must stay text."""
    plain = tokenize(vocab, text, add_special=False, parse_special=False)
    return plain != tokenize(vocab, text, add_special=False, parse_special=True)
