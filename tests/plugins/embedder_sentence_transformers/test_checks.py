"""What `doctor` says of the model."""

from __future__ import annotations

from hoshikage.plugins.embedder_sentence_transformers.checks import check_model
from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings

SETTINGS = SentenceTransformersSettings(model="someone/ruri")


def test_a_model_that_is_here_and_one_that_is_not(tmp_path):
    """Its folder is shown; where there is none, it says so, and that is no fault."""
    (nowhere,) = check_model(SETTINGS, tmp_path / "model", tmp_path / "hub")
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "model" / name).touch()
    (here,) = check_model(SETTINGS, tmp_path / "model", tmp_path / "hub")

    assert ["ok", "ok"] == [nowhere.level, here.level]
    assert "no someone/ruri on this machine" in nowhere.found
    assert str(tmp_path / "model") in here.found
