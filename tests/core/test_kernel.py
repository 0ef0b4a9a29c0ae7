"""The kernel over a real folder: what it builds, and what it sees of changes from outside."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from hoshikage import Caller, ChatRequest, Chunk, ConfigError, Done, EmbedRequest, Message, RerankRequest, Tool
from hoshikage.core import kernel as kernel_module
from hoshikage.core.demand import Demand
from hoshikage.core.errors import ModelLoadFailed, ModelNotFound, PluginError, RegistryError
from hoshikage.core.http.collected import Collector
from hoshikage.core.kernel import Kernel, assemble, sync_tags
from hoshikage.core.pins import Pins
from hoshikage.core.registry import ModelEntry, Registry
from hoshikage.core.residence import Residence
from hoshikage.core.slots import Lease
from hoshikage.core.tags import write_tags
from tests.fakes import until
from tests.staged import put_models, put_stager

CALLER = Caller()
ECHO = ModelEntry(path="", model="", engine="echo", stop=())
SHORT_S = 0.01
LIMIT_S = 5.0
STOP_LIMIT_S = 2.0

ENGINE_FILE = """
from hoshikage import hookimpl
from tests.fakes import FakeEngine

ENGINE = FakeEngine("filed")

@hookimpl
def hoshikage_provide_engines():
    return [ENGINE]
"""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a project whose data are in `data`; the user's own files are elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return {"HOSHIKAGE_PROJECT_DIR": str(tmp_path), "HOSHIKAGE_DATA_DIR": "data"}


@pytest.fixture
async def kernel_of(environ, monkeypatch):
    """Builds kernels, which look at the registry all the time; all are stopped at the end of the test."""
    monkeypatch.setattr(kernel_module, "RECONCILE_INTERVAL_S", SHORT_S)
    kernels: list[Kernel] = []

    def build(**variables: str) -> Kernel:
        kernels.append(Kernel(assemble({**environ, **variables})))
        return kernels[-1]

    yield build
    for kernel in kernels:
        await kernel.stop()


def registry_of(environ: dict[str, str]) -> Registry:
    """The registry as another process would open it."""
    return assemble(environ).registry


async def answer(kernel: Kernel, model: str = "echo", text: str = "one two") -> list:
    request = ChatRequest("r1", model, messages=(Message("user", text),))
    async with aclosing(kernel.chat(request, CALLER)) as events:
        return [event async for event in events]


def loaded(kernel: Kernel) -> list[tuple[str, str]]:
    return [(view.record.name, view.state) for view in kernel.status().loaded]


# --- assembling ---


def test_assembly_of_an_empty_folder(environ, tmp_path):
    """Over an empty folder there is the model of the echo engine, and nothing is written."""
    assembly = assemble(environ)

    assert (["echo"], ["echo", "llamacpp"]) == (
        [r.name for r in assembly.catalog.models()],
        sorted(e.name for e in assembly.manager.engines(assembly.settings)),
    )
    assert [] == list(tmp_path.iterdir())


def test_files_lie_in_the_data_directory(environ, tmp_path):
    """The registry's files are in the data directory under their old names."""
    files = assemble(environ).registry.files

    data = tmp_path / "data"
    expected = (data / "model_map.json", data / "tags_cache.json", data / "tags_ollama.json")
    assert expected == (files.model_map, files.tags_cache, files.tags_ollama)


def test_files_may_lie_elsewhere(environ, tmp_path):
    """Old variables put the registry's files where they always were."""
    files = assemble({**environ, "MODEL_MAP_FILE": "./src/models/model_map.json"}).registry.files

    assert tmp_path / "src/models/model_map.json" == files.model_map


@pytest.mark.parametrize(("variables", "folder"), [({}, "data/plugins"), ({"HOSHIKAGE_PLUGINS__FOLDER": "x"}, "x")])
def test_folder_of_plugins(environ, tmp_path, variables: dict[str, str], folder: str):
    """Single-file plug-ins come from `plugins` in the data directory, or from the folder that is set."""
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "extra_one.py").write_text(ENGINE_FILE)

    assert "extra_one" in [row.name for row in assemble({**environ, **variables}).manager.rows()]


