"""Pins in their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.plugins.ramdisk.pins import read_pins, write_pins


def test_pins_come_back(tmp_path):
    """What is written is read, paths of any bytes; the folder is made."""
    pins = {Path("/m/b.gguf"), Path("/m/星\udcff.gguf")}

    write_pins(tmp_path / "data" / "pins.json", pins)

    assert pins == read_pins(tmp_path / "data" / "pins.json")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1, null]", b"\xff", b"[" * 100_000])
def test_without_a_good_file_nothing_is_pinned(tmp_path, content):
    """No file, or one that holds something else, is no pin and no fault."""
    if content is not None:
        (tmp_path / "pins.json").write_bytes(content)

    assert frozenset() == read_pins(tmp_path / "pins.json")


def test_a_folder_that_cannot_be_written(tmp_path):
    """Then pins hold until the server stops; the server goes on."""
    (tmp_path / "file").write_bytes(b"")

    write_pins(tmp_path / "file" / "pins.json", [Path("/m/a.gguf")])

    assert b"" == (tmp_path / "file").read_bytes()
