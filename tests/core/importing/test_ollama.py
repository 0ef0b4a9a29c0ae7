"""Looking into an Ollama store: what is found, and what broken things in it are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoshikage.core.importing import Found, Unusable, scan_ollama
from hoshikage.core.registry import OpeningMessage
from tests.core.gguf.raw_gguf import SMALL
from tests.core.importing.stores import LORA, TEMPLATE, layer, put_blob, put_manifest, put_model


def found(root: Path, **options: Any) -> list[Found]:
    items = list(scan_ollama(root, **options))
    assert all(isinstance(item, Found) for item in items), items
    return [item for item in items if isinstance(item, Found)]


def test_model_is_found_with_all_its_layers(tmp_path: Path):
    """The file lies where Ollama keeps it; template, system prompt, parameters, opening and licenses are read."""
    put_model(
        tmp_path,
        template=TEMPLATE,
        system="Be kind.",
        params={"temperature": 0.5, "stop": ["a", "b"], "num_keep": 4},
        messages=[{"role": "user", "content": "hi"}],
        license=("MIT", "or not"),
    )

    (model,) = found(tmp_path)

    entry = model.entry
    assert ("star:latest", tmp_path / "blobs" / entry.model) == (model.name, model.file)
    assert (SMALL, len(SMALL), f"sha256-{model.digest}") == (model.file.read_bytes(), model.size_bytes, entry.model)
    assert (TEMPLATE, "Be kind.", "MIT\nor not") == (entry.template, entry.system, entry.license)
    assert {"temperature": 0.5, "stop": ["a", "b"]} == entry.parameters
    assert ((OpeningMessage("user", "hi"),), (), ()) == (entry.messages, entry.owned, entry.stop)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("registry.ollama.ai/library/llama3.2/1b", "llama3.2:1b"),
        ("registry.ollama.ai/somebody/star/latest", "somebody/star:latest"),
        ("hf.co/org/Star-GGUF/Q4_K_M", "hf.co/org/Star-GGUF:Q4_K_M"),
        ("my.host/library/star/latest", "my.host/library/star:latest"),
    ],
)
def test_names_are_those_that_ollama_shows(tmp_path: Path, where: str, name: str):
    """The usual host and namespace go without saying."""
    put_model(tmp_path, where)

    assert [name] == [model.name for model in found(tmp_path)]


def test_one_model_can_be_asked_for(tmp_path: Path):
    """By its name as it is written in any way."""
    put_model(tmp_path)
    put_model(tmp_path, "registry.ollama.ai/library/other/latest")

    assert ["star:latest"] == [model.name for model in found(tmp_path, only="STAR")]
    assert [] == found(tmp_path, only="nobody")


def test_adapters_are_always_used(tmp_path: Path):
    """They are registered with the model."""
    put_model(tmp_path, adapter=LORA)

    (model,) = found(tmp_path)

    (name,) = model.entry.options["adapters"]
    assert [name] == model.entry.parameters["adapters"]
    assert LORA == (tmp_path / "blobs" / model.entry.options["adapters"][name].rpartition("/")[2]).read_bytes()


def broken(root: Path) -> Unusable:
    (item,) = scan_ollama(root)
    assert isinstance(item, Unusable), item
    return item


MODEL = "registry.ollama.ai/library/star/latest"
MANIFESTS = {
    "no JSON": (b"{", "no manifest"),
    "not UTF-8": (b"\xff\xfe", "no text in UTF-8"),
    "a list": ([], "no manifest"),
    "deep": (b'{"layers":' + b"[" * 100_000, "no manifest"),
    "long": (b" " * (1 << 20) + b"{}", "longer than"),
    "no layers": ({}, "names no model file"),
    "null": ({"layers": None}, "names no model file"),
    "layers of a wrong type": ({"layers": [1]}, "no manifest"),
    "a path for a digest": ({"layers": [layer("model", "sha256:../../../etc/passwd")]}, "is not allowed"),
    "no digest": ({"layers": [{"mediaType": "application/vnd.ollama.image.model"}]}, "is not allowed"),
    "a missing blob": ({"layers": [layer("model", "sha256:" + "0" * 64)]}, "is missing; pull the model again"),
    "two models": ({"layers": [layer("model", "sha256:" + "0" * 64)] * 2}, "2 model files"),
    "weights of another kind": ({"layers": [layer("tensor", "sha256:" + "0" * 64)]}, "names no model file"),
}


@pytest.mark.parametrize(("content", "words"), MANIFESTS.values(), ids=MANIFESTS)
def test_broken_manifest_is_told(tmp_path: Path, content: Any, words: str):
    """With its path and the reason; nothing raises."""
    file = put_manifest(tmp_path, MODEL, content)

    item = broken(tmp_path)

    assert file == item.path
    assert words in item.reason
    assert "\n" not in item.reason


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"model": b"no GGUF at all"}, "begins with"),
        ({"model": LORA}, "this is no model, its type is 'adapter'"),
        ({"params": "{"}, "is no JSON"),
        ({"params": [1]}, "must be a JSON dict"),
        ({"messages": {"a": 1}}, "must be a JSON list"),
        ({"messages": [{"content": 1}]}, "not understood"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "the unknown role 'nobody'"),
        ({"adapter": SMALL + b"\0"}, "is named as an adapter, but its type is 'model'"),
        ({"adapter": b"ggla of early days"}, "begins with"),
        ({"template": b"\xff"}, "no text in UTF-8"),
    ],
)
def test_broken_layer_is_told(tmp_path: Path, layers: dict[str, Any], words: str):
    """Likewise."""
    put_model(tmp_path, **layers)

    assert words in broken(tmp_path).reason


def test_broken_model_hides_no_other(tmp_path: Path):
    """The others are found."""
    put_manifest(tmp_path, MODEL, b"{")
    put_model(tmp_path, "registry.ollama.ai/library/whole/latest")

    assert [Unusable, Found] == [type(item) for item in scan_ollama(tmp_path)]


def test_name_that_cannot_be_registered_is_told(tmp_path: Path):
    """Whatever a stranger calls a folder."""
    put_model(tmp_path, "registry.ollama.ai/library/a b/latest")

    assert "is not allowed" in broken(tmp_path).reason


def test_folder_that_is_not_ours_to_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty answer would say that there are no models."""
    put_model(tmp_path)
    put_model(tmp_path, "hf.co/org/moon/Q4")
    closed, iterdir = tmp_path / "manifests" / "registry.ollama.ai", Path.iterdir

    def refuse(folder: Path) -> Any:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    moon, told = scan_ollama(tmp_path)

    assert isinstance(moon, Found)
    assert isinstance(told, Unusable)
    assert (closed, True) == (told.path, told.reason.startswith("it cannot be read: Permission denied; "))


