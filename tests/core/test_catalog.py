"""The catalogue: one list from registry and sources, and the engine for each model."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from hoshikage import ModelFacts, ModelRecord
from hoshikage.core import catalog as catalog_module
from hoshikage.core.catalog import Catalog, record_of
from hoshikage.core.errors import ModelFileError, ModelLoadFailed, ModelNotFound, RegistryError
from hoshikage.core.gguf import DigestCache
from hoshikage.core.registry import ModelEntry
from tests.fakes import FakeEngine, FakeSource


@dataclass
class FactualEngine(FakeEngine):
    """Says a model's name in its facts, counts how often it was asked, and refuses damaged models."""

    asked: list[str] = field(default_factory=list)

    async def facts(self, record: ModelRecord) -> ModelFacts:
        self.asked.append(record.name)
        if record.name == "damaged":
            raise ModelFileError("damaged is no GGUF")
        return ModelFacts(name=record.name)


@pytest.fixture
def engine() -> FactualEngine:
    return FactualEngine()


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(["Offered"])


def model_file(folder, name: str, *, content: bytes = b"weights", modified_at: float = 1000.0) -> ModelEntry:
    (folder / name).write_bytes(content)
    os.utime(folder / name, (modified_at, modified_at))
    return ModelEntry(path=str(folder), model=name)


def test_registered_model_has_size_and_time_of_its_file(catalog, registry, tmp_path):
    """A registered model's record carries the file, its size and its time."""
    registry.add("gemma", model_file(tmp_path, "g.gguf"))

    record = catalog.model("gemma")

    assert (tmp_path / "g.gguf", 7, 1000.0) == (record.file, record.size_bytes, record.modified_at)


def test_split_model_has_the_size_of_all_parts_and_the_newest_time(catalog, registry, tmp_path):
    """A split model is as large as its parts together, and as new as the newest of them."""
    entry = model_file(tmp_path, "g-00001-of-00002.gguf")
    model_file(tmp_path, "g-00002-of-00002.gguf", content=b"more weights", modified_at=2000.0)
    registry.add("gemma", entry)

    record = catalog.model("gemma")

    assert (7 + 12, 2000.0) == (record.size_bytes, record.modified_at)


def test_split_model_without_a_part_is_gone(catalog, registry, tmp_path):
    """A split model that lacks a part has neither size nor time, like a missing file."""
    registry.add("gemma", model_file(tmp_path, "g-00001-of-00002.gguf"))

    record = catalog.model("gemma")

    assert (0, 0.0) == (record.size_bytes, record.modified_at)


def test_file_that_vanishes_while_it_is_looked_at_hides_no_list(catalog, registry, tmp_path, monkeypatch):
    """Somebody deletes a file between two looks at it: that model is gone, and the list is not."""
    registry.add("gemma", model_file(tmp_path, "g.gguf"))
    registry.add("mine", model_file(tmp_path, "m.gguf"))
    monkeypatch.setattr(catalog_module, "missing_parts", lambda file: file.unlink() if file.stem == "g" else ())

    assert {"gemma": 0, "mine": 7} == {record.name: record.size_bytes for record in catalog.registered()}


def test_record_carries_what_the_entry_says(catalog, registry, tmp_path):
    """Engine, stop strings and options of the entry reach the record."""
    registry.add("g", ModelEntry(path="p", model="m", engine="fake", stop=("x",), options={"n_ctx": 5}))

    record = catalog.model("g")

    assert ("fake", ("x",), {"n_ctx": 5}) == (record.engine, record.stop, record.options)


def test_entry_without_stop_gets_the_old_ones(catalog, registry):
    """A model of an old file stops at the predecessor's stop strings."""
    registry.files.model_map.write_text('{"g": {"path": "p", "model": "m"}}')

    assert ("<|im_end|>", "</s>") == catalog.model("g").stop


def test_entry_without_a_file_name_has_no_file(catalog, registry):
    """An entry whose file name is empty is a model without a file."""
    registry.add("g", ModelEntry(path="", model="", engine="fake"))

    assert None is catalog.model("g").file


def test_file_that_may_not_be_looked_at_hides_no_other_model(catalog, registry, tmp_path):
    """It has no size, like one that is gone; here its name is longer than any can be."""
    registry.add("closed", ModelEntry(path=str(tmp_path), model="x" * 300))
    registry.add("gemma", model_file(tmp_path, "g.gguf"))

    assert {"closed": 0, "gemma": 7, "Offered": 0} == {record.name: record.size_bytes for record in catalog.models()}