@pytest.mark.parametrize(
    ("safe_mode", "variables", "state"),
    [
        (False, {}, "active"),
        (True, {}, "disabled"),
        (False, {"HOSHIKAGE_PLUGINS__DISABLED": '["extra_two"]'}, "disabled"),
        (False, {"HOSHIKAGE_PLUGINS__ENABLED": '["other"]'}, "disabled"),
    ],
)
def test_settings_and_safe_mode_choose_plugins(environ, tmp_path, safe_mode: bool, variables, state: str):
    """Settings and safe mode decide whether a file of the folder runs."""
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/extra_two.py").write_text(ENGINE_FILE)

    manager = assemble({**environ, **variables}, safe_mode=safe_mode).manager

    assert state == next(row.state for row in manager.rows() if row.name == "extra_two")


def test_section_of_a_disabled_plugin_only_warns(environ):
    """Settings of a plug-in that is disabled have no effect, and a warning says so."""
    variables = {"HOSHIKAGE_PLUGINS__DISABLED": '["engine_echo"]', "HOSHIKAGE_ECHO__FAIL_AFTER": "1"}

    (warning,) = assemble({**environ, **variables}).settings.warnings

    assert warning.startswith("echo.fail_after from HOSHIKAGE_ECHO__FAIL_AFTER (environment) has no effect")


def test_bad_setting_of_a_plugin_is_an_error(environ):
    """A plug-in's settings are checked like the kernel's."""
    with pytest.raises(ConfigError, match=r"echo\.context_length = 1 "):
        assemble({**environ, "HOSHIKAGE_ECHO__CONTEXT_LENGTH": "1"})


def test_two_engines_of_one_name_are_an_error(environ, tmp_path):
    """A file that offers an engine under a taken name stops the start."""
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/extra_three.py").write_text(ENGINE_FILE.replace("filed", "echo"))

    with pytest.raises(PluginError, match="engine_echo and extra_three both provide 'echo'"):
        assemble(environ)


# --- running ---


async def test_status_of_an_idle_kernel(kernel_of):
    """A kernel that has done nothing yet runs nothing, and knows its versions."""
    status = kernel_of().status()

    assert (0, 0, ()) == (status.running, status.waiting, status.loaded)
    assert {"python", "hoshikage", "quart"} <= set(status.versions)


async def test_answer_through_the_kernel(kernel_of):
    """A request is answered by the model that it names, and leaves a receipt."""
    kernel = kernel_of()
    events = await answer(kernel, "ECHO:latest")

    assert ("one two", Done) == ("".join(e.text for e in events if isinstance(e, Chunk)), type(events[-1]))
    assert [("r1", "echo", "done")] == [(r.request_id, r.model, r.outcome) for r in kernel.receipts()]


async def test_status_while_it_answers(kernel_of):
    """While an answer is made, it counts as running and its model as loaded."""
    kernel = kernel_of()
    request = ChatRequest("r1", "echo", messages=(Message("user", "one two"),))
    async with aclosing(kernel.chat(request, CALLER)) as events:
        await anext(events)
        status = kernel.status()

    assert (1, [("echo", "ready", 1)]) == (
        status.running,
        [(view.record.name, view.state, view.running) for view in status.loaded],
    )


async def test_unknown_model_is_not_found(kernel_of):
    """A request for an unknown model is an error at once."""
    with pytest.raises(ModelNotFound):
        kernel_of().chat(ChatRequest("r1", "unknown"), CALLER)


async def test_defaults_reach_the_engine(kernel_of):
    """The built-in filter completes requests with what the settings say."""
    kernel = kernel_of(MAX_TOKENS_NON_STREAMING="1")

    *_, done = await answer(kernel, text="one two three")

    assert ("length", 1) == (done.finish_reason, done.usage.completion_tokens)


