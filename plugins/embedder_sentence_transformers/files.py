"""What the files of a model say of it: where they are, what it makes of texts, and whether they are still the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hoshikage.core.embedding.fingerprint import fingerprint
from hoshikage.core.embedding.forms import TextForm, form_of
from hoshikage.core.errors import EmbedderFailed

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION: Final = ("config.json",)
WEIGHTS: Final = ("*.safetensors", "pytorch_model*.bin")
# Without one, the library makes up a tokenizer that knows no word, and says nothing.
VOCABULARY: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
QUERY_PROMPTS: Final = ("query",)
DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine.

    Attributes:
        path: the folder.
        form: what stands before its texts, and how many tokens it reads; 0 where it does not say.
        dimensions: of its vectors.
        fingerprint: other weights, vocabulary or configuration have another one.
        has_code: it brings Python code of its own.
    """

    path: Path
    form: TextForm
    dimensions: int
    fingerprint: str
    has_code: bool


def find(model: str, folder: Path, hub: Path) -> Path | None:
    """Where a model is.

    Args:
        model: as the settings name it.
        folder: the same, taken as a path.
        hub: the cache of the Hub.
    """
    if holds_model(folder):
        return folder
    cached = hub / f"models--{model.replace('/', '--')}"
    try:
        revision = (cached / "refs/main").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = cached / "snapshots" / revision
    return snapshot if holds_model(snapshot) else None


def holds_model(folder: Path) -> bool:
    """Whether configuration, weights and vocabulary are there; a broken link of the Hub's cache is not."""
    return all(
        any(file.is_file() for pattern in part for file in folder.glob(pattern))
        for part in (CONFIGURATION, WEIGHTS, VOCABULARY)
    )


def read(model: str, path: Path) -> ModelFolder:
    """Read what a folder says.

    Raises:
        EmbedderFailed: a file in it is damaged, or it does not say how long its vectors are.
    """
    try:
        config = _json(path / "config.json")
        modules = [path / str(module["path"]) for module in _json(path / "modules.json") or ()]
        has_code = "auto_map" in config or "auto_map" in _json(path / "tokenizer_config.json")
        return ModelFolder(path, _form(model, path), _dimensions(config, modules), fingerprint(_files(path)), has_code)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmbedderFailed(
            f"the model in {path} cannot be used: {type(error).__name__}: {error}; fetch it anew"
        ) from error


def _json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def _form(model: str, path: Path) -> TextForm:
    """The model's own prompts where it has any, or else those of its family."""
    family = form_of(model)
    prompts = _json(path / "config_sentence_transformers.json").get("prompts") or {}
    query, document = _first(prompts, QUERY_PROMPTS), _first(prompts, DOCUMENT_PROMPTS)
    longest = int(_json(path / "sentence_bert_config.json").get("max_seq_length") or family.max_tokens)
    if query or document:  # newer releases of the library write both of them empty, which says nothing
        return TextForm(query, document, longest)
    return TextForm(family.query, family.document, longest)


def _first(prompts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _dimensions(config: dict[str, Any], modules: list[Path]) -> int:
    """Of the last module that says it. A pooling puts as many vectors side by side as it has ways.

    The library's releases before 6 have a switch for each way, later ones a name or a list of names.
    """
    found = next((config[name] for name in ("hidden_size", "dim", "d_model") if name in config), 0)
    for folder in modules[1:]:  # the first one is the transformer itself
        own = _json(folder / "config.json")
        width = own.get("word_embedding_dimension", own.get("embedding_dimension", 0))
        ways = sum(value is True for name, value in own.items() if name.startswith("pooling_mode_"))
        named = own.get("pooling_mode", "")
        found = own.get("out_features") or width * max(1, ways, len(named) if isinstance(named, list) else 1) or found
    if not isinstance(found, int) or found < 1:
        raise ValueError("no file says how long its vectors are")
    return found


def _files(path: Path) -> list[tuple[str, Path]]:
    """Those that decide what comes out, by name: not the pages about it, and no copies in other formats."""
    patterns = ("*.json", "*.txt", "*.model", "*/config.json", *WEIGHTS, "*/*.safetensors")
    found = {file.relative_to(path).as_posix(): file for pattern in patterns for file in path.glob(pattern)}
    return sorted((name, file) for name, file in found.items() if not name.startswith(("onnx/", "openvino/")))
