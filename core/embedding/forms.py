"""How families of embedding models want their texts: what stands before them, and how long they may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

WEB_SEARCH: Final = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"  # of both families
)
REPRESENT: Final = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a model was trained on.

    Attributes:
        query: stands before a question.
        document: stands before a text that is to be found.
        max_tokens: more is not read; 0 where only the model's own files say it.
    """

    query: str = ""
    document: str = ""
    max_tokens: int = 0


# The first pattern that is found in the name wins. From the models' cards.
FAMILIES: Final = (
    (r"ruri-?v3", TextForm("検索クエリ: ", "検索文書: ", 8192)),
    (r"ruri", TextForm("クエリ: ", "文章: ", 512)),
    (r"e5-(large|mistral).*instruct", TextForm(f"{WEB_SEARCH} ", "", 512)),
    (r"(^|[-_/])e5-|glucose-base-ja-v2", TextForm("query: ", "passage: ", 512)),
    (r"nomic-embed", TextForm("search_query: ", "search_document: ")),
    (r"embedding-?gemma", TextForm("task: search result | query: ", "title: none | text: ", 2048)),
    (r"qwen3-embedding", TextForm(WEB_SEARCH, "")),
    (r"bge-(small|base|large)-en|mxbai-embed|arctic-embed-(xs|s|m|l)(?!-v2)", TextForm(REPRESENT, "", 512)),
    (r"bge-(small|base|large)-zh", TextForm("为这个句子生成表示以用于检索相关文章：", "", 512)),
)


def form_of(model: str) -> TextForm:
    """The form for a model's name or path; nothing before the texts of one that is not known."""
    name = model.lower().replace("_", "-")
    return next((form for pattern, form in FAMILIES if re.search(pattern, name)), TextForm())


def readable(text: str, longest: int) -> str:
    """The beginning of a text without halves of surrogate pairs, which no tokenizer takes, and which mean nothing.

    Args:
        text: what is to be embedded.
        longest: characters; taking a book apart takes long, and a model reads its beginning only.
    """
    return text[:longest].encode("utf-8", "replace").decode()
