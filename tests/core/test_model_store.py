"""The model store over real files: what becomes of entries and blobs, and what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from hoshikage import Message
from hoshikage.core.blobs import GRACE_S
from hoshikage.core.creation import NewModel
from hoshikage.core.errors import (
    HoshikageError,
    InvalidRequest,
    ModelFileError,
    ModelNotFound,
    NotSupported,
    StorageRefused,
)
from hoshikage.core.registry import ModelEntry
from tests.core.gguf.raw_gguf import ARCHITECTURE, SMALL, STRING, gguf, pair, split_part, tensor, text
from tests.core.model_stores import World, part, world_over
from tests.wire import until

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.core.catalog import Catalog
    from hoshikage.core.registry import Registry

ADAPTER = pair("general.type", STRING, text("adapter"))
LORA = gguf(pairs=(ARCHITECTURE, ADAPTER))
MATRIX = gguf(pairs=(ARCHITECTURE, pair("general.type", STRING, text("imatrix"))))
SIGHT = gguf(pairs=(pair("general.architecture", STRING, text("clip")),))


@pytest.fixture
def world(tmp_path: Path, registry: Registry, catalog: Catalog) -> World:
    """A store over the catalogue with the models `a`, `b` and `c` of a plug-in."""
    return world_over(tmp_path, registry, catalog)


async def test_blob_becomes_a_model(world: World):
    """The entry names the blob where it lies; its digest is known without reading it again."""
    digest = await world.send(SMALL)

    steps = await world.create(files={"dir/small.gguf": digest}, system="Be kind.")

    entry = world.entry("new")
    file = world.registry.file_of(entry)
    assert [f"using existing layer {digest}", "writing manifest", "success"] == steps
    assert (world.blobs.path(digest), digest.removeprefix("sha256:")) == (file, world.digests.get(file))
    assert (("sha256-" + digest[7:],), (), "Be kind.") == (entry.owned, entry.stop, entry.system)
    assert ["changed"] == world.changes


async def test_model_of_another_has_its_file_and_what_it_says(world: World):
    """What is not given is that of the base; parameters are added, messages replaced."""
    digest = await world.send(SMALL)
    opening = (Message("user", "hi"),)
    await world.create(
        "base", files={"a": digest}, template="{{ .Prompt }}", parameters={"top_k": 1, "seed": 1}, messages=opening
    )

    await world.create("child", base="base", parameters={"seed": 2, "top_p": None, "nonsense": 1}, license="MIT")

    base, child = world.entry("base"), world.entry("child")
    assert (base.path, base.model, base.owned) == (child.path, child.model, child.owned)
    assert ("{{ .Prompt }}", {"top_k": 1, "seed": 2}, base.messages) == (
        child.template,
        child.parameters,
        child.messages,
    )
    assert ("MIT", "base", "") == (child.license, child.parent, base.parent)


async def test_parameters_that_are_ignored_are_said_once(world: World):
    """Not once for each look at them."""
    with structlog.testing.capture_logs() as logs:
        await world.create(base="a", parameters={"nonsense": 1})

    assert [["nonsense"]] == [entry["parameters"] for entry in logs if entry["event"] == "parameters_ignored"]


async def test_model_of_a_plug_in_can_be_the_base(world: World):
    """Models that are not registered can be made into some that are, and copied."""
    await world.create("mine", base="A:latest", system="x")
    await world.store.copy("b", "other")

    assert ("x", "A:latest") == (world.entry("mine").system, world.entry("mine").parent)
    assert world.store.entry("other") is not None
    assert world.store.entry("b") is None


async def test_split_model_is_put_together(world: World):
    """Whatever the parts are called and in whatever order they come, links bear the names that llama.cpp expects."""
    parts = [part(number, 3, bytes([number])) for number in range(3)]
    digests = [await world.send(content) for content in parts]

    await world.create(files={"c": digests[2], "a": digests[0], "b": digests[1]})

    file = world.registry.file_of(world.entry("new"))
    entry = world.entry("new")
    links = sorted(world.links.rglob("*.gguf"))
    assert [f"model-0000{n}-of-00003.gguf" for n in (1, 2, 3)] == [link.name for link in links]
    assert parts == [link.read_bytes() for link in links]
    assert entry.model == links[0].name
    assert file == links[0]

    await world.store.delete("new")
    assert [] == [*world.links.rglob("*"), *world.blobs.folder.iterdir()]


async def test_links_stay_while_a_copy_needs_them(world: World):
    """As blobs do."""
    digests = [await world.send(part(n, seed=bytes([n]))) for n in range(2)]
    await world.create(files={str(n): d for n, d in enumerate(digests)})
    await world.store.copy("new", "again")

    await world.store.delete("new")

    assert 2 == len(list(world.links.rglob("*.gguf"))) == len(list(world.blobs.folder.iterdir()))


async def test_adapter_is_told_by_its_header(world: World):
    """It may come among the files; the model always uses it, and owns it."""
    model, lora = await world.send(SMALL), await world.send(LORA)

    await world.create(files={"m.gguf": model, "My LoRA.gguf": lora})
    await world.create("child", base="new", adapters={"x": lora})

    entry = world.entry("new")
    name = f"My-LoRA-{lora[7:19]}"
    assert {name: str(world.blobs.path(lora))} == entry.options["adapters"]
    assert [name] == entry.parameters["adapters"]
    assert {f"sha256-{d[7:]}" for d in (model, lora)} == set(entry.owned)
    assert [name, f"x-{lora[7:19]}"] == world.entry("child").parameters["adapters"]


async def test_adapter_for_another_architecture_is_refused(world: World):
    """Beside the model or for one that is here; both architectures are named."""
    foreign = gguf(pairs=(pair("general.architecture", STRING, text("qwen2")), ADAPTER))
    model, lora = await world.send(SMALL), await world.send(foreign)
    await world.create("base", files={"m": model})
    words = r"^adapters\.l: it is for models of the architecture 'qwen2', not 'llama'; "

    with pytest.raises(InvalidRequest, match=words):
        await world.create(files={"m": model, "l": lora})
    with pytest.raises(InvalidRequest, match=words):
        await world.create(base="base", adapters={"l": lora})
    await world.create(base="a", adapters={"l": lora})  # nobody knows what a plug-in's model without a file is

    assert {"base", "new"} == set(world.registry.entries())


REFUSED: dict[str, tuple[dict[str, Any], type[HoshikageError], str]] = {
    "neither": ({}, InvalidRequest, "one of from and files"),
    "both": ({"base": "a", "files": {"m": SMALL}}, InvalidRequest, "not both"),
    "no such base": ({"base": "nobody"}, ModelNotFound, "nobody"),
    "a file as the base": ({"base": "./m.gguf"}, InvalidRequest, r"^from: './m.gguf' is a file.* POST /api/blobs/"),
    "a digest as the base": ({"base": "sha256:" + "0" * 64}, InvalidRequest, r"^from: 'sha256:0.* is a file"),
    "no GGUF": ({"files": {"m.gguf": b"PK\3\4 no model at all"}}, HoshikageError, r"^files\.m\.gguf: it begins with"),
    "no architecture": ({"files": {"m.gguf": gguf(pairs=())}}, ModelFileError, r"^files\.m\.gguf: the metadata has no"),
    "a file of numbers for quantising": (
        {"files": {"m": MATRIX}},
        NotSupported,
        "^files.m: this is no model, its type is 'imatrix'",
    ),
    "an empty file": ({"files": {"m": b""}}, HoshikageError, "the file is empty"),
    "a projector": ({"files": {"m": SMALL, "p": SIGHT}}, NotSupported, "see images"),
    "only an adapter": ({"files": {"l": LORA}}, InvalidRequest, "there is no model among them"),
    "two models": ({"files": {"m": SMALL, "n": SMALL + b"\0"}}, InvalidRequest, "several models.*: m, n"),
    "a part missing": ({"files": {"p": part(0, 3), "q": part(2, 3)}}, InvalidRequest, "3 parts: parts 2 are missing"),
    "a part doubled": (
        {"files": {"p": part(0), "q": part(1), "r": part(1, seed=b"x")}},
        InvalidRequest,
        "a part is doubled",
    ),
    "parts and a model": ({"files": {"p": part(0), "m": SMALL}}, InvalidRequest, "several models"),
    "a model as an adapter": ({"base": "a", "adapters": {"m": SMALL}}, InvalidRequest, "a model, not an adapter"),
    "a path": ({"files": {"../m": SMALL}}, InvalidRequest, r"file name '../m'"),
    "an absolute path": ({"files": {"/m": SMALL}}, InvalidRequest, r"file name '/m'"),
    "a path of Windows": ({"files": {"..\\m": SMALL}}, InvalidRequest, "file name"),
    "a template": ({"base": "a", "template": "{{ .Nothing }}"}, InvalidRequest, "line 1"),
    "a parameter": ({"base": "a", "parameters": {"temperature": "hot"}}, InvalidRequest, r"parameters\.temperature"),
    "a name": ({"name": "../new", "base": "a"}, InvalidRequest, "not allowed"),
}


@pytest.mark.parametrize(("fields", "kind", "words"), REFUSED.values(), ids=REFUSED)
async def test_what_makes_no_model_is_refused(world: World, fields: dict, kind: type[HoshikageError], words: str):
    """The error names the field, nothing is yielded before it, and nothing is registered."""
    sent = {
        key: {name: await world.send(content) for name, content in value.items()}
        if key in ("files", "adapters")
        else value
        for key, value in fields.items()
    }
    steps = world.store.create(NewModel(**{"name": "new", **sent}))

    with pytest.raises(kind, match=words):
        await anext(steps)

    assert ({}, []) == (dict(world.registry.entries()), world.changes)


async def test_blob_that_is_not_here_is_named(world: World):
    """With what to do; a digest that is none is refused as such."""
    digest = "sha256:" + "ab" * 32

    with pytest.raises(InvalidRequest, match=rf"files\.m: the blob {digest} is not here; send it to POST"):
        await world.create(files={"m": digest})
    with pytest.raises(InvalidRequest, match=r"files\.m: the digest '\.\./x' is not allowed"):
        await world.create(files={"m": "../x"})


async def test_link_among_the_blobs_is_no_blob(world: World, tmp_path: Path):
    """Whoever could make one would make this server read any file."""
    secret = tmp_path / "secret.gguf"
    secret.write_bytes(SMALL)
    digest = "sha256:" + hashlib.sha256(SMALL).hexdigest()
    world.blobs.folder.mkdir()
    world.blobs.path(digest).symlink_to(secret)

    with pytest.raises(InvalidRequest, match="is not here"):
        await world.create(files={"m": digest})


async def test_model_whose_file_is_gone_is_no_base(world: World, tmp_path: Path):
    """The error names the file; an adapter counts too."""
    (tmp_path / "mine.gguf").write_bytes(SMALL)
    world.registry.add("gone", ModelEntry(path=str(tmp_path), model="gone.gguf"))
    world.registry.add("bare", ModelEntry(path=str(tmp_path), model="mine.gguf", options={"adapters": {"x": "/no"}}))

    for base, file in (("gone", tmp_path / "gone.gguf"), ("bare", "/no")):
        with pytest.raises(ModelFileError, match=f"^from: {file}, a file of model '{base}'"):
            await world.create(base=base)


async def test_parts_of_several_models_are_no_model(world: World):
    """Each part says that it is one of two, but not of the same two; nothing of the try is left."""
    other = split_part(1, (tensor("t0"),), count=2, total=2, pairs=(ARCHITECTURE,))
    digests = [await world.send(content) for content in (part(0), other)]

    with pytest.raises(ModelFileError, match=r"^files: the parts are not those of one model: model-00002-of-00002"):
        await world.create(files={"a": digests[0], "b": digests[1]})

    assert ({}, []) == (dict(world.registry.entries()), list(world.links.iterdir()))


async def test_links_that_cannot_be_made_are_an_error(world: World):
    """That says where there is no room."""
    world.links.write_text("no folder")
    digests = [await world.send(part(n, seed=bytes([n]))) for n in range(2)]

    with pytest.raises(StorageRefused, match=f"{world.links}.* cannot be written: "):
        await world.create(files={str(n): d for n, d in enumerate(digests)})


async def test_copy_onto_itself_changes_nothing(world: World):
    """Whatever the spelling; a plug-in's model does not become a registered one by it."""
    await world.store.copy("a", "A:latest")
    with pytest.raises(ModelNotFound):
        await world.store.copy("nobody", "nobody")

    assert ({}, []) == (dict(world.registry.entries()), world.changes)