async def test_thinking_and_calls_are_told_from_text(kernel_of):
    """With the built-in formats, thinking and tool calls in an answer come as such."""
    kernel = kernel_of()
    text = '<think>hm</think>ok\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    request = ChatRequest("r1", "echo", messages=(Message("user", text),), tools=(Tool("f"),))
    collector = Collector()
    async with aclosing(kernel.chat(request, CALLER)) as events:
        async for event in events:
            if isinstance(event, Chunk):
                collector.add(event)
    (choice,) = collector.finish(event).choices
    (call,) = choice.tool_calls

    assert ("ok", "hm", "f", {"a": 1}) == (choice.text, choice.reasoning, call.name, json.loads(call.arguments))
    assert "tool_calls" == event.finish_reason
    assert re.fullmatch(r"call_\w{24}", call.id)


async def test_numbers_through_the_kernel(kernel_of):
    """Vectors, scores and tokens come from the model that is named; those that compute leave a receipt."""
    kernel = kernel_of()
    embedded, receipt = await kernel.embed(EmbedRequest("r1", "Echo", ("a", "a b"), dimensions=8), CALLER)
    scored, other = await kernel.rerank(RerankRequest("r2", "echo:latest", "a b", ("a",)), CALLER)
    tokens = await kernel.tokenize("echo", "é", special=True, caller=CALLER)
    text = await kernel.detokenize("ECHO", tokens, caller=CALLER)

    assert ([8, 8], (0.5,), (233,), "é") == ([len(v) for v in embedded.vectors], scored.scores, tokens, text)
    assert [other, receipt] == list(kernel.receipts())


@pytest.mark.parametrize(
    "ask",
    [
        lambda kernel: kernel.embed(EmbedRequest("r1", "unknown", ("a",)), CALLER),
        lambda kernel: kernel.rerank(RerankRequest("r1", "unknown", "a", ("b",)), CALLER),
        lambda kernel: kernel.tokenize("unknown", "a", special=True, caller=CALLER),
        lambda kernel: kernel.detokenize("unknown", (97,), caller=CALLER),
    ],
    ids=["embed", "rerank", "tokenize", "detokenize"],
)
async def test_unknown_model_makes_no_numbers(kernel_of, ask):
    """A request for numbers of an unknown model is an error."""
    with pytest.raises(ModelNotFound):
        await ask(kernel_of())


async def test_capabilities_of_an_echo(kernel_of):
    """An echo can do all that it claims in its header and its template."""
    kernel = kernel_of()

    able = await kernel.capabilities(kernel.model("echo"))

    assert {"completion", "tools", "thinking", "embedding"} == able


async def test_counters_of_a_loaded_model(kernel_of):
    """The status shows what a loaded model has counted."""
    kernel = kernel_of()
    await answer(kernel)
    (view,) = kernel.status().loaded

    assert (2, 2, 0) == (view.counters.prefill_tokens, view.counters.decode_tokens, view.counters.running)


async def test_model_is_loaded_and_unloaded_by_name(kernel_of):
    """A model can be loaded and unloaded without asking it anything."""
    kernel = kernel_of()
    await kernel.load("Echo", keep_alive_s=None, caller=CALLER)
    after_load = loaded(kernel)
    await kernel.unload("ECHO")
    await until(lambda: not loaded(kernel))

    assert [("echo", "ready")] == after_load


async def test_engine_of_a_plugin_file_answers(kernel_of, environ, tmp_path):
    """A registered model that names the engine of a file in the plug-in folder is answered by it."""
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/extra_four.py").write_text(ENGINE_FILE)
    registry_of(environ).add("mine", ModelEntry(path="", model="", engine="filed"))

    events = await answer(kernel_of(), "mine")

    assert "one two" == "".join(e.text for e in events if isinstance(e, Chunk))


async def test_model_without_its_engine_is_an_error(kernel_of, environ):
    """A model whose engine is not there is an error when it is asked, and has empty facts in lists."""
    registry_of(environ).add("mine", ModelEntry(path="", model="", engine="missing"))
    kernel = kernel_of()

    with pytest.raises(ModelLoadFailed, match="needs the engine 'missing'"):
        await answer(kernel, "mine")

    assert "" == (await kernel.facts(kernel.model("mine"))).architecture