def test_missing_file_still_is_a_model(catalog, registry):
    """A registered model whose file is gone stays in the list, without size and time."""
    registry.add("g", ModelEntry(path="/nowhere", model="g.gguf"))

    record = catalog.model("g")

    assert (0, 0.0) == (record.size_bytes, record.modified_at)


@pytest.mark.parametrize("name", ["offered", "OFFERED", "Offered:latest"])
def test_model_of_a_source_is_found(catalog, name: str):
    """A model that a source offers is found by every name that means it."""
    assert "Offered" == catalog.model(name).name


def test_registry_wins_over_a_source(catalog, registry, tmp_path):
    """Where registry and source have one name, the registry's model is meant, in look-ups and lists."""
    registry.add("offered", model_file(tmp_path, "mine.gguf"))

    files = [catalog.model("Offered").file, *[r.file for r in catalog.models()]]

    assert [tmp_path / "mine.gguf"] * 2 == files


def test_unknown_model_is_not_found(catalog):
    """An unknown name is an error with the name."""
    with pytest.raises(ModelNotFound) as error:
        catalog.model("gemma")

    assert {"model": "gemma"} == error.value.details


def test_newest_model_comes_first(catalog, registry, tmp_path):
    """The list has the newest file first, and what has no file last, by name."""
    registry.add("old", model_file(tmp_path, "old.gguf", modified_at=1.0))
    registry.add("new", model_file(tmp_path, "new.gguf", modified_at=2.0))
    registry.add("gone", ModelEntry(path="/nowhere", model="g.gguf"))

    assert ["new", "old", "Offered", "gone"] == [r.name for r in catalog.models()]


def test_registered_models_keep_the_order_of_the_file(catalog, registry):
    """The registry's own list has the order of its file, and nothing from sources."""
    for name in "zxy":
        registry.add(name, ModelEntry(path="p", model="m"))

    assert ["z", "x", "y"] == [r.name for r in catalog.registered()]


def test_known_digest_is_used(catalog, registry, tmp_path):
    """A digest that has been computed is the record's."""
    registry.add("g", model_file(tmp_path, "g.gguf"))
    DigestCache(tmp_path / "digests.json").put(tmp_path / "g.gguf", "ab" * 32)

    assert "ab" * 32 == catalog.model("g").digest


def test_unknown_digest_has_a_stand_in(tmp_path):
    """As long as no digest is known, a stand-in of the same form changes with the file."""
    model_file(tmp_path, "g.gguf")
    before = record_of("g", tmp_path / "g.gguf").digest
    model_file(tmp_path, "g.gguf", content=b"other weights")

    after = record_of("g", tmp_path / "g.gguf").digest

    assert (64, 64, False) == (len(before), len(after), before == after)


def test_models_without_files_have_different_stand_ins():
    """Two models without files differ in their stand-in digests."""
    assert record_of("a", None).digest != record_of("b", None).digest


def build(registry, tmp_path, *engines: FakeEngine) -> Catalog:
    return Catalog(registry=registry, sources=[], engines=engines, digests=DigestCache(tmp_path / "d.json"))


def test_named_engine_is_taken(registry, tmp_path):
    """A model that names its engine gets that one, though another would do."""
    catalog = build(registry, tmp_path, FakeEngine("one"), FakeEngine("two"))

    assert "two" == catalog.engine(ModelRecord("m", engine="two")).name


def test_first_engine_that_supports_the_model_is_taken(registry, tmp_path):
    """A model that names none gets the first engine that supports it."""
    picky = FakeEngine("picky")
    picky.supports = lambda record: False
    catalog = build(registry, tmp_path, picky, FakeEngine("one"), FakeEngine("two"))

    assert "one" == catalog.engine(ModelRecord("m")).name


@pytest.mark.parametrize(
    ("wanted", "words"), [("vllm", "the engine 'vllm'; engines here: fake"), ("", "an engine that supports it")]
)
def test_missing_engine_is_an_error(registry, tmp_path, wanted: str, words: str):
    """Where no engine does, the error names what is wanted and what is there."""
    picky = FakeEngine()
    picky.supports = lambda record: False
    catalog = build(registry, tmp_path, picky)

    with pytest.raises(ModelLoadFailed, match=words):
        catalog.engine(ModelRecord("m", engine=wanted))


