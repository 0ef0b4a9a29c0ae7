"""What earlier loads took, remembered for the next one."""

from __future__ import annotations

import hashlib
import json
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import structlog

from hoshikage import MemoryNeed
from hoshikage.core.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage import ModelRecord
    from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

log = structlog.get_logger(__name__)

MAX_ENTRIES: Final = 512
MAX_FILE_BYTES: Final = 1 << 20
# Settings that do not change what a load takes.
WITHOUT_EFFECT: Final = frozenset({"max_pause_s", "nice", "n_threads", "lookup_tokens", "draft_tokens", "pooling"})

Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured need."""

    weights: Bytes
    context: Bytes
    other: Bytes
    vram: Bytes


class MeasuredNeeds:
    """A JSON file of needs by key, the oldest first.

    It is only a memory: where it is damaged or cannot be written, it says so in the log, and the header is asked
    again. One server writes it; its threads take turns.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[str, Entry] | None = None
        self._turn = threading.Lock()

    def get(self, key: str) -> MemoryNeed | None:
        """What a load under this key took. Reads the file, the first time."""
        with self._turn:
            entry = self._loaded().get(key)
        if entry is None:
            return None
        return MemoryNeed(entry.weights, entry.context, entry.other, entry.vram, measured=True)

    def put(self, key: str, need: MemoryNeed) -> None:
        """Remember what a load took; the oldest entries go. Writes the file, if that is news."""
        entry = Entry(need.weights_bytes, need.context_bytes, need.other_bytes, need.vram_bytes)
        with self._turn:
            entries = self._loaded()
            if entries.pop(key, None) == entry:
                entries[key] = entry  # the youngest again; not worth a write
                return
            entries[key] = entry
            for oldest in list(entries)[:-MAX_ENTRIES]:
                del entries[oldest]
            self._write(entries)

    def _write(self, entries: dict[str, Entry]) -> None:
        try:
            write_atomically(self._file, msgspec.json.encode(entries))
        except OSError as error:
            log.warning("footprints_not_written", file=str(self._file), reason=str(error))

    def _loaded(self) -> dict[str, Entry]:
        if self._entries is None:
            self._entries = self._read()
        return self._entries

    def _read(self) -> dict[str, Entry]:
        try:
            with self._file.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES)  # what is longer ends in the middle, and so is damaged
            entries = msgspec.json.decode(content, type=dict[str, Entry])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("footprints_damaged", file=str(self._file), reason=str(error))
            return {}
        return dict(list(entries.items())[-MAX_ENTRIES:])


def key_of(record: ModelRecord, settings: LlamaCppSettings, *, context_length: int, has_gpu: bool) -> str:
    """What must be equal for a load to take the same again.

    Args:
        record: the model.
        settings: as they hold for it.
        context_length: tokens that its context shall hold; 0 leaves it to the settings.
        has_gpu: layers can go to a GPU.
    """
    values = {k: v for k, v in msgspec.to_builtins(settings).items() if k not in WITHOUT_EFFECT}
    values["n_ctx"] = context_length or settings.n_ctx
    version = [str(record.file), record.size_bytes, record.modified_at]  # the digest is not known at the first load
    text = json.dumps([version, values, has_gpu, _build()], sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _build() -> str:
    """The release of llama.cpp's binding, asked without importing it."""
    try:
        return metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return ""
