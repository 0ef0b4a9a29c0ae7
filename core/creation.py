"""What a new model is made of: its blobs by what their headers say, and the entry that they add up to."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hoshikage.core.blobs import check_digest
from hoshikage.core.errors import InvalidRequest, ModelFileError, NotSupported
from hoshikage.core.gguf import facts_of, read_file
from hoshikage.core.parameters import ADAPTERS, check_parameters
from hoshikage.core.registry import ModelEntry, OpeningMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hoshikage.core.blobs import BlobStore
    from hoshikage.core.contracts import Message, ModelRecord
    from hoshikage.core.gguf import GgufHeader
    from hoshikage.core.split_links import SplitLinks

MAX_FILES: Final = 1000
SOURCE: Final = "created"

# What GGUF files are by their `general.type`; there are more words than these.
MODEL: Final = "model"
ADAPTER: Final = "adapter"
PROJECTOR: Final = "mmproj"


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model that is to be; `None` keeps what the model it is made from has.

    Attributes:
        base: the model that it is made from; empty where it is made of files.
        files: blobs by the names that the files had; the digests are `sha256:<hex>`.
        adapters: likewise, LoRA adapters that are always used.
        parameters: they are added to those of the base.
        messages: they stand in place of those of the base.
    """

    name: str
    base: str = ""
    files: Mapping[str, str] | None = None
    adapters: Mapping[str, str] | None = None
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] | None = None
    messages: tuple[Message, ...] | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that a new model needs.

    Attributes:
        name: what the client calls it.
        digest: 64 hex digits.
        architecture: what it is a model of, or an adapter for.
        part: its place in a split model, from 0.
        parts: how many parts the model has; 0 for one that is whole.
    """

    name: str
    digest: str
    file: Path
    adapter: bool = False
    architecture: str = ""
    part: int = 0
    parts: int = 0


@dataclass(frozen=True, slots=True)
class NewFiles:
    """The blobs of a new model by their kind; the parts of a split one in their order."""

    models: tuple[Blob, ...]
    adapters: tuple[Blob, ...]

    def blobs(self) -> tuple[Blob, ...]:
        """All of them."""
        return (*self.models, *self.adapters)

    def is_split(self) -> bool:
        """Whether the model has several parts."""
        return len(self.models) > 1


def files_of(wanted: NewModel, blobs: BlobStore) -> NewFiles:
    """Look at every blob that is asked for. Reads headers, so it belongs off the event loop.

    Raises:
        InvalidRequest: a name or digest is not allowed, or a blob is not here.
        ModelFileError: a blob is no GGUF.
        NotSupported: it is a GGUF of a kind that no engine here takes.
    """
    fields = {"files": wanted.files or {}, "adapters": wanted.adapters or {}}
    if sum(map(len, fields.values())) > MAX_FILES:
        raise InvalidRequest(f"files: a model has at most {MAX_FILES} files", param="files")
    found = [_blob(f, name, digest, blobs) for f, given in fields.items() for name, digest in given.items()]
    for blob in found[len(fields["files"]) :]:
        if not blob.adapter:
            raise InvalidRequest(f"adapters.{blob.name}: this is a model, not an adapter", param="adapters")
    models = sorted((b for b in found if not b.adapter), key=lambda b: b.part)
    return NewFiles(tuple(models), tuple(b for b in found if b.adapter))


def check_files(files: NewFiles, *, has_base: bool) -> None:
    """Whether the files are one model.

    Raises:
        InvalidRequest: there is none, there are several, or parts are missing.
    """
    models = files.models
    if not models and not has_base:
        raise InvalidRequest("files: there is no model among them; name the model of an adapter in from", param="files")
    if not models or (len(models) == 1 and models[0].parts == 0):
        return
    counts = {blob.parts for blob in models}
    if 0 in counts or len(counts) > 1:
        names = ", ".join(blob.name for blob in models)
        raise InvalidRequest(f"files: these are several models, send one: {names}", param="files")
    count = models[0].parts
    missing = sorted(set(range(count)) - {blob.part for blob in models})
    if missing or len(models) != count:
        problem = f"parts {', '.join(str(n + 1) for n in missing[:10])} are missing" if missing else "a part is doubled"
        raise InvalidRequest(f"files: the model is split into {count} parts: {problem}", param="files")


def check_adapters(files: NewFiles, architecture: str) -> None:
    """Whether the adapters are for models of this architecture; where it is empty, nobody knows.

    Raises:
        InvalidRequest: one is not, so no engine would ever load it with the model.
    """
    for blob in files.adapters:
        if architecture and blob.architecture and blob.architecture != architecture:
            raise InvalidRequest(
                f"adapters.{blob.name}: it is for models of the architecture {blob.architecture[:40]!r}, not "
                f"{architecture[:40]!r}; send one that was trained on this model",
                param="adapters",
            )


def compose(wanted: NewModel, base: ModelEntry | None, files: NewFiles, *, links: SplitLinks) -> ModelEntry:
    """The entry of a new model, whose files `check_files` has found to be one.

    Raises:
        InvalidRequest: a parameter makes no sense.
    """
    entry = base if base is not None else _entry_of_files(files, links)
    adapters = {_adapter_name(blob): str(blob.file) for blob in files.adapters}
    parameters = {**entry.parameters, **check_parameters(wanted.parameters or {})}
    options = dict(entry.options)
    if adapters:
        parameters[ADAPTERS] = list(dict.fromkeys([*parameters.get(ADAPTERS, []), *adapters]))
        options["adapters"] = {**options.get("adapters", {}), **adapters}
    said: dict[str, object] = {"template": wanted.template, "system": wanted.system, "license": wanted.license}
    if wanted.messages is not None:
        said["messages"] = tuple(OpeningMessage(m.role, m.content) for m in wanted.messages)
    owned = dict.fromkeys((*entry.owned, *(blob.file.name for blob in files.blobs())))
    return msgspec.structs.replace(
        entry,
        parameters=parameters,
        options=options,
        owned=tuple(owned),
        parent=wanted.base,
        **{name: value for name, value in said.items() if value is not None},
    )


def kind_of(header: GgufHeader) -> str:
    """What a GGUF file is: `model`, `adapter`, `mmproj` for what sees images for a model, or its own word for it."""
    if architecture_of(header) == "clip":
        return PROJECTOR
    return str(header.metadata.get("general.type", MODEL))


def architecture_of(header: GgufHeader) -> str:
    """What a file is a model of, or an adapter for; empty where it does not say."""
    return str(header.metadata.get("general.architecture", ""))


def check_model(header: GgufHeader) -> None:
    """Whether a file is a model by itself.

    Raises:
        NotSupported: it only belongs to one.
        ModelFileError: it has no architecture.
    """
    kind = kind_of(header)
    if kind != MODEL:
        raise NotSupported(f"{header.file}: this is no model, its type is {kind[:40]!r}; name the model it belongs to")
    facts_of(header)


def entry_of(record: ModelRecord) -> ModelEntry:
    """A model that a plug-in offers, as it would be written down."""
    path, model = (str(record.file.parent), record.file.name) if record.file else ("", "")
    return ModelEntry(path=path, model=model, stop=record.stop, engine=record.engine, options=dict(record.options))


def used_files(entries: Iterable[ModelEntry], *, owned_only: bool = False) -> set[str]:
    """The digests of the blobs that entries name; also of those that they use without owning them."""
    found: set[str] = set()
    for entry in entries:
        adapters = entry.options.get("adapters")
        files = adapters.values() if isinstance(adapters, dict) else ()
        used = [] if owned_only else [entry.model, *(str(file).rpartition("/")[2] for file in files)]
        for name in (*entry.owned, *used):
            if re.fullmatch(r"sha256-[0-9a-f]{64}", name):
                found.add(name.replace("-", ":"))
    return found


def _entry_of_files(files: NewFiles, links: SplitLinks) -> ModelEntry:
    file = links.first(files.models) if files.is_split() else files.models[0].file
    return ModelEntry(path=str(file.parent), model=file.name, stop=(), source=SOURCE)


def _blob(field: str, name: str, digest: str, blobs: BlobStore) -> Blob:
    param = f"{field}.{name[:80]}"
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InvalidRequest(f"{field}: the file name {name[:80]!r} is not allowed; send a plain name", param=param)
    try:
        hexadecimal = check_digest(digest)
    except InvalidRequest as error:
        raise InvalidRequest(f"{param}: {error.message}", param=param) from error
    if not blobs.has(digest):
        problem = f"{param}: the blob {digest} is not here; send it to POST /api/blobs/{digest} first"
        raise InvalidRequest(problem, param=param)
    return _by_header(Blob(path.name, hexadecimal, blobs.path(digest)), param)


def _by_header(blob: Blob, param: str) -> Blob:
    try:
        header = read_file(blob.file)  # a part of a split model may come alone
        kind, part, parts = kind_of(header), _number(header, "split.no"), _number(header, "split.count")
        if part == 0 and kind not in (ADAPTER, PROJECTOR):
            check_model(header)
    except (ModelFileError, NotSupported) as error:
        # The path of the blob says nothing to the client, the name of its file does.
        reason = error.message.removeprefix(f"{blob.file}: ")
        raise type(error)(f"{param}: {reason}", param=param) from error
    blob = replace(blob, architecture=architecture_of(header))
    if kind == ADAPTER:
        return replace(blob, adapter=True)
    if kind == PROJECTOR:
        raise NotSupported(f"{param}: models that see images are not supported; leave this file out", param=param)
    return replace(blob, part=part, parts=parts if parts > 1 else 0)


def _number(header: GgufHeader, key: str) -> int:
    value = header.metadata.get(key, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _adapter_name(blob: Blob) -> str:
    """A name that says which adapter it is, and that no two share."""
    stem = re.sub(r"[^\w-]+", "-", PurePosixPath(blob.name).stem).strip("-") or "adapter"
    return f"{stem[:60]}-{blob.digest[:12]}"
