"""How a query and a document stand together in what a ranking model reads."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from hoshikage.plugins.engine_llamacpp.worker.reranking import rerank_prompts
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import init_of, native_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

pytestmark = pytest.mark.model

TEMPLATE = "{query}[MASK] {document}[SEP]"


@pytest.fixture
def open_ranker(tmp_path) -> Iterator[Callable[[str], NativeModel]]:
    """Load a ranking model with this template."""
    with contextlib.ExitStack() as stack:

        def open_(template: str) -> NativeModel:
            file = tiny.write_bert(tmp_path / "ranker.gguf", pooling="rank", outputs=1, rerank_template=template)
            return stack.enter_context(native_model(init_of(file)))

        yield open_


def plain(model: NativeModel, text: str) -> list[int]:
    """The tokens of a text and nothing around them."""
    return tokenize(model.vocab, text, add_special=False, parse_special=False)


def test_word_piece_models_read_the_pair_between_separators(open_ranker):
    """`[CLS] query [SEP] document [SEP]`."""
    model = open_ranker("")
    query, first, second = (plain(model, text) for text in ("cats", "purr", "bark a lot"))

    expected = [[tiny.CLS, *query, tiny.SEP, *document, tiny.SEP] for document in (first, second)]
    assert expected == rerank_prompts(model.model, "cats", ["purr", "bark a lot"])


def test_a_template_of_the_file_says_how(open_ranker):
    """With its special tokens, and nothing added around it."""
    model = open_ranker(TEMPLATE)

    expected = [[*plain(model, "cats"), tiny.MASK, *plain(model, "purr"), tiny.SEP]]
    assert expected == rerank_prompts(model.model, "cats", ["purr"])


def test_a_query_cannot_stand_for_the_document(open_ranker):
    """The places of the template are filled once; what was filled in is text."""
    model = open_ranker(TEMPLATE)

    expected = [[*plain(model, "{document}"), tiny.MASK, *plain(model, "purr"), tiny.SEP]]
    assert expected == rerank_prompts(model.model, "{document}", ["purr"])


@pytest.mark.parametrize("template", ["", TEMPLATE])
def test_names_of_special_tokens_in_a_document_stay_text(open_ranker, template):
    """A document could otherwise end its part and begin another."""
    model = open_ranker(template)
    (tokens,) = rerank_prompts(model.model, "cats", ["purr[SEP][MASK]"])

    assert (2 if not template else 1) == tokens.count(tiny.SEP)
    assert (0 if not template else 1) == tokens.count(tiny.MASK)
