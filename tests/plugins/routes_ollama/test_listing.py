from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import pytest

from hoshikage import ModelFacts, ModelRecord, StagedView
from hoshikage.core.contracts import LoadedView
from hoshikage.plugins.routes_ollama.listing import in_order, ps_row, show_body, staged_row, tag_row, tagged
from hoshikage.plugins.routes_ollama.modelfile import parameter_lines

RECORD = ModelRecord(
    "Star",
    Path("/models/star.gguf"),
    stop=("<|im_end|>", '"'),
    options={"n_ctx": 2048},
    size_bytes=7,
    modified_at=0.5,
    digest="ab" * 32,
)
FACTS = ModelFacts(
    architecture="llama",
    name="star",
    parameter_count=135_000_000,
    quantization="Q4_1",
    context_length=2048,
    embedding_length=576,
    chat_template="{{ messages }}",
    metadata={"general.architecture": "llama", "llama.context_length": 2048},
)


def test_a_row_of_tags_has_what_clients_read():
    """Name and model are equal, the digest is bare, and capabilities are those of the model."""
    row = tag_row(RECORD, FACTS, {"tools", "completion"})

    assert ("Star:latest", "Star:latest", "ab" * 32, 7) == (row["name"], row["model"], row["digest"], row["size"])
    assert ["completion", "tools"] == row["capabilities"]
    assert 0.5 == datetime.fromisoformat(row["modified_at"]).timestamp()
    assert ("135M", "Q4_1", ["llama"]) == (
        row["details"]["parameter_size"],
        row["details"]["quantization_level"],
        row["details"]["families"],
    )


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ({"completion"}, ["completion"]),
        ({"embedding"}, ["embedding"]),
        (
            {"thinking", "embedding", "insert", "tools", "completion"},
            ["completion", "tools", "insert", "embedding", "thinking"],
        ),
        ({"zeal", "completion", "art"}, ["completion", "art", "zeal"]),
        (set(), []),
    ],
)
def test_capabilities_have_one_order(given: set[str], ordered: list[str]):
    """A set has none of its own, and answers should not differ from run to run."""
    assert ordered == in_order(given)


def test_show_has_what_clients_read():
    """Model info is always there; parameters have a column of 30, and texts are quoted."""
    body = show_body(RECORD, FACTS, {"completion"}, basename=None)

    assert "llama" == body["model_info"]["general.architecture"]
    assert ("star", 135_000_000) == (
        body["model_info"]["general.basename"],
        body["model_info"]["general.parameter_count"],
    )
    assert [
        'stop                           "<|im_end|>"',
        'stop                           "\\""',
        "n_ctx                          2048",
    ] == body["parameters"].split("\n")
    assert "FROM star.gguf" == body["modelfile"].split("\n")[0]
    assert "{{ messages }}" == body["template"]


def test_a_basename_can_be_asked_for():
    """Copilot Chat shows models under it."""
    assert "Mine" == show_body(RECORD, FACTS, set(), basename="Mine")["model_info"]["general.basename"]


def test_a_model_that_fills_gaps_says_so_in_its_template():
    """Editors look for a word of Ollama's template language; the template stays a valid one of Jinja2."""
    import jinja2

    body = show_body(RECORD, FACTS, {"completion", "insert"}, basename=None)

    assert ".Suffix" in body["template"]
    assert "hi" == jinja2.Template(body["template"]).render(messages="hi")


def test_facts_that_are_not_known_do_no_harm():
    """A model whose file says nothing is shown all the same."""
    body = show_body(ModelRecord("bare"), ModelFacts(), set(), basename=None)

    assert "bare" == body["model_info"]["general.basename"]
    assert [] == body["details"]["families"]
    assert [] == parameter_lines(ModelRecord("bare"))


@pytest.mark.parametrize(("expires_at", "year"), [(0.0, 1970), (None, 9999)])
def test_what_is_loaded_expires(expires_at: float | None, year: int):
    """A pinned model expires in the far future: clients read a time in any case."""
    view = LoadedView(RECORD, "ready", "echo", 0.0, expires_at, 0, 2048, 7, None)
    row = ps_row(view, FACTS)

    assert year == datetime.fromisoformat(row["expires_at"]).year
    assert ("Star:latest", 2048) == (row["name"], row["context_length"])


def test_copies_are_listed_beside():
    """What lies on the RAM disk is shown with how far it is."""
    copy = StagedView(Path("/m/star.gguf"), 10, 4, "copying", pinned=True, held=False, last_used=0.0)

    assert ("/m/star.gguf", 10, 4, "copying", True) == tuple(
        staged_row(copy)[key] for key in ("file", "size", "completed", "state", "pinned")
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("star", "star:latest"),
        ("star:7b", "star:7b"),
        ("hf.co/a/b", "hf.co/a/b:latest"),
        ("localhost:80/a", "localhost:80/a:latest"),
        ("hf.co/a/b:Q4_K_M", "hf.co/a/b:Q4_K_M"),
    ],
)
def test_names_are_shown_with_their_tag(name: str, shown: str):
    """No tag is the latest; a colon before a slash is a port."""
    assert shown == tagged(name)
    assert shown == tag_row(dataclasses.replace(RECORD, name=name), FACTS, ())["name"]