async def test_facts_are_read_once_per_version(catalog, registry, engine, tmp_path):
    """A file is asked for its facts once, and again when it has changed."""
    registry.add("g", model_file(tmp_path, "g.gguf"))
    for _ in range(2):
        await catalog.facts(catalog.model("g"))
    model_file(tmp_path, "g.gguf", modified_at=2000.0)
    await catalog.facts(catalog.model("g"))

    assert ["g", "g"] == engine.asked


async def test_models_without_files_have_their_own_facts(catalog):
    """Two models of one engine without files are not taken for each other."""
    names = [(await catalog.facts(ModelRecord(name, engine="fake"))).name for name in ("a", "b")]

    assert ["a", "b"] == names


async def test_options_may_hold_lists(catalog):
    """A model whose options hold a list or an object has facts like any other."""
    record = ModelRecord("m", engine="fake", options={"devices": [0, 1], "rope": {"scale": 2}})

    assert "m" == (await catalog.facts(record)).name


async def test_damaged_file_is_an_error(catalog):
    """Asked for the facts of a damaged file, the catalogue says what is wrong."""
    with pytest.raises(ModelFileError, match="damaged is no GGUF"):
        await catalog.facts(ModelRecord("damaged", engine="fake"))


async def test_damaged_file_does_not_spoil_a_list(catalog):
    """For lists a damaged file has empty facts, and the log has the reason."""
    with capture_logs() as logs:
        facts = await catalog.facts_or_none(ModelRecord("damaged", engine="fake"))

    events = [(line["event"], line["model"], line["reason"]) for line in logs]
    assert (ModelFacts(), [("model_facts_unknown", "damaged", "damaged is no GGUF")]) == (facts, events)


def test_registry_that_breaks_meanwhile_leaves_the_last_entries(catalog, registry):
    """A model map that becomes corrupt while the server runs leaves the last good one in force, with a log line."""
    registry.add("g", ModelEntry(path="p", model="m"))
    catalog.models()
    registry.files.model_map.write_text("{")

    with capture_logs() as logs:
        name = catalog.model("g").name

    assert ("g", ["registry_unreadable"]) == (name, [line["event"] for line in logs])


def test_registry_that_is_broken_from_the_start_is_an_error(catalog, registry):
    """A model map that never was readable is an error."""
    registry.files.model_map.write_text("{")

    with pytest.raises(RegistryError, match="is corrupt"):
        catalog.models()


def test_repaired_registry_is_read_again(catalog, registry):
    """Once the model map is repaired, its entries count."""
    registry.add("g", ModelEntry(path="p", model="m"))
    good = registry.files.model_map.read_bytes()
    catalog.models()
    registry.files.model_map.write_text("{")
    catalog.models()
    registry.files.model_map.write_bytes(good.replace(b'"g"', b'"h"'))

    assert ["h"] == [r.name for r in catalog.registered()]


def test_a_source_that_raises_hides_no_other_model(tmp_path, registry, engine, source):
    """A source that fails is logged by its name; what the others offer is there."""

    class Torn:
        name = "torn"

        def models(self):
            raise OSError("the share is gone")

    digests = DigestCache(tmp_path / "digests.json")
    catalog = Catalog(registry=registry, sources=[Torn(), source], engines=[engine], digests=digests)
    with capture_logs() as logs:
        names = [record.name for record in catalog.models()]

    assert ["Offered"] == names
    assert [("model_source_failed", "torn")] == [(line["event"], line["source"]) for line in logs]


# --- sources with work of their own ---


@dataclass
class WatchedSource(FakeSource):
    """A source that notes its start and its stop, and may fail in both."""

    done: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def start(self) -> None:
        self._note("start")

    async def stop(self) -> None:
        self._note("stop")

    def _note(self, what: str) -> None:
        self.done.append(what)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, ZeroDivisionError()])
async def test_sources_that_watch_are_started_and_stopped(registry, tmp_path, error):
    """A source with `start` and `stop` is told; one that fails there hinders no other, and stays on offer."""
    failing, plain, good = WatchedSource(["A"], error=error), FakeSource(["B"]), WatchedSource(["C"])
    catalog = Catalog(
        registry=registry, sources=[failing, plain, good], engines=[], digests=DigestCache(tmp_path / "d")
    )
    with capture_logs() as logs:
        await catalog.start()
        await catalog.stop()

    assert [["start", "stop"]] * 2 == [failing.done, good.done]
    assert 2 * bool(error) == len(logs)
    assert {"A", "B", "C"} == {r.name for r in catalog.models()}