async def test_file_that_was_registered_where_it_lies_stays(world: World, tmp_path: Path):
    """Only blobs that came for models go with them."""
    file = tmp_path / "mine.gguf"
    file.write_bytes(SMALL)
    world.registry.add("mine", ModelEntry(path=str(tmp_path), model="mine.gguf"))

    await world.store.delete("mine")

    assert file.is_file()


async def test_entry_cannot_name_foreign_files_as_its_own(world: World, tmp_path: Path):
    """What a hand or a stranger wrote into `owned` is no way to delete files."""
    file = tmp_path / "precious"
    file.write_bytes(b"x")
    world.registry.add("evil", ModelEntry(path="/p", model="m", owned=("../precious", str(file), "sha256-../precious")))

    await world.store.delete("evil")

    assert file.is_file()


async def test_delete_of_what_is_not_registered(world: World):
    """Nobody is not found; what a plug-in offers cannot be forgotten here."""
    with pytest.raises(ModelNotFound):
        await world.store.delete("nobody")
    with pytest.raises(NotSupported, match="'a' is not registered but offered by a plug-in"):
        await world.store.delete("A")


async def test_what_nobody_used_for_a_day_goes(world: World):
    """Blobs of a create that never came, but none that a model names, nor a fresh one."""
    used, waste, fresh = await world.send(SMALL), await world.send(b"waste"), await world.send(b"fresh")
    await world.create(files={"m": used})
    old = time.time() - GRACE_S - 1
    for digest in (used, waste):
        os.utime(world.blobs.path(digest), (old, old))

    world.store.prune()

    assert [True, False, True] == [await world.store.has_blob(digest) for digest in (used, waste, fresh)]


async def test_tidying_goes_on_after_a_failure(world: World, monkeypatch: pytest.MonkeyPatch):
    """A registry that cannot be read now may be later."""
    monkeypatch.setattr("hoshikage.core.model_store.TIDY_INTERVAL_S", 0.001)
    waste = await world.send(b"waste")
    os.utime(world.blobs.path(waste), (1, 1))
    world.registry.files.model_map.write_text("no JSON")
    task = asyncio.create_task(world.store.keep_tidy())

    await asyncio.sleep(0)
    world.registry.files.model_map.unlink()
    await asyncio.to_thread(until, lambda: not world.blobs.has(waste))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
