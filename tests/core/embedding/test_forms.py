"""Prefixes and lengths by model family."""

from __future__ import annotations

import pytest

from hoshikage.core.embedding.forms import TextForm, form_of, readable

RURI = ("クエリ: ", "文章: ", 512)
RURI_3 = ("検索クエリ: ", "検索文書: ", 8192)
E5 = ("query: ", "passage: ", 512)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("cl-nagoya/ruri-small-v2", RURI),
        ("cl-nagoya/ruri-large", RURI),
        ("/srv/models/Ruri_Base_v2", RURI),
        ("cl-nagoya/ruri-v3-30m", RURI_3),
        ("ruri-v3-310m-Q8_0.gguf", RURI_3),
        ("intfloat/multilingual-e5-small", E5),
        ("e5-base-v2:latest", E5),
        ("pkshatech/GLuCoSE-base-ja-v2", E5),
        ("nomic-embed-text:v1.5", ("search_query: ", "search_document: ", 0)),
        ("embeddinggemma:300m", ("task: search result | query: ", "title: none | text: ", 2048)),
        ("google/embedding-gemma-300m", ("task: search result | query: ", "title: none | text: ", 2048)),
        ("all-MiniLM-L6-v2", ("", "", 0)),
        ("bge-m3", ("", "", 0)),
        ("snowflake-arctic-embed-l-v2.0", ("", "", 0)),
        ("some-base5-model", ("", "", 0)),
    ],
)
def test_each_family_has_its_form(model, expected):
    """Whether it is named by the Hub, by a path or by a file."""
    assert TextForm(*expected) == form_of(model)


@pytest.mark.parametrize(
    "model", ["qwen3-embedding:0.6b", "multilingual-e5-large-instruct", "BAAI/bge-large-en-v1.5", "mxbai-embed-large"]
)
def test_some_mark_only_questions(model):
    """Texts that are to be found stand as they are."""
    form = form_of(model)

    assert form.query
    assert form.document == ""


@pytest.mark.parametrize(("text", "expected"), [("abcdef", "abc"), ("\ud800b", "?b"), ("", "")])
def test_every_text_is_readable(text, expected):
    """Its beginning, without what no tokenizer takes."""
    assert expected == readable(text, 3)
