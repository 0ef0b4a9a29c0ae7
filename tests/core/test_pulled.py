from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import TYPE_CHECKING

import gguf
import numpy
import pytest

from hoshikage import Downloaded, Message
from hoshikage.core.errors import DownloadFailed, InvalidRequest, ModelFileError
from hoshikage.core.gguf import DigestCache
from hoshikage.core.gguf.digest import combined_sha256
from hoshikage.core.pulled import PulledModels, entry_of_pulled
from hoshikage.core.registry import ModelEntry, OpeningMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hoshikage.core.registry import Registry

NAME = "team/tiny"
LIMIT_S = 5.0


class Book:
    """The registry's pulled models, and what happened around them."""

    def __init__(self, registry: Registry, digests: DigestCache) -> None:
        self.registry = registry
        self.digests = digests
        self.changes = 0
        self.gone: list[ModelEntry] = []
        self.models = PulledModels(registry=registry, digests=digests, settle=self.settle, changed=self.changed)

    def settle(self, gone: ModelEntry, left: Sequence[ModelEntry]) -> None:
        self.gone.append(gone)

    async def changed(self) -> None:
        self.changes += 1

    async def register(self, found: Downloaded, name: str = NAME) -> ModelEntry:
        await self.models.put(name, found, await self.models.verify(found))
        return self.registry.entries()[name]


@pytest.fixture
def book(registry: Registry, tmp_path: Path) -> Book:
    return Book(registry, DigestCache(tmp_path / "digests.json"))


@pytest.fixture
def write_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Writes small valid files."""

    def write(name: str = "model", kind: str = "model") -> Path:
        file = tmp_path / name
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_type(kind)
        writer.add_name(name)
        writer.add_tensor("token_embd.weight", numpy.zeros((4, 32), dtype=numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return file

    return write


def downloaded(file: Path, source: str = "host/team/tiny:latest", **more: object) -> Downloaded:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Downloaded(NAME, file, digest, source=source, **{"owned": (file,), **more})


async def test_all_that_came_is_written_down(book: Book, write_gguf: Callable[..., Path]):
    """Template, system prompt, parameters, messages and license stand in the entry; the digest is known."""
    file = write_gguf()

    entry = await book.register(
        downloaded(
            file,
            template="{{ .Prompt }}",
            system="be kind",
            parameters={"temperature": 0.5, "stop": ["<end>"]},
            messages=(Message("user", "hi"),),
            license="MIT",
        )
    )

    assert (entry.path, entry.model, entry.stop) == (str(file.parent), file.name, ())
    assert (entry.template, entry.system, entry.license) == ("{{ .Prompt }}", "be kind", "MIT")
    assert entry.parameters == {"temperature": 0.5, "stop": ["<end>"]}
    assert entry.messages == (OpeningMessage("user", "hi"),)
    assert (entry.source, entry.owned) == ("host/team/tiny:latest", (file.name,))
    assert book.digests.get(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert book.changes == 1


def test_parameters_that_make_no_sense_are_left_out(write_gguf: Callable[..., Path]):
    """A registry's nonsense does not keep the model from being used."""
    entry = entry_of_pulled(downloaded(write_gguf(), parameters={"temperature": -5, "top_k": 3, "unheard_of": 1}))

    assert entry.parameters == {"top_k": 3}


async def test_a_second_pull_takes_the_place_of_the_first(book: Book, write_gguf: Callable[..., Path]):
    """The same name from the same source is updated, and what it had before is let go."""
    before = await book.register(downloaded(write_gguf("one")))

    after = await book.register(downloaded(write_gguf("two")))

    assert (before.model, after.model) == ("one", "two")
    assert [gone.model for gone in book.gone] == ["one"]


@pytest.mark.parametrize(
    "entry",
    [
        ModelEntry(path="/models", model="mine.gguf"),
        ModelEntry(path="/models", model="mine.gguf", source="created"),
        ModelEntry(path="/models", model="mine.gguf", source="host/team/tiny:latest", parent="other"),
    ],
    ids=["added", "created", "made of a pulled one"],
)
async def test_a_model_of_the_users_own_is_never_replaced(
    book: Book, write_gguf: Callable[..., Path], entry: ModelEntry
):
    """The refusal comes before the download, and at its end too; it says what to do."""
    book.registry.add("Team/Tiny:latest", entry)

    with pytest.raises(InvalidRequest, match="hoshikage rm"):
        book.models.check(NAME)
    with pytest.raises(InvalidRequest, match="--name"):
        await book.register(downloaded(write_gguf()))

    assert [e.model for e in book.registry.entries().values()] == [entry.model]