async def test_corrupt_model_map_stops_the_start(kernel_of, tmp_path):
    """A corrupt model map is an error at the start, not an empty list of models."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/model_map.json").write_text("{")
    kernel = kernel_of()

    with pytest.raises(RegistryError, match="is corrupt"):
        await kernel.start()

    assert "{" == (tmp_path / "data/model_map.json").read_text()


async def test_added_model_is_seen_at_once(kernel_of, environ):
    """A model that another process adds is there at the next look."""
    kernel = kernel_of()
    await kernel.start()
    registry_of(environ).add("new", ECHO)

    assert "new" == kernel.model("new").name


async def test_removed_model_is_unloaded(kernel_of, environ):
    """A loaded model that another process removes is unloaded; others stay."""
    other = registry_of(environ)
    other.add("gone", ECHO)
    kernel = kernel_of(HOSHIKAGE_RESIDENCY__MAX_LOADED="2")
    await kernel.start()
    for name in ("echo", "gone"):
        await kernel.load(name, keep_alive_s=None, caller=CALLER)
    before = loaded(kernel)
    other.remove("gone")
    await until(lambda: len(loaded(kernel)) < 2)

    assert ([("echo", "ready"), ("gone", "ready")], [("echo", "ready")]) == (before, loaded(kernel))


async def test_removed_model_finishes_its_answer(kernel_of, environ):
    """A model that is removed while it answers ends its answer first."""
    other = registry_of(environ)
    other.add("gone", ECHO)
    kernel = kernel_of()
    await kernel.start()
    request = ChatRequest("r1", "gone", messages=(Message("user", "one two"),))
    async with aclosing(kernel.chat(request, CALLER)) as events:
        await anext(events)
        other.remove("gone")
        await until(lambda: kernel._residence._retired)
        rest = [event async for event in events]
    await until(lambda: not loaded(kernel))

    assert Done is type(rest[-1])


async def test_model_map_that_breaks_unloads_nothing(kernel_of, environ, tmp_path):
    """A model map that becomes corrupt meanwhile leaves loaded models alone."""
    registry_of(environ).add("kept", ECHO)
    kernel = kernel_of()
    await kernel.start()
    await kernel.load("kept", keep_alive_s=None, caller=CALLER)
    with capture_logs() as logs:
        (tmp_path / "data/model_map.json").write_text("{")
        await until(lambda: "registry_unreadable" in [line["event"] for line in logs])
        for _ in range(3):
            kernel.models()

    assert [("kept", "ready")] == loaded(kernel)
    assert 1 == len([line for line in logs if line["event"] == "registry_unreadable"])


async def test_a_replaced_model_is_let_go_without_being_asked_for(kernel_of, environ):
    """A loaded model whose entry changes is unloaded by the housekeeping."""
    registry = registry_of(environ)
    registry.add("mine", ECHO)
    kernel = kernel_of()
    await kernel.start()
    await kernel.load("mine", keep_alive_s=None, caller=CALLER)
    registry.remove("mine")
    registry.add("mine", msgspec.structs.replace(ECHO, options={"context_length": 64}))

    await until(lambda: loaded(kernel) == [])


async def test_start_brings_the_tags_in_step(kernel_of, environ, tmp_path):
    """After the start the companion files list the registered models."""
    registry_of(environ).add("mine", ECHO)
    kernel = kernel_of()
    await kernel.start()
    await until((tmp_path / "data/tags_ollama.json").is_file)

    tags = [json.loads((tmp_path / f"data/tags_{name}.json").read_text()) for name in ("cache", "ollama")]
    assert (["mine"], ["mine:latest"]) == (
        [row["id"] for row in tags[0]["data"]],
        [row["model"] for row in tags[1]["models"]],
    )


async def test_start_completes_digests(kernel_of, environ, tmp_path):
    """After the start each registered file's digest is computed once."""
    (tmp_path / "x.gguf").write_bytes(b"weights")
    registry_of(environ).add("mine", ModelEntry(path=str(tmp_path), model="x.gguf", engine="echo"))
    kernel = kernel_of()
    await kernel.start()
    await until((tmp_path / "data/tags_ollama.json").is_file)

    assert hashlib.sha256(b"weights").hexdigest() == kernel.model("mine").digest


