"""The saved texts of one model: found, replaced, bounded, and never trusted."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from hoshikage.plugins.engine_llamacpp.frames import StateStore
from hoshikage.plugins.engine_llamacpp.worker.saved_states import SavedStates, make_room, move
from hoshikage.plugins.engine_llamacpp.worker.state_file import write_state

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1000
FILE_BYTES = SIZE + 300  # more than any file here takes


class Shelf:
    """Two folders, and what was complained about."""

    def __init__(self, folder: Path) -> None:
        self.fast, self.disk = folder / "fast", folder / "disk"
        self.warnings: list[str] = []

    def states(self, *, key: str = "model", fast: bool = False, fast_bytes: int = 10**9, disk_bytes: int = 10**9):
        folders = [str(self.fast)] * fast + [str(self.disk)]
        store = StateStore(key, folders, fast_bytes, disk_bytes, interval_s=1.0, min_tokens=1)
        return SavedStates(store, self.warnings.append)

    def files(self, folder: Path) -> list[Path]:
        return sorted(folder.rglob("*.state"), key=lambda f: f.stat().st_mtime)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Nothing saved yet."""
    return Shelf(tmp_path)


def memory_of(number: int) -> bytes:
    return bytes([number]) * SIZE


def save(states: SavedStates, *tokens: int, scope: str = "", replaces: bool = True) -> None:
    states.save(scope, list(tokens), memory_of(tokens[-1]), replaces=replaces)


def found(states: SavedStates, *tokens: int, scope: str = "", longer_than: int = 0, whole: bool = False):
    saved = states.find(scope, list(tokens), longer_than=longer_than, whole=whole)
    return saved.tokens if saved is not None else None


def test_the_next_process_finds_what_was_saved(shelf):
    """A text and its memory survive, with which a prompt can go on."""
    save(shelf.states(), 1, 2, 3)
    later = shelf.states()
    saved = later.find("", [1, 2, 3, 4], longer_than=0, whole=False)

    assert [1, 2, 3] == saved.tokens
    assert memory_of(3) == later.load(saved)


def test_the_longest_beginning_is_found(shelf):
    """Also where the prompt leaves the saved text in its middle; the last token of a prompt is never part of it."""
    states = shelf.states()
    save(states, 1, 2, 3)
    save(states, 1, 2, 9, 9, 9)

    assert [1, 2, 9, 9, 9] == found(states, 1, 2, 9, 9, 5)
    assert [1, 2, 3] == found(states, 1, 2, 3, 4)
    assert None is found(states, 1)
    assert None is found(states, 7, 8)


def test_what_is_known_without_files_is_not_restored(shelf):
    """A file must help more than what is in the cache."""
    states = shelf.states()
    save(states, 1, 2, 3)

    assert None is found(states, 1, 2, 3, 4, longer_than=3)
    assert [1, 2, 3] == found(states, 1, 2, 3, 4, longer_than=2)


def test_a_memory_that_cannot_be_cut_must_fit_as_a_whole(shelf):
    """There a text helps only if the prompt goes on from its end."""
    states = shelf.states()
    save(states, 1, 2, 3)

    assert None is found(states, 1, 2, 4, 5, whole=True)
    assert [1, 2, 3] == found(states, 1, 2, 3, 5, whole=True)


def test_scopes_are_kept_apart(shelf):
    """Nobody goes on from what another caller said."""
    states = shelf.states()
    save(states, 1, 2, 3, scope="somebody")

    assert None is found(states, 1, 2, 3, 4, scope="another")
    assert [1, 2, 3] == found(shelf.states(), 1, 2, 3, 4, scope="somebody")


def test_a_longer_text_replaces_its_beginnings(shelf):
    """A conversation that goes on is saved once; where memory cannot be cut, its beginnings stay of use."""
    states = shelf.states()
    save(states, 1, 2)
    save(states, 1, 2, 3)
    save(states, 5, 6, replaces=False)
    save(states, 5, 6, 7, replaces=False)

    assert 3 == len(shelf.files(shelf.disk))
    assert (False, True, True) == (states.has("", [1, 2]), states.has("", [1, 2, 3]), states.has("", [5, 6]))


def test_another_model_finds_nothing(shelf):
    """Nor does another build, or another form of the cache: they have another key."""
    save(shelf.states(), 1, 2, 3)

    assert None is found(shelf.states(key="another"), 1, 2, 3, 4)


def test_a_damaged_file_is_passed_over_and_named(shelf):
    """Damage to the tokens is noticed at the start, damage to the memory when it is needed."""
    states = shelf.states()
    save(states, 1, 2, 3)
    save(states, 7, 8, 9)
    tokens_hit, memory_hit = sorted(shelf.files(shelf.disk))
    content = bytearray(memory_hit.read_bytes())
    content[-1] ^= 1
    memory_hit.write_bytes(content)
    tokens_hit.write_bytes(tokens_hit.read_bytes()[:50])
    later = shelf.states()
    saved = [later.find("", [*t, 0], longer_than=0, whole=False) for t in ([1, 2, 3], [7, 8, 9])]
    (kept,) = [s for s in saved if s is not None]

    assert None is later.load(kept)
    assert None is found(later, *kept.tokens, 0)
    assert {str(tokens_hit), str(memory_hit)} == {w.split()[3] for w in shelf.warnings}


