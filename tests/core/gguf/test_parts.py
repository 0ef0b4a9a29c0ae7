"""Which files are one model."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.core.gguf.parts import is_further_part, missing_parts, model_stem, parts_of

FIRST = Path("/models/big-00001-of-00003.gguf")
SECOND = Path("/models/big-00002-of-00003.gguf")
THIRD = Path("/models/big-00003-of-00003.gguf")


@pytest.mark.parametrize("file", [FIRST, SECOND, THIRD])
def test_every_part_names_all_parts_in_order(file):
    """Whichever part is asked, the answer is the whole model."""
    assert (FIRST, SECOND, THIRD) == parts_of(file)


@pytest.mark.parametrize(
    "name",
    [
        "whole.gguf",
        "big-00000-of-00003.gguf",
        "big-00004-of-00003.gguf",
        "big-0001-of-0003.gguf",
        "big-00001-of-00003.bin",
        "big-00001-of-00003.gguf.part",
        "-00001-of-00003.gguf",
        "big-00001-of-00000.gguf",
        "big-00001-of-99999.gguf",
        "big-０0001-of-00003.gguf",
    ],
)
def test_other_names_are_whole_files(name):
    """A name that llama.cpp would not give to a part, or with an absurd count, is that of a whole file."""
    file = Path("/models") / name

    assert (file,) == parts_of(file)
    assert not is_further_part(file)
    assert file.stem == model_stem(file)


def test_one_part_of_one_is_whole():
    """A model that was split into one file has one."""
    file = Path("a-00001-of-00001.gguf")

    assert ((file,), False, "a") == (parts_of(file), is_further_part(file), model_stem(file))


def test_only_later_parts_are_further_parts():
    """The first part stands for the model, the others do not."""
    assert [False, True, True] == [is_further_part(f) for f in (FIRST, SECOND, THIRD)]


def test_parts_have_the_name_of_their_model():
    """The number of the part is not in the model's name."""
    assert ["big"] * 3 == [model_stem(f) for f in (FIRST, SECOND, THIRD)]


def test_missing_parts_are_those_that_are_no_files(tmp_path):
    """A folder in the place of a part is no part."""
    first, second, third = parts_of(tmp_path / FIRST.name)
    first.write_bytes(b"")
    third.mkdir()

    assert (second, third) == missing_parts(first)