async def test_missing_file_does_not_stop_the_start(kernel_of, environ, tmp_path):
    """A registered file that is gone does not keep the others from being listed."""
    registry_of(environ).add("gone", ModelEntry(path="/nowhere", model="x.gguf"))
    registry_of(environ).add("mine", ECHO)
    await kernel_of().start()
    await until((tmp_path / "data/tags_ollama.json").is_file)

    names = [row["name"] for row in json.loads((tmp_path / "data/tags_ollama.json").read_text())["models"]]
    assert ["gone", "mine"] == names


async def test_tags_that_cannot_be_written_are_a_warning(environ, tmp_path):
    """Where the companion files cannot be written, the log says so and nothing else happens."""
    (tmp_path / "data").write_text("a file, no folder")
    assembly = assemble({**environ, "MODEL_MAP_FILE": "map.json"})
    with capture_logs() as logs:
        await sync_tags(assembly)

    assert ["tags_not_written"] == [line["event"] for line in logs]


async def test_the_last_list_of_tags_is_the_last_that_is_written(environ, tmp_path, monkeypatch):
    """Whoever changes the registry second has the last word, though the first one is slow."""
    assembly = assemble(environ)
    begun, go_on = threading.Event(), threading.Event()

    def slow(files, models) -> None:
        if not begun.is_set():
            begun.set()
            go_on.wait(LIMIT_S)
        write_tags(files, models)

    monkeypatch.setattr(kernel_module, "write_tags", slow)
    first = asyncio.create_task(sync_tags(assembly))
    await asyncio.to_thread(begun.wait, LIMIT_S)
    registry_of(environ).add("mine", ECHO)
    second = asyncio.create_task(sync_tags(assembly))
    go_on.set()
    await asyncio.gather(first, second)

    names = [row["name"] for row in json.loads((tmp_path / "data/tags_ollama.json").read_text())["models"]]
    assert ["mine"] == names


async def test_memory_that_others_give_back_is_noticed(kernel_of, monkeypatch):
    """Other programs do not tell when they are done; a request that waits for memory is looked at again and again."""
    kernel = kernel_of()
    await kernel.start()
    lease, free_after = Residence.lease, 3
    looks: list[str] = []

    def when_there_is_room(residence: Residence, demand: Demand) -> Lease | None:
        looks.append(demand.record.name)
        return lease(residence, demand) if len(looks) >= free_after else None

    monkeypatch.setattr(Residence, "lease", when_there_is_room)
    await asyncio.wait_for(answer(kernel), LIMIT_S)

    assert ["echo"] * free_after == looks


async def test_stop_unloads_everything(kernel_of):
    """A kernel that is stopped has no model loaded."""
    kernel = kernel_of()
    await kernel.start()
    await answer(kernel)
    await kernel.stop()

    assert [] == loaded(kernel)


# --- models of the start ---


async def preloaded(kernel: Kernel) -> list[str]:
    """The loads in their order, once all are through."""
    with capture_logs() as logs:
        await kernel.start()
        await until(lambda: not kernel.status().preloading)
    return [line["model"] for line in logs if line["event"] == "model_loaded"]


async def test_models_are_preloaded_in_order(kernel_of, environ):
    """What the settings name is loaded at the start, one after another, by any spelling; it stays as others do."""
    for name in ("one", "two"):
        registry_of(environ).add(name, ECHO)
    kernel = kernel_of(HOSHIKAGE_RESIDENCY__PRELOAD='["Two:latest", "echo", "one"]')
    before = kernel.status().preloading

    assert (True, ["two", "echo", "one"]) == (before, await preloaded(kernel))
    assert all(view.expires_at for view in kernel.status().loaded)


