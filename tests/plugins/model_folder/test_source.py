"""The model folder without a watch, as commands use it, and with one, as a server does."""

from __future__ import annotations

import asyncio
import os
import shutil
import time

import pytest
from structlog.testing import capture_logs

from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.errors import ModelFileError
from hoshikage.plugins import model_folder
from hoshikage.plugins.model_folder import listing
from hoshikage.plugins.model_folder.source import FolderModels
from tests.core.gguf import raw_gguf as raw
from tests.fakes import until
from tests.plugins.model_folder.conftest import WHOLE, names

# It takes some 0.4 s; the rest is room for a busy machine.
SEEN_S = 10.0
LONG_SETTLE_S = 2.0
LOOKUPS = 10_000


async def offered(source: FolderModels, *expected: str) -> None:
    """Wait until exactly these models are on offer."""
    await until(lambda: sorted(expected) == names(source), SEEN_S)


# --- as commands use it ---


def test_files_are_offered_by_their_stem(folder):
    """Each GGUF file is a model under its file name without the ending, in the order of the names."""
    for name in ("b.gguf", "a-Q4.gguf", "星影.gguf"):
        (folder / name).write_bytes(WHOLE)

    assert ["a-Q4", "b", "星影"] == names(FolderModels(folder))


def test_record_has_size_and_time(folder):
    """A model's record carries its file, size and time."""
    file = folder / "a.gguf"
    file.write_bytes(WHOLE)
    os.utime(file, (1000, 1000))

    (record,) = FolderModels(folder).models()

    assert (file, len(WHOLE), 1000.0, "") == (record.file, record.size_bytes, record.modified_at, record.engine)


def test_nothing_else_is_offered(folder):
    """Other files, folders, and files further below are no models."""
    (folder / "readme.txt").write_text("")
    (folder / "folder.gguf").mkdir()
    (folder / "below").mkdir()
    (folder / "below" / "a.gguf").write_bytes(WHOLE)

    assert [] == names(FolderModels(folder))


def test_changes_are_seen(folder):
    """A file that comes or goes is seen at the next look."""
    source = FolderModels(folder)
    seen = [names(source)]
    (folder / "a.gguf").write_bytes(WHOLE)
    seen.append(names(source))
    (folder / "a.gguf").unlink()
    seen.append(names(source))

    assert [[], ["a"], []] == seen


def test_missing_folder_is_empty(tmp_path):
    """A folder that does not exist holds no models, until it is made."""
    source = FolderModels(tmp_path / "later")
    before = names(source)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.gguf").write_bytes(WHOLE)

    assert ([], ["a"]) == (before, names(source))


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing", "there is no such folder; "), ("a.gguf", "it is no folder; ")]
)
def test_folder_that_is_none_is_said_once(folder, name: str, reason: str):
    """A wrong path in the settings would be silence otherwise."""
    (folder / "a.gguf").write_bytes(WHOLE)
    source = FolderModels(folder / name)
    with capture_logs() as logs:
        found = [names(source), names(source)]

    assert [[], []] == found
    assert [("model_folder_unreadable", True)] == [(e["event"], e["reason"].startswith(reason)) for e in logs]


def test_dangling_link_is_no_model(folder):
    """A link whose target is gone is passed over."""
    (folder / "a.gguf").symlink_to(folder / "gone")

    assert [] == names(FolderModels(folder))


@pytest.mark.parametrize("kind", ["adapter", "mmproj", "imatrix"])
def test_file_that_only_belongs_to_a_model_is_passed_over(folder, kind: str):
    """It cannot be loaded by itself; one line says so."""
    file = folder / f"{kind}.gguf"
    file.write_bytes(raw.gguf(pairs=(raw.ARCHITECTURE, raw.pair("general.type", raw.STRING, raw.text(kind)))))
    (folder / "b.gguf").write_bytes(WHOLE)
    source = FolderModels(folder)
    with capture_logs() as logs:
        found = [names(source), names(source)]

    assert [["b"], ["b"]] == found
    assert [f"{file}: this is no model, its type is '{kind}'; name the model it belongs to"] == [
        e["reason"] for e in logs if e["event"] == "model_file_passed_over"
    ]


def test_name_that_is_no_text_is_not_offered(folder):
    """No answer in JSON could hold it, so it would hide all others."""
    (folder / "\udcff.gguf").write_bytes(WHOLE)
    (folder / "b.gguf").write_bytes(WHOLE)
    with capture_logs() as logs:
        found = names(FolderModels(folder))

    assert ["b"] == found
    assert ["its name is no UTF-8; give the file another name"] == [e["reason"] for e in logs if "reason" in e]


