"""What the registry says of a model besides its file, as the rest of the server gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from hoshikage import Message, ModelFacts
from hoshikage.core.registry import ModelEntry, OpeningMessage

if TYPE_CHECKING:
    from hoshikage.core.catalog import Catalog
    from hoshikage.core.registry import Registry
    from tests.fakes import FakeEngine

JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"


def entry(**fields: Any) -> ModelEntry:
    return ModelEntry(path="/models", model="m.gguf", **fields)


def test_record_carries_what_a_model_brings(catalog: Catalog, registry: Registry):
    """System prompt, parameters, opening and template."""
    opening = (OpeningMessage("user", "hi"),)
    registry.add("m", entry(system="s", parameters={"top_k": 1}, messages=opening, template=JINJA))

    record = catalog.model("m")

    assert ("s", {"top_k": 1}, (Message("user", "hi"),), JINJA) == (
        record.system,
        record.parameters,
        record.messages,
        record.template,
    )


async def test_template_in_force_is_that_of_the_record(catalog: Catalog, registry: Registry, engine: FakeEngine):
    """It stands in for the file's own wherever the facts are asked; one in Go's language is translated."""
    engine.known = ModelFacts(architecture="fake", chat_template="own")
    registry.add("plain", entry())
    registry.add("jinja", entry(template=JINJA))
    registry.add("go", entry(template="{{ range .Messages }}{{ .Content }}{{ end }}"))

    found = {name: (await catalog.facts(catalog.model(name))).chat_template for name in ("plain", "jinja", "go")}

    assert ("own", JINJA) == (found["plain"], found["jinja"])
    assert "{% for" in found["go"]
    assert catalog.model("go").template == found["go"]


async def test_template_that_cannot_be_used_leaves_the_file_s_own(
    catalog: Catalog, registry: Registry, engine: FakeEngine
):
    """The model works all the same, and one line of the log says what is wrong, once."""
    engine.known = ModelFacts(architecture="fake", chat_template="own")
    registry.add("odd", entry(template='a\n{{ template "x" }}'))

    with capture_logs() as logs:
        records = [catalog.model("odd") for _ in range(3)]

    assert {""} == {record.template for record in records}
    assert "own" == (await catalog.facts(records[0])).chat_template
    assert [("template_not_used", "odd")] == [(line["event"], line["model"]) for line in logs]
    assert "line 2" in logs[0]["reason"]


def test_another_template_is_another_model_to_load(catalog: Catalog, registry: Registry):
    """A model that is loaded with one template must be loaded anew for the other."""
    registry.add("a", entry())
    registry.add("b", entry(template=JINJA))

    assert catalog.model("a").identity() != catalog.model("b").identity()
