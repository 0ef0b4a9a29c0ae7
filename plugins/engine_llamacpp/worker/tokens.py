"""Text to token ids, with a say in what counts as special."""

from __future__ import annotations

from typing import Any

import llama_cpp


def tokenize(vocab: Any, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
    """Turn text into token ids.

    Args:
        vocab: llama.cpp's handle of the vocabulary.
        text: what to turn.
        add_special: whether to add what the vocabulary puts around a text.
        parse_special: whether the names of special tokens in the text become these tokens. Never for text of
            strangers inside of a longer prompt: they could end their part and begin another.
    """
    data = text.encode("utf-8", "replace")  # JSON can carry half a surrogate pair
    room = len(data) + 2
    tokens = (llama_cpp.llama_token * room)()
    n = llama_cpp.llama_tokenize(vocab, data, len(data), tokens, room, add_special, parse_special)
    if n < 0:
        tokens = (llama_cpp.llama_token * -n)()
        n = llama_cpp.llama_tokenize(vocab, data, len(data), tokens, -n, add_special, parse_special)
    return list(tokens[:n])
