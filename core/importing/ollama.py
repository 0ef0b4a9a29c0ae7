"""The models of an Ollama store: manifests that name blobs.

Layout: `manifests/<host>/<namespace>/<name>/<tag>`, each a JSON document with layers, and `blobs/sha256-<hex>`.
Source: https://github.com/ollama/ollama/blob/main/docs/faq.mdx and server/manifest.go there
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hoshikage.core.blobs import check_digest
from hoshikage.core.creation import ADAPTER, check_model, kind_of
from hoshikage.core.errors import HoshikageError, InvalidRequest, ModelFileError
from hoshikage.core.gguf import read_header
from hoshikage.core.importing.found import Found, Unusable, check_path, files_below, unreadable
from hoshikage.core.names import check_name, name_key
from hoshikage.core.parameters import ADAPTERS, usable_parameters
from hoshikage.core.registry import OPENING_ROLES, ModelEntry, OpeningMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MANIFEST_DEPTH: Final = 4
DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
LAYER_PREFIX: Final = "application/vnd.ollama.image."
# Far above what real ones have; a stranger may have written them.
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_TEXT_BYTES: Final = 4 << 20


class Layer(msgspec.Struct, frozen=True):
    """A file of a model."""

    media_type: str = msgspec.field(name="mediaType")
    digest: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """What a model is made of."""

    layers: tuple[Layer, ...] | None = None


def scan_ollama(root: Path, *, only: str = "") -> Iterator[Found | Unusable]:
    """Every model of a store, by name; with `only`, the one of that name."""
    folder = root / "manifests"
    for file in files_below(folder, MANIFEST_DEPTH):
        if isinstance(file, Unusable):
            yield file
            continue
        name = _name(file.relative_to(folder).parts)
        if only and name_key(name) != name_key(only):
            continue
        try:
            if file.is_file():
                yield _found(check_name(name), file, _Store(root))
        except HoshikageError as error:
            yield Unusable(file, error.message)
        except OSError as error:
            yield Unusable(file, unreadable(error))


@dataclass(frozen=True, slots=True)
class _Store:
    root: Path

    def file(self, layer: Layer) -> Path:
        """The blob of a layer.

        Raises:
            InvalidRequest: its digest is none.
            ModelFileError: the blob is missing, or not ours to look at.
        """
        file = self.root / "blobs" / f"sha256-{check_digest(layer.digest)}"
        try:
            there = file.is_file()
        except OSError as error:
            raise ModelFileError(f"{file}: {unreadable(error)}") from error
        if not there:
            raise ModelFileError(f"{file} is missing; pull the model again with Ollama")
        return file

    def text(self, layer: Layer) -> str:
        """What a layer of text says."""
        return _read(self.file(layer), MAX_TEXT_BYTES)


def _found(name: str, manifest: Path, store: _Store) -> Found:
    check_path(manifest)
    layers = _layers(manifest)
    if "model" not in layers:
        raise ModelFileError("it names no model file; it may be a model that runs elsewhere")
    model, *more = layers["model"]
    if more:
        raise ModelFileError(f"it has {1 + len(more)} model files, which is not supported")
    file = store.file(model)
    header = read_header(file)
    check_model(header)
    adapters = {f"adapter-{check_digest(a.digest)[:12]}": _adapter(store, a) for a in layers.get("adapter", ())}
    parameters = usable_parameters(_json(store, layers.get("params", ()), {}), name)
    entry = ModelEntry(
        path=str(file.parent),
        model=file.name,
        stop=(),
        options={"adapters": adapters} if adapters else {},
        template=_text(store, layers.get("template", ())),
        system=_text(store, layers.get("system", ())),
        parameters={**parameters, ADAPTERS: list(adapters)} if adapters else parameters,
        messages=_opening(store, layers.get("messages", ())),
        license=_text(store, layers.get("license", ())),
        source=f"ollama {store.root}",
    )
    return Found(name, entry, file, header.file_size, check_digest(model.digest))


def _name(parts: tuple[str, ...]) -> str:
    """A name as Ollama shows it: what goes without saying is left out."""
    host, namespace, name, tag = parts
    before = [] if host == DEFAULT_HOST else [host]
    if before or namespace != DEFAULT_NAMESPACE:
        before.append(namespace)
    return "/".join([*before, name]) + f":{tag}"


def _layers(manifest: Path) -> Mapping[str, Sequence[Layer]]:
    """The layers by the last word of their type."""
    try:
        read = msgspec.json.decode(_read(manifest, MAX_MANIFEST_BYTES), type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelFileError(f"it is no manifest: {error}") from error
    found: dict[str, list[Layer]] = {}
    for layer in read.layers or ():
        if layer.media_type.startswith(LAYER_PREFIX):
            found.setdefault(layer.media_type.removeprefix(LAYER_PREFIX), []).append(layer)
    return found


def _text(store: _Store, layers: Sequence[Layer]) -> str:
    return "\n".join(store.text(layer) for layer in layers)


def _json(store: _Store, layers: Sequence[Layer], empty: Any) -> Any:
    """What the last of some layers says, if it is of the kind of `empty`."""
    if not layers:
        return empty
    try:
        value = json.loads(store.text(layers[-1]))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the layer {layers[-1].media_type} is no JSON: {error}") from error
    if not isinstance(value, type(empty)):
        raise ModelFileError(f"the layer {layers[-1].media_type} must be a JSON {type(empty).__name__}")
    return value


def _adapter(store: _Store, layer: Layer) -> str:
    """The path of an adapter; early ones of Ollama are in a format of their own."""
    file = store.file(layer)
    kind = kind_of(read_header(file))
    if kind != ADAPTER:
        raise ModelFileError(f"{file} is named as an adapter, but its type is {kind[:40]!r}")
    return str(file)


def _opening(store: _Store, layers: Sequence[Layer]) -> tuple[OpeningMessage, ...]:
    try:
        messages = msgspec.convert(_json(store, layers, []), tuple[OpeningMessage, ...])
    except msgspec.ValidationError as error:
        raise ModelFileError(f"the layer of messages is not understood: {error}") from error
    for message in messages:
        if message.role not in OPENING_ROLES:
            raise ModelFileError(f"the layer of messages has the unknown role {message.role[:40]!r}")
    return messages


def _read(file: Path, max_bytes: int) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
        text = content.decode()
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is no text in UTF-8") from error
    if len(content) > max_bytes:
        raise ModelFileError(f"{file} is longer than {max_bytes} bytes")
    return text
