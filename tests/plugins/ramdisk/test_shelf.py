"""The shelf: what is found, what goes, and whose files stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from hoshikage.plugins.ramdisk.marker import MARKER, Marker, SourcePart, write_marker
from hoshikage.plugins.ramdisk.place import open_place
from hoshikage.plugins.ramdisk.shelf import Shelf, Source, empty
from tests.plugins.ramdisk.disks import MIB, model, names_below


@pytest.fixture
def shelf(disk: Path) -> Shelf:
    """An empty shelf."""
    return Shelf(open_place(disk, mount_bytes=MIB))


def put(folder: Path, file: Path) -> Marker:
    """A whole copy of a file in a folder."""
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes())
    mtime_ns = (folder / file.name).stat().st_mtime_ns
    marker = Marker(source=str(file), parts=(SourcePart.of(file).mark(sha256="0" * 64, copy_mtime_ns=mtime_ns),))
    write_marker(folder, marker)
    return marker


def test_an_empty_shelf(shelf):
    """There is nothing, and nothing is used."""
    assert ([], None, 0, []) == (shelf.copies(), shelf.copy("x"), shelf.used_bytes(), shelf.clean_up())


def test_only_folders_with_our_marker_count(shelf, record):
    """A folder with a marker is a copy; files, other folders and half copies are none."""
    marker = put(shelf.folder("a"), record.file)
    put(shelf.filling("b"), record.file)
    (shelf.place.models / "foreign").mkdir()
    (shelf.place.models / "foreign.gguf").write_bytes(bytes(1000))

    (copy,) = shelf.copies()

    assert ("a", marker, record.file, "whole") == (copy.key, copy.marker, copy.source, copy.state())
    half = sum(f.stat().st_size for f in shelf.filling("b").iterdir())
    assert MIB + half == shelf.used_bytes()


def test_a_copy_goes_as_a_whole(shelf, record):
    """Removed, it is not found and takes no room; removing it again changes nothing."""
    put(shelf.folder("a"), record.file)
    copy = shelf.copy("a")

    assert (True, True) == (shelf.remove(copy), shelf.remove(copy))
    assert (None, 0, []) == (shelf.copy("a"), shelf.used_bytes(), list(shelf.place.models.iterdir()))


def test_leftovers_go(shelf, record, models):
    """Half copies in every stage, and copies whose deleting was cut short, go; a current whole copy stays."""
    put(shelf.folder(Source.of(record.file).key), record.file)
    put(shelf.filling("half"), record.file)
    shelf.filling("empty").mkdir()
    shelf.filling("first-moment").mkdir()
    (shelf.filling("first-moment") / f"{MARKER}.new").write_bytes(b'{"sou')
    put(shelf.place.models / ".a.00.gone", record.file)
    other = model(models / "other.gguf")
    put(shelf.folder("outdated"), other.file)
    other.file.unlink()

    gone = shelf.clean_up()

    assert {".half.part", ".empty.part", ".first-moment.part", ".a.00.gone", "outdated"} == set(gone)
    assert [Source.of(record.file).key] == [entry.name for entry in shelf.place.models.iterdir()]


def test_what_another_process_makes_is_no_leftover(shelf, record):
    """While its lock is held, a half copy stays."""
    put(shelf.filling("half"), record.file)
    with FileLock(shelf.place.locks / "half.lock"):
        during = shelf.clean_up()

    assert ([], [".half.part"]) == (during, shelf.clean_up())


def test_strangers_files_stay(shelf, record):
    """Files that no marker names stay, in folders of any name; so do folders without a marker."""
    put(shelf.filling("half"), record.file)
    (shelf.filling("half") / "foreign").write_bytes(b"mine")
    (shelf.place.models / ".theirs.part").mkdir()
    (shelf.place.models / ".theirs.part" / "a").write_bytes(b"mine")
    (shelf.place.models / ".hidden").mkdir()
    (shelf.place.models / "file.part").write_bytes(b"mine")

    shelf.clean_up()

    assert [".half.part/foreign", ".theirs.part/a", "file.part"] == names_below(shelf.place.models)
    assert (shelf.place.models / ".hidden").is_dir()


def test_room_is_counted_in_pages(models):
    """A copy takes whole pages, and some for folder and markers."""
    source = Source.of(model(models / "a.gguf", size_bytes=5000).file)

    assert (5000, True, True) == (
        source.size_bytes,
        source.room_bytes() % 4096 == 0,
        source.room_bytes() >= 5000 + 4096,
    )


def test_emptying_what_is_gone(tmp_path):
    """Another process may be quicker: nothing to delete is no fault."""
    empty(tmp_path / "gone", None)