def test_link_that_cannot_be_followed_hides_no_other_model(folder):
    """As one into a folder that is closed to the server; here its target is no possible name."""
    (folder / "a.gguf").symlink_to("x" * 300)
    (folder / "b.gguf").write_bytes(WHOLE)

    assert ["b"] == names(FolderModels(folder))


def test_file_that_may_be_read_later_is_offered_then(folder, monkeypatch):
    """A right that is given, or a disk that recovers, changes nothing that could be seen of the file itself."""

    def refuse(file: object) -> None:
        raise ModelFileError(f"{file} cannot be read") from PermissionError(13, "Permission denied")

    source = FolderModels(folder)
    (folder / "a.gguf").write_bytes(WHOLE)
    with monkeypatch.context() as patch:
        patch.setattr(listing, "read_header", refuse)
        closed = names(source)

    assert ([], ["a"]) == (closed, names(source))


def test_unreadable_folder_is_said_once(folder, monkeypatch):
    """A folder that cannot be read offers nothing, and one line says why."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    source = FolderModels(folder)
    with capture_logs() as logs:
        found = [names(source), names(source)]

    assert [[], []] == found
    assert [("model_folder_unreadable", "Permission denied; check the disk and the permissions")] == [
        (entry["event"], entry["reason"]) for entry in logs
    ]


@pytest.mark.parametrize("variables", [{"MODEL_DIR": "models"}, {"HOSHIKAGE_MODEL_FOLDER__PATH": "models"}])
def test_folder_is_that_of_the_settings(tmp_path, folder, monkeypatch, variables: dict[str, str]):
    """The folder of the settings, old name or new, is relative to the project."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (folder / "a.gguf").write_bytes(WHOLE)
    settings = load_settings(Project(tmp_path), variables, model_folder.hoshikage_declare_settings())

    (source,) = model_folder.hoshikage_provide_model_sources(settings)

    assert ["a"] == names(source)


def test_no_folder_is_no_source(tmp_path, monkeypatch):
    """Without a folder in the settings there is no source."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load_settings(Project(tmp_path), {}, model_folder.hoshikage_declare_settings())

    assert [] == model_folder.hoshikage_provide_model_sources(settings)


# --- while it is watched ---


async def test_files_that_are_there_are_offered_at_once(folder):
    """After the start every whole file is on offer, without any waiting."""
    (folder / "a.gguf").write_bytes(WHOLE)
    source = FolderModels(folder)
    await source.start()
    found = names(source)
    await source.stop()

    assert ["a"] == found


async def test_new_renamed_and_removed_files_are_seen(watched, folder, tmp_path):
    """A file that is copied in, moved in, renamed or removed is seen by itself."""
    (folder / "a.gguf").write_bytes(WHOLE)
    await offered(watched, "a")
    (tmp_path / "b.gguf").write_bytes(WHOLE)
    (tmp_path / "b.gguf").rename(folder / "b.gguf")
    await offered(watched, "a", "b")
    (folder / "b.gguf").rename(folder / "c.gguf")
    await offered(watched, "a", "c")
    (folder / "a.gguf").unlink()
    await offered(watched, "c")


async def test_replaced_file_is_never_missing(watched, folder):
    """While a whole file takes the place of another, the name is always on offer, and then it is the new file."""
    (folder / "a.gguf").write_bytes(WHOLE)
    await offered(watched, "a")
    (folder / "a.tmp").write_bytes(WHOLE + bytes(100))
    (folder / "a.tmp").replace(folder / "a.gguf")
    seen: list[int] = []

    def replaced() -> bool:
        seen.extend(record.size_bytes for record in watched.models())
        assert ["a"] == names(watched)
        return seen[-1] == len(WHOLE) + 100

    await until(replaced, SEEN_S)


async def test_half_copied_file_is_not_offered_until_it_is_whole(watched, folder):
    """A copy that stops half-way is named in the log, and is on offer once the rest has come."""
    with capture_logs() as logs:
        (folder / "a.gguf").write_bytes(WHOLE[:-40])
        await until(lambda: any(e["event"] == "model_file_incomplete" for e in logs), SEEN_S)
        before = names(watched)
        with (folder / "a.gguf").open("ab") as stream:
            stream.write(WHOLE[-40:])
        await offered(watched, "a")

    assert [] == before
    said = next(e for e in logs if e["event"] == "model_file_incomplete")
    assert str(folder / "a.gguf") in said["reason"]


async def test_growing_file_is_not_opened(watched, folder, tmp_path, monkeypatch):
    """A file that is written to all the time is left alone, although its header is whole from the beginning."""
    opened: list[object] = []
    (tmp_path / "whole.gguf").write_bytes(WHOLE)
    header = listing.read_header(tmp_path / "whole.gguf")

    def read(file: object) -> object:
        opened.append(file)
        return header

    monkeypatch.setattr(listing, "read_header", read)
    monkeypatch.setattr("hoshikage.plugins.model_folder.source.SETTLE_S", LONG_SETTLE_S)  # this test may stall
    file = folder / "a.gguf"
    with capture_logs() as logs:
        deadline = time.monotonic() + SEEN_S
        while not any(e["event"] == "model_file_growing" for e in logs):
            assert time.monotonic() < deadline
            with file.open("ab") as stream:
                stream.write(b"more")
            await asyncio.sleep(0.02)
        grown = (names(watched), list(opened))
        await offered(watched, "a")

    assert ([], []) == grown
    assert [file] == opened


async def test_overwritten_file_is_withdrawn(watched, folder):
    """A file that is overwritten in place is off the list until it is whole again."""
    file = folder / "a.gguf"
    file.write_bytes(WHOLE)
    await offered(watched, "a")
    with file.open("wb") as stream:
        stream.write(WHOLE[:30])
    await offered(watched)
    file.write_bytes(WHOLE)
    await offered(watched, "a")


async def test_split_model_is_one_and_waits_for_all_parts(watched, folder):
    """A split model is offered once, by its name without the number, when its last part is there."""
    (folder / "big-00002-of-00002.gguf").write_bytes(raw.PART_2)
    with capture_logs() as logs:
        await until(lambda: any(e["event"] == "model_file_incomplete" for e in logs), SEEN_S)
    before = names(watched)
    (folder / "big-00001-of-00002.gguf").write_bytes(raw.PART_1)
    await offered(watched, "big")
    (record,) = watched.models()
    (folder / "big-00002-of-00002.gguf").unlink()
    await offered(watched)

    assert [] == before
    assert (folder / "big-00001-of-00002.gguf") == record.file
    assert len(raw.PART_1) + len(raw.PART_2) == record.size_bytes


async def test_folder_that_vanishes_and_comes_back(watched, folder):
    """Without the folder there are no models; when it is there again, so are they, and it is watched again."""
    (folder / "a.gguf").write_bytes(WHOLE)
    await offered(watched, "a")
    shutil.rmtree(folder)
    await offered(watched)
    folder.mkdir()
    (folder / "b.gguf").write_bytes(WHOLE)
    await offered(watched, "b")
    (folder / "c.gguf").write_bytes(WHOLE)
    await offered(watched, "b", "c")


async def test_another_folder_under_the_name(watched, folder, tmp_path):
    """A folder that takes the other's place by renaming is the one that is watched."""
    (folder / "a.gguf").write_bytes(WHOLE)
    await offered(watched, "a")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "b.gguf").write_bytes(WHOLE)
    folder.rename(tmp_path / "old")
    (tmp_path / "new").rename(folder)
    await offered(watched, "b")
    (tmp_path / "old" / "x.gguf").write_bytes(WHOLE)
    (folder / "c.gguf").write_bytes(WHOLE)
    await offered(watched, "b", "c")


