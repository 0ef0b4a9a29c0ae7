"""Which texts can be kept as memories: pure."""

from __future__ import annotations


def why_refused(text: str, *, longest: int) -> str:
    """Why a text cannot be kept; empty where it can.

    Args:
        text: what is to be remembered.
        longest: see `memory.max_text_chars`.
    """
    if not text.strip():
        return "the text is empty"
    if len(text) > longest:
        return f"the text has {len(text)} characters; memory.max_text_chars allows {longest}: send it in parts"
    if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
        return "the text holds half of a surrogate pair, which no Unicode text does"
    return ""