def test_a_file_of_another_model_is_not_taken(shelf):
    """A file that was moved here from elsewhere names another key, or another text than its name says."""
    save(shelf.states(key="another"), 1, 2, 3)
    (strange,) = shelf.files(shelf.disk)
    (shelf.disk / "model").mkdir()
    strange.rename(shelf.disk / "model" / strange.name)
    write_state(shelf.disk / "model" / "wrong-name.state", key="model", scope="", tokens=[1, 2], memory=b"x")

    assert None is found(shelf.states(), 1, 2, 3, 4)
    assert 2 == len(shelf.warnings)


def test_a_file_that_another_process_took_away_is_no_harm(shelf):
    """It is forgotten, and nothing is said."""
    states = shelf.states()
    save(states, 1, 2, 3)
    saved = states.find("", [1, 2, 3, 4], longer_than=0, whole=False)
    shelf.files(shelf.disk)[0].unlink()

    assert None is states.load(saved)
    assert None is found(states, 1, 2, 3, 4)
    assert [] == shelf.warnings


def test_a_file_that_another_process_took_away_is_saved_again(shelf):
    """What was made room of may still be in the cache; it is not on file any more, and will be saved."""
    states = shelf.states()
    save(states, 1, 2, 3)
    before = states.has("", [1, 2, 3])
    make_room(shelf.disk, 0)

    assert (True, False) == (before, states.has("", [1, 2, 3]))


def test_the_fast_folder_comes_first_and_overflows_to_the_disk(shelf):
    """What is too much for the RAM disk moves on, the oldest first, and is still found."""
    states = shelf.states(fast=True, fast_bytes=2 * FILE_BYTES)
    for number in (1, 2, 3):
        save(states, number, number)
        age(shelf.fast, number)
    saved = states.find("", [1, 1, 5], longer_than=0, whole=False)

    assert (2, 1) == (len(shelf.files(shelf.fast)), len(shelf.files(shelf.disk)))
    assert memory_of(1) == states.load(saved)
    assert [1, 1] == found(shelf.states(fast=True), 1, 1, 5)


def test_the_disk_is_bounded_over_all_models(shelf):
    """The least recently used go, whosever they are; use counts."""
    other = shelf.states(key="other", disk_bytes=2 * FILE_BYTES)
    save(other, 1, 1)
    states = shelf.states(disk_bytes=2 * FILE_BYTES)
    save(states, 2, 2)
    for number, file in enumerate(shelf.files(shelf.disk)):
        os.utime(file, (number + 1, number + 1))
    other.load(other.find("", [1, 1, 5], longer_than=0, whole=False))
    save(states, 3, 3)

    assert (True, False, True) == tuple(
        s.load(t) is not None if (t := s.find("", [n, n, 5], longer_than=0, whole=False)) else False
        for s, n in ((other, 1), (states, 2), (states, 3))
    )


def test_where_nothing_can_be_written_it_is_said(shelf):
    """A full or forbidden disk costs the saving, and nothing else; the next folder is tried."""
    shelf.fast.write_text("a file where the folder should be")
    states = shelf.states(fast=True)
    save(states, 1, 2, 3)

    assert [1, 2, 3] == found(states, 1, 2, 3, 4)
    assert 1 == len(shelf.files(shelf.disk))
    assert "cannot be saved" in shelf.warnings[0]


def test_moving_keeps_age_and_content(shelf, tmp_path):
    """A file that moves to the disk is as old as it was, for whoever makes room there."""
    save(shelf.states(), 1, 2)
    (file,) = shelf.files(shelf.disk)
    os.utime(file, (5, 5))
    content = file.read_bytes()
    move(file, tmp_path / "elsewhere")

    moved = tmp_path / "elsewhere" / file.name
    assert (content, 5, False) == (moved.read_bytes(), moved.stat().st_mtime, file.exists())


def test_moving_to_a_full_disk_leaves_nothing_there(shelf, tmp_path, monkeypatch):
    """Half of a file would only fill the disk further."""
    save(shelf.states(fast=True), 1, 2, 3)

    def copy_half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:500])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", copy_half)
    (file,) = shelf.files(shelf.fast)
    move(file, tmp_path / "full")

    assert ([], []) == (list((tmp_path / "full").iterdir()), shelf.files(shelf.fast))


def test_leftovers_of_killed_writers_go(shelf):
    """Temporary files of processes that are no more are removed; one that is being written stays."""
    folder = shelf.disk / "model"
    folder.mkdir(parents=True)
    (folder / ".4194999.abc.state.tmp").write_bytes(b"half")
    (folder / ".odd.tmp").write_bytes(b"half")
    (folder / f".{os.getpid()}.abc.state.tmp").write_bytes(b"half")
    shelf.states()

    assert [f".{os.getpid()}.abc.state.tmp"] == [f.name for f in folder.iterdir()]


def test_making_room_for_nothing_empties_a_folder(shelf):
    """The limit 0 keeps no file; a folder that does not exist is empty already."""
    save(shelf.states(), 1, 2)
    make_room(shelf.disk, 0)
    make_room(shelf.disk / "nowhere", 0)

    assert [] == shelf.files(shelf.disk)


def age(folder: Path, number: int) -> None:
    """Let the newest file be older than those to come."""
    newest = max(folder.rglob("*.state"), key=lambda f: f.stat().st_mtime)
    os.utime(newest, (number, number))
