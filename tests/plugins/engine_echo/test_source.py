"""The models that echo offers by itself."""

from __future__ import annotations

from hoshikage.plugins.engine_echo.source import EchoModels


def test_source_offers_the_named_models():
    """Each name of the settings is a model of this engine, with a digest of its own."""
    records = EchoModels(["a", "b"]).models()

    assert [("a", "echo", None), ("b", "echo", None)] == [(r.name, r.engine, r.file) for r in records]
    assert 2 == len({r.digest for r in records})