async def test_a_preload_that_fails_is_passed_over(kernel_of, environ):
    """An unknown model, one that cannot be loaded, and one whose engine breaks are each said; the next is loaded."""
    registry_of(environ).add("bad", msgspec.structs.replace(ECHO, options={"fail_load": "no memory"}))
    registry_of(environ).add("wrong", msgspec.structs.replace(ECHO, options={"context_length": "long"}))
    registry_of(environ).add("huge", msgspec.structs.replace(ECHO, options={"memory_bytes": 1 << 60}))
    kernel = kernel_of(HOSHIKAGE_RESIDENCY__PRELOAD='["nobody", "bad", "wrong", "huge", "echo"]')
    with capture_logs() as logs:
        await kernel.start()
        await until(lambda: not kernel.status().preloading)

    failed = [line["model"] for line in logs if line["event"] == "preload_failed"]
    assert (["nobody", "bad", "wrong", "huge"], [("echo", "ready")]) == (failed, loaded(kernel))


async def test_an_engine_that_breaks_does_not_end_the_preload(kernel_of, environ, tmp_path):
    """An error that the contract does not allow is logged, and the server becomes ready."""
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/extra_five.py").write_text(
        f"{ENGINE_FILE}"
        "\nasync def estimate(record, context_length=0):\n    raise ZeroDivisionError\n\nENGINE.estimate = estimate\n"
    )
    registry_of(environ).add("mine", ModelEntry(path="", model="", engine="filed"))
    kernel = kernel_of(HOSHIKAGE_RESIDENCY__PRELOAD='["mine", "echo"]')

    assert ["echo"] == await preloaded(kernel)


async def test_a_stop_ends_the_preload(kernel_of):
    """A kernel that is stopped while it preloads does not wait for the rest."""
    kernel = kernel_of(HOSHIKAGE_RESIDENCY__PRELOAD='["echo"]', HOSHIKAGE_ECHO__LOAD_DELAY_S="60")
    await kernel.start()
    await until(lambda: loaded(kernel) == [("echo", "loading")])
    await asyncio.wait_for(kernel.stop(), STOP_LIMIT_S)

    assert [] == loaded(kernel)


# --- the order of the end ---


async def test_stop_goes_from_the_models_down_to_their_places(environ, tmp_path):
    """First the models are closed, then their engines, then the stagers whose copies they read."""
    variables = put_stager(tmp_path / "data")
    (tmp_path / "data/plugins/extra_six.py").write_text(ENGINE_FILE)
    (tmp_path / "x.gguf").write_bytes(b"weights")
    registry_of(environ).add("mine", ModelEntry(path=str(tmp_path), model="x.gguf", engine="filed"))
    kernel = Kernel(assemble({**environ, **variables}))
    await kernel.start()
    await kernel.load("mine", keep_alive_s=None, caller=CALLER)
    ended: list[str] = []
    stager = kernel._storage.stager
    engine = next(e for e in kernel._assembly.engines if e.name == "filed")
    for name, part, method in (
        ("model", engine.models[0], "close"),
        ("copy", stager, "release"),
        ("engine", engine, "close"),
        ("stager", stager, "stop"),
    ):
        setattr(part, method, noting(ended, name, getattr(part, method)))
    await kernel.stop()

    assert ["model", "copy", "engine", "stager"] == ended
    assert 1 == engine.models[0].closed


def noting(ended: list[str], name: str, method):
    """The method, which also notes that it was called."""

    def noted(*arguments):
        ended.append(name)
        return method(*arguments)

    return noted


async def test_pins_of_the_command_line_reach_the_stager(environ, tmp_path):
    """What was pinned while no server ran is known to the stager after the start."""
    variables = put_stager(tmp_path / "data")
    put_models(tmp_path / "data", mine={}, other={})
    Pins(tmp_path / "data/pins.json").set("mine", pinned=True)
    kernel = Kernel(assemble({**environ, **variables}))
    await kernel.start()
    pinned = set(kernel._storage.stager.pinned)
    await kernel.stop()

    assert {tmp_path / "data/files/mine.gguf"} == pinned


async def test_receipts_say_why_it_was_the_disk(environ, tmp_path):
    """Where the RAM disk is not available, the receipt of an answer says so."""
    variables = put_stager(tmp_path / "data", available=False)
    put_models(tmp_path / "data", mine={})
    kernel = Kernel(assemble({**environ, **variables}))
    await kernel.start()
    *_, done = await answer(kernel, "mine")
    await kernel.stop()

    assert ("loaded from disk: told so",) == done.receipt.notes
