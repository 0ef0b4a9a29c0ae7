"""The companions of the model map, byte for byte."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from hoshikage import ModelFacts, ModelRecord
from hoshikage.core.registry import RegistryFiles
from hoshikage.core.tags import tags_cache, tags_ollama, write_tags

MODIFIED = datetime.datetime(2025, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - the old format is local time
RECORD = ModelRecord("LFM2.5_日本", size_bytes=1234, modified_at=MODIFIED.timestamp(), digest="ab" * 32)
FACTS = ModelFacts(architecture="lfm2", parameter_count=1_170_000_000, quantization="Q8_0")

TAGS_CACHE = """{
  "object": "list",
  "data": [
    {
      "id": "LFM2.5_日本",
      "object": "model",
      "created": 1686935002,
      "owned_by": "tane"
    }
  ]
}
"""

TAGS_OLLAMA = """{
  "models": [
    {
      "name": "LFM2.5_日本",
      "model": "LFM2.5_日本:latest",
      "modified_at": "2025-01-02T03:04:05.678901",
      "size": 1234,
      "digest": "abababababababababababababababababababababababababababababababab",
      "details": {
        "format": "gguf",
        "family": "lfm2",
        "families": "null",
        "parameter_size": "1.2B",
        "quantization_level": "Q8_0"
      }
    }
  ]
}
"""


@pytest.fixture
def files(tmp_path) -> RegistryFiles:
    """Where they are to be written; nothing exists yet."""
    return RegistryFiles(tmp_path / "d/map.json", tmp_path / "d/tags_cache.json", tmp_path / "d/tags_ollama.json")


def test_openai_list_byte_for_byte(files):
    """`tags_cache.json` is written as the predecessor wrote it: UTF-8, two spaces, its constants."""
    write_tags(files, [(RECORD, FACTS)])

    assert TAGS_CACHE.encode() == files.tags_cache.read_bytes()


def test_ollama_list_byte_for_byte(files):
    """`tags_ollama.json` is written as the predecessor wrote it: local time, the text "null", a bare digest."""
    write_tags(files, [(RECORD, FACTS)])

    assert TAGS_OLLAMA.encode() == files.tags_ollama.read_bytes()


def test_no_models_are_empty_lists():
    """Without models both lists are empty."""
    assert ({"object": "list", "data": []}, {"models": []}) == (tags_cache([]), tags_ollama([]))


def test_name_with_a_tag_gets_no_second_one():
    """A name that has a tag is the model's name as it stands; the port of a host is no tag."""
    names = ("gemma:2b", "lan:5000/gemma:2b", "lan:5000/gemma")
    rows = tags_ollama([(replace(RECORD, name=name), FACTS) for name in names])["models"]

    assert [*names[:2], "lan:5000/gemma:latest"] == [row["model"] for row in rows]
    assert list(names) == [row["name"] for row in rows]


def test_models_keep_their_order():
    """The lists have the order of the registry."""
    records = [replace(RECORD, name=name) for name in "zxy"]

    assert ["z", "x", "y"] == [row["id"] for row in tags_cache(records)["data"]]


def test_existing_files_are_replaced(files):
    """What stood in the files before is gone."""
    write_tags(files, [(RECORD, FACTS)])
    write_tags(files, [])

    assert b'{\n  "models": []\n}\n' == files.tags_ollama.read_bytes()


def test_unwritable_folder_is_an_error(files):
    """A folder that cannot be made is an error."""
    files.tags_cache.parent.write_text("a file, no folder")

    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        write_tags(files, [])