async def test_read_only_folder_is_watched(folder):
    """Nothing is written into the folder."""
    (folder / "a.gguf").write_bytes(WHOLE)
    folder.chmod(0o555)
    source = FolderModels(folder)
    await source.start()
    folder.chmod(0o755)
    (folder / "b.gguf").write_bytes(WHOLE)
    folder.chmod(0o555)
    await offered(source, "a", "b")
    await source.stop()
    folder.chmod(0o755)

    assert ["a.gguf", "b.gguf"] == sorted(f.name for f in folder.iterdir())


async def test_lookup_does_not_touch_the_disk(watched, folder, monkeypatch):
    """Sources are asked at every request, so while it is watched an answer comes from memory."""
    (folder / "a.gguf").write_bytes(WHOLE)
    await offered(watched, "a")
    monkeypatch.setattr(watched, "_look", None)
    started = time.perf_counter()
    for _ in range(LOOKUPS):
        watched.models()

    assert time.perf_counter() - started < 1.0


async def test_stopped_watch_leaves_no_task(folder):
    """After the stop nothing runs any more, a second stop does nothing, and looking still works."""
    before = asyncio.all_tasks()
    source = FolderModels(folder)
    await source.start()
    await source.stop()
    await source.stop()
    (folder / "a.gguf").write_bytes(WHOLE)

    assert before == asyncio.all_tasks()
    assert ["a"] == names(source)


async def test_broken_watch_is_said_and_models_stay_on_offer(folder, monkeypatch):
    """Where the watching itself fails, one line says so and every look-up looks by itself."""

    async def break_down(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hoshikage.plugins.model_folder.source.watch_folder", break_down)
    source = FolderModels(folder)
    with capture_logs() as logs:
        await source.start()
        await until(lambda: any(e["event"] == "model_folder_not_watched" for e in logs))
    (folder / "a.gguf").write_bytes(WHOLE)
    found = names(source)
    await source.stop()

    assert ["a"] == found
