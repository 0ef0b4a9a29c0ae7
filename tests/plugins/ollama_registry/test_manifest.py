from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.errors import DownloadFailed
from hoshikage.plugins.ollama_registry.manifest import LAYER_PREFIX, MAX_LAYERS, MAX_TEXT_BYTES, Manifest

DIGEST = "sha256:" + "a" * 64


def layer(kind: str = "model", digest: str = DIGEST, size: object = 5, **more: object) -> dict:
    return {"mediaType": LAYER_PREFIX + kind, "digest": digest, "size": size, **more}


def manifest(*layers: object, **more: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": layers, **more}).encode()


def test_the_model_is_the_layer_of_that_kind():
    """Other layers beside it do not matter, nor do fields that nobody knows."""
    found = Manifest.parse(manifest(layer("license"), layer("model", size=7), futuristic=1), "tiny")

    assert [(w.size, w.sha256) for w in found.weights("tiny")] == [(7, "a" * 64)]


def test_adapters_come_after_the_model():
    """Whatever their order in the manifest; a projector is not taken."""
    found = Manifest.parse(manifest(layer("adapter"), layer("projector"), layer("model")), "tiny")

    assert [w.kind for w in found.weights("tiny")] == ["model", "adapter"]


@pytest.mark.parametrize(
    "digest",
    ["../../etc/passwd", "sha256:../../../x", "sha256:" + "a" * 63, "sha512:" + "a" * 64, "", "a" * 64, DIGEST + "/.."],
)
@pytest.mark.parametrize("kind", ["model", "license", "config"])
def test_a_digest_that_is_none_refuses_the_whole_manifest(digest: str, kind: str):
    """A path in any digest, also of a layer that would not be read, is an error that shows it (CVE-2024-37032)."""
    bad = layer(kind, digest)
    content = manifest(layer(), config=bad) if kind == "config" else manifest(layer(), bad)

    with pytest.raises(DownloadFailed, match="manifest of tiny is refused"):
        Manifest.parse(content, "tiny")


def test_titles_are_not_read():
    """An annotation with a path in it has no effect: nothing is named after it."""
    found = Manifest.parse(manifest(layer(annotations={"org.opencontainers.image.title": "../../x"})), "tiny")

    assert not hasattr(found.layers[0], "annotations")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"<html>",
        b"[" * 100_000,
        manifest(layer(size=-1)),
        manifest(layer(size="5")),
        manifest(layer(size=1 << 60)),
        manifest({"mediaType": "x"}),
        manifest(*[layer()] * (MAX_LAYERS + 1)),
    ],
)
def test_what_is_no_manifest_is_an_error(content: bytes):
    """Nonsense of any kind is one error that names the model."""
    with pytest.raises(DownloadFailed, match="tiny"):
        Manifest.parse(content, "tiny")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_an_error(content: bytes):
    """No input raises anything else."""
    with contextlib.suppress(DownloadFailed):
        Manifest.parse(content, "tiny")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([layer("license")], "0 GGUF models"),
        ([layer(), layer()], "2 GGUF models"),
        ([layer("tensor")], "vnd.ollama.image.tensor"),
        ([], "nothing"),
        ([layer(), *[layer("license", size=MAX_TEXT_BYTES // 3)] * 4], "bytes of texts"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_comes(layers: list, words: str):
    """No weights, weights in pieces, other formats, and a library in place of a license."""
    with pytest.raises(DownloadFailed, match=words):
        Manifest.parse(manifest(*layers), "tiny").weights("tiny")
