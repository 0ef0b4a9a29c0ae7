"""Templates in Go's language, rendered as the engine renders their translations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hoshikage.core.gotemplate import to_jinja
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate

FOLDER = Path(__file__).parent / "templates"
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": {"city": "東京"}}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
WEATHER_JSON = (
    '{"name":"weather","description":"The weather of a city.","parameters":{"type":"object",'
    '"properties":{"city":{"type":"string"}},"required":["city"]}}'
)


def source_of(name: str) -> str:
    """A template as it is published."""
    return (FOLDER / f"{name}.gotmpl").read_text()


def rendered(source: str, *messages: dict[str, Any], tools: list[Any] | None = None, **variables: Any) -> str:
    """The prompt of a conversation."""
    template = ChatTemplate(to_jinja(source), bos="<s>", eos="</s>")
    return template.render(list(messages), tools=tools, variables=variables)


def one(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}
