"""Templates in Go's language, once translated, are recognised like those that the models themselves carry."""

from __future__ import annotations

import pytest

from hoshikage import ChatRequest, Thinking
from hoshikage.core.formats import choose_format, format_capabilities
from hoshikage.core.gotemplate import to_jinja
from hoshikage.plugins.chat_formats import hoshikage_provide_chat_formats
from tests.core.gotemplate.rendering import source_of

FORMATS = sorted(hoshikage_provide_chat_formats(), key=lambda f: f.order)


@pytest.mark.parametrize(
    ("template", "name", "able"),
    [
        ("qwen2.5", "hermes", {"tools"}),
        ("qwen3", "hermes", {"tools", "thinking"}),
        ("mistral", "mistral", {"tools"}),
        ("gemma", "gemma", {"tools"}),
        ("chatml", "generic", {"tools"}),
    ],
)
def test_format_and_abilities(template: str, name: str, able: set[str]):
    """By the markers that they have in common with the templates in Jinja2."""
    translated = to_jinja(source_of(template))
    chat_format = choose_format(FORMATS, translated)

    assert chat_format is not None
    assert (name, able) == (chat_format.name, set(format_capabilities(chat_format, translated)))


@pytest.mark.parametrize("enabled", [True, False])
def test_switch_for_thinking_reaches_the_template(enabled: bool):
    """Under the name by which the translation asks."""
    translated = to_jinja(source_of("qwen3"))
    chat_format = choose_format(FORMATS, translated)
    assert chat_format is not None

    directions = chat_format.directions(translated, ChatRequest("r", "m", thinking=Thinking(enabled=enabled)))

    assert {"enable_thinking": enabled} == dict(directions.template_variables)
