"""What the files of a model say, without its library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.embedder_sentence_transformers import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a model that nobody loads."""
    path = tmp_path / "model"
    write(path, "config.json", {"hidden_size": 64})
    write(path, "modules.json", [{"path": ""}, {"path": "1_Pooling"}])
    write(path, "1_Pooling/config.json", {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})
    (path / "vocab.txt").write_text("a")
    (path / "model.safetensors").write_bytes(bytes(3_000_000))
    return path


def write(path: Path, name: str, content: object) -> None:
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("prompts", "name", "expected"),
    [
        ({"query": "Q: ", "document": "D: "}, "ruri", ("Q: ", "D: ")),
        ({"query": "Q: ", "passage": "P: "}, "ruri", ("Q: ", "P: ")),
        ({"query": "Q: "}, "ruri", ("Q: ", "")),
        ({"query": "", "document": ""}, "ruri", ("クエリ: ", "文章: ")),
        (None, "ruri", ("クエリ: ", "文章: ")),
        (None, "unknown", ("", "")),
    ],
)
def test_a_models_own_prompts_win(folder, prompts, name, expected):
    """Over those of its family; empty ones say nothing."""
    if prompts is not None:
        write(folder, "config_sentence_transformers.json", {"prompts": prompts})
    form = files.read(name, folder).form

    assert expected == (form.query, form.document)


@pytest.mark.parametrize(
    ("pooling", "dense", "expected"),
    [
        ({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, None, 128),
        ({"embedding_dimension": 64, "pooling_mode": "mean"}, None, 64),
        ({"embedding_dimension": 64, "pooling_mode": ["mean", "cls", "max"]}, None, 192),
        ({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True}, {"out_features": 16}, 16),
        ({}, None, 64),
    ],
)
def test_dimensions_in_both_layouts_of_the_library(folder, pooling, dense, expected):
    """The last module that changes them decides."""
    write(folder, "1_Pooling/config.json", pooling)
    if dense is not None:
        write(folder, "2_Dense/config.json", dense)
        write(folder, "modules.json", [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": "3_Norm"}])

    assert expected == files.read("m", folder).dimensions


@pytest.mark.parametrize(
    ("name", "content"), [("config.json", "no JSON"), ("config.json", "{}"), ("modules.json", '["x"]')]
)
def test_damaged_files_are_told(folder, name, content):
    """With the folder and what to do."""
    (folder / "1_Pooling/config.json").write_text("{}")
    (folder / name).write_text(content)

    with pytest.raises(EmbedderFailed, match=r"model cannot be used: .*; fetch it anew"):
        files.read("m", folder)


@pytest.mark.parametrize("place", [0, 1_400_000, 2_999_999])
def test_other_weights_are_another_model(folder, place):
    """And a page about it changes nothing."""
    before = files.read("m", folder).fingerprint
    (folder / "README.md").write_text("new")
    same = files.read("m", folder).fingerprint
    weights = bytearray(3_000_000)
    weights[place // 187_500 * 187_500 + min(place % 187_500, 65_000)] = 1
    (folder / "model.safetensors").write_bytes(weights)

    assert (before, True) == (same, before != files.read("m", folder).fingerprint)


def test_a_broken_link_in_the_hubs_cache_is_no_model(folder, tmp_path):
    """As it is left where a download was interrupted."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "blobs/gone")

    assert files.find("m", folder, tmp_path) is None
