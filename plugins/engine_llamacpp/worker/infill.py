"""The prompt that lets a model fill a gap between two texts."""

from __future__ import annotations

from typing import Any

import llama_cpp

from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize


class InfillUnsupported(Exception):
    """The model was not trained to fill gaps."""

    def __init__(self) -> None:
        super().__init__(
            "the model has no fill-in-the-middle tokens, so it cannot take a suffix; leave the suffix out, or use a "
            "model that is made for code completion"
        )


def infill_prompt(prefix: str, suffix: str, vocab: Any) -> list[int]:
    """Put the texts around the gap into the order in which models learn it: prefix, suffix, then the middle.

    Names of special tokens in the texts stay text.

    Args:
        prefix: what stands before the gap.
        suffix: what stands after it.
        vocab: llama.cpp's handle of the vocabulary.

    Raises:
        InfillUnsupported: the vocabulary has no tokens for this.
    """
    marks = (
        llama_cpp.llama_vocab_fim_pre(vocab),
        llama_cpp.llama_vocab_fim_suf(vocab),
        llama_cpp.llama_vocab_fim_mid(vocab),
    )
    if min(marks) < 0:
        raise InfillUnsupported
    before, after, middle = marks
    bos = [llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else []
    left = tokenize(vocab, prefix, add_special=False, parse_special=False)
    right = tokenize(vocab, suffix, add_special=False, parse_special=False)
    return [*bos, before, *left, after, *right, middle]
