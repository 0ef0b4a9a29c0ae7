"""Models as Modelfiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage import Message, ModelRecord
from hoshikage.core.registry import ModelEntry
from hoshikage.plugins.routes_ollama.listing import digest_of, show_body
from hoshikage.plugins.routes_ollama.modelfile import modelfile, parameter_lines
from tests.plugins.routes_ollama.test_listing import FACTS

RECORD = ModelRecord(
    "star",
    Path("/models/star.gguf"),
    options={"adapters": {"kind": "/a/sha256-1"}},
    parameters={"stop": ["a", "星"], "temperature": 0.5, "adapters": ["kind"]},
    system="Be kind.",
    messages=(Message("user", "hi"), Message("assistant", 'a "b"\nc')),
    digest="ab" * 32,
)
ENTRY = ModelEntry(path="/models", model="star.gguf", template="{{ .Prompt }}", license=" MIT ", parent="sun")


def test_every_line_of_a_model():
    """In the order in which Ollama writes them; texts with quotes or line feeds are within three quotes."""
    expected = (
        "FROM star.gguf\n"
        "ADAPTER sha256-1\n"
        "TEMPLATE {{ .Prompt }}\n"
        'PARAMETER stop                           "a"\n'
        'PARAMETER stop                           "星"\n'
        "PARAMETER temperature                    0.5\n"
        "SYSTEM Be kind.\n"
        "MESSAGE user hi\n"
        'MESSAGE assistant """a "b"\nc"""\n'
        'LICENSE """ MIT """'
    )
    assert expected == modelfile(RECORD, ENTRY)


def test_model_of_a_plug_in_has_its_name():
    """There is no more to say of it."""
    assert "FROM echo" == modelfile(ModelRecord("echo"), None)


def test_lists_that_are_one_value_are_one_line():
    """An option of ours that is a list is not a repeated parameter."""
    lines = parameter_lines(ModelRecord("m", options={"tensor_split": [3, 1]}))

    assert ["tensor_split                   [3, 1]"] == lines


def test_show_has_what_was_given_and_nothing_else():
    """Fields that a model does not have are left out, as clients show them."""
    full = show_body(RECORD, FACTS, {"completion"}, basename=None, entry=ENTRY)
    bare = show_body(ModelRecord("echo"), FACTS, {"completion"}, basename=None)

    assert ("Be kind.", " MIT ", "{{ .Prompt }}") == (full["system"], full["license"], full["template"])
    assert [{"role": "user", "content": "hi"}, {"role": "assistant", "content": 'a "b"\nc'}] == full["messages"]
    assert "sun" == full["details"]["parent_model"]
    assert not {"system", "license", "messages"} & set(bare)


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ .Prompt }}", "{{ .Prompt }}{{- /* takes .Suffix */ -}}"),
        ("{{- range .Messages }}{{ end }}", "{{- range .Messages }}{{ end }}{{- /* takes .Suffix */ -}}"),
        ("{{ .Suffix }}", "{{ .Suffix }}"),
        ("{% for m in messages %}{% endfor %}", "{% for m in messages %}{% endfor %}{#- takes .Suffix -#}"),
    ],
)
def test_word_for_gaps_is_a_comment_in_the_template_s_language(template: str, shown: str):
    """Whoever takes the template as it is shown gets the same model."""
    entry = ModelEntry(path="p", model="m", template=template)

    assert shown == show_body(RECORD, FACTS, {"insert"}, basename=None, entry=entry)["template"]


def test_digests_differ_by_what_is_said():
    """Two models of one file are two, but two names of one model are one."""
    plain = ModelRecord("a", digest="ab" * 32)
    said = [
        ModelRecord("b", digest="ab" * 32, system="s"),
        ModelRecord("c", digest="ab" * 32, parameters={"top_k": 1}),
        ModelRecord("d", digest="ab" * 32, messages=(Message("user", "s"),)),
        ModelRecord("e", digest="ab" * 32, template="s"),
    ]

    assert "ab" * 32 == digest_of(plain)
    assert 5 == len({digest_of(r) for r in (plain, *said)})
    assert digest_of(said[0]) == digest_of(ModelRecord("f", digest="ab" * 32, system="s"))