def test_manifest_or_blob_that_may_not_be_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The others are found all the same."""
    star = put_model(tmp_path)
    put_model(tmp_path, "hf.co/org/moon/Q4", model=SMALL + b"\0")
    put_model(tmp_path, "hf.co/org/sun/Q4", model=SMALL + b"\0\0")
    blob = tmp_path / "blobs" / f"sha256-{hashlib.sha256(SMALL + bytes(1)).hexdigest()}"
    is_file = Path.is_file

    def refuse(file: Path) -> bool:
        if file in (star, blob):
            raise PermissionError(13, "Permission denied")
        return is_file(file)

    monkeypatch.setattr(Path, "is_file", refuse)

    moon, sun, told = scan_ollama(tmp_path)

    assert isinstance(moon, Unusable)
    assert isinstance(sun, Found)
    assert isinstance(told, Unusable)
    assert moon.reason.startswith(f"{blob}: it cannot be read: Permission denied")
    assert (star, True) == (told.path, told.reason.startswith("it cannot be read: Permission denied"))


def test_what_is_no_manifest_by_its_place_is_passed_over(tmp_path: Path):
    """Files of other programs, and folders."""
    put_manifest(tmp_path, ".DS_Store", b"x")
    (tmp_path / "manifests" / "a" / "b" / "c" / "d" / "e").mkdir(parents=True)

    assert [] == list(scan_ollama(tmp_path))


def test_store_without_anything_is_empty(tmp_path: Path):
    """Also one that is not there."""
    assert [] == list(scan_ollama(tmp_path / "nowhere"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["layers", "mediaType", "digest"]), inner),
    )
)
def test_no_manifest_raises(tmp_path: Path, content: Any):
    """Whatever it says."""
    put_blob(tmp_path, SMALL)
    put_manifest(tmp_path, MODEL, content)

    assert isinstance(broken(tmp_path), Unusable)