async def test_a_model_from_another_source_is_not_replaced(book: Book, write_gguf: Callable[..., Path]):
    """Two sources cannot have one name; which is there already is said."""
    await book.register(downloaded(write_gguf()))
    book.models.check(NAME)  # it may be from the same source

    with pytest.raises(InvalidRequest, match="from host/team/tiny:latest"):
        await book.register(downloaded(write_gguf("other"), source="elsewhere/tiny:latest"))


async def test_adapters_are_told_by_their_headers(book: Book, write_gguf: Callable[..., Path]):
    """An adapter that came along is always used."""
    model, adapter = write_gguf(), write_gguf("lora", kind="adapter")

    entry = await book.register(downloaded(model, owned=(model, adapter)))

    assert entry.options == {"adapters": {"adapter-1": str(adapter)}}
    assert entry.parameters == {"adapters": ["adapter-1"]}
    assert entry.owned == ("model", "lora")


async def test_no_part_of_a_split_model_is_read_for_its_digest(
    book: Book, write_gguf: Callable[..., Path], tmp_path: Path
):
    """The digests of all parts are known by their names as blobs, so the whole model's is, and nothing is read."""
    blobs = []
    for part in ("one", "two"):
        file = write_gguf(part)
        blobs.append(file.rename(tmp_path / f"sha256-{hashlib.sha256(file.read_bytes()).hexdigest()}"))
    first, second = (tmp_path / "split" / f"model-0000{n}-of-00002.gguf" for n in (1, 2))
    first.parent.mkdir()
    first.symlink_to(blobs[0])
    second.symlink_to(blobs[1])

    found = Downloaded(NAME, first, blobs[0].name[7:], source="hf.co/a/b", owned=tuple(blobs))
    await book.models.put(NAME, found, ())

    assert combined_sha256([blob.name[7:] for blob in blobs]) == book.digests.model(first)


async def test_a_pull_that_is_cancelled_while_it_is_written_down_is_told(
    book: Book, write_gguf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    """The entry cannot be taken back by then, so whoever follows the changes hears of it all the same."""
    found = downloaded(write_gguf())
    writing, go_on = threading.Event(), threading.Event()

    def slow_put(_: object) -> None:
        writing.set()
        go_on.wait(LIMIT_S)

    monkeypatch.setattr(book.digests, "put_all", slow_put)
    task = asyncio.create_task(book.models.put(NAME, found, ()))
    await asyncio.to_thread(writing.wait, LIMIT_S)
    task.cancel()
    go_on.set()
    await asyncio.wait([task], timeout=LIMIT_S)

    assert task.cancelled()
    assert ([NAME], 1) == (list(book.registry.entries()), book.changes)


@pytest.mark.parametrize("damage", ["no_gguf", "truncated", "adapter", "part"])
async def test_what_is_no_model_gets_no_name(book: Book, write_gguf: Callable[..., Path], damage: str):
    """A file that is no GGUF, ends early or is of another kind, and a damaged part, are refused."""
    file, part = write_gguf(), write_gguf("part")
    match damage:
        case "no_gguf":
            file.write_bytes(b"not a gguf at all, but long enough")
        case "truncated":
            file.write_bytes(file.read_bytes()[:-64])
        case "adapter":
            file = write_gguf(kind="adapter")
        case "part":
            part.write_bytes(b"GGUF")

    with pytest.raises(ModelFileError):
        await book.register(downloaded(file, owned=(file, part)))

    assert book.registry.entries() == {}
    assert book.changes == 0


async def test_a_file_that_is_gone_is_not_registered(book: Book, write_gguf: Callable[..., Path]):
    """Somebody deleted the model that had the same file, just before the end."""
    file = write_gguf()
    found = downloaded(file)
    adapters = await book.models.verify(found)
    file.unlink()

    with pytest.raises(DownloadFailed, match="pull it again"):
        await book.models.put(NAME, found, adapters)

    assert book.registry.entries() == {}
