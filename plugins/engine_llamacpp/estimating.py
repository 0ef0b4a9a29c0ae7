"""What a model would take: as it was measured at an earlier load, else as its header lets expect."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import read_header
from hoshikage.core.vram import gpu_memory
from hoshikage.plugins.engine_llamacpp.footprint import footprint
from hoshikage.plugins.engine_llamacpp.machine import this_machine
from hoshikage.plugins.engine_llamacpp.measured import key_of
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage import MemoryNeed, ModelRecord
    from hoshikage.core.gguf import GgufHeader
    from hoshikage.core.vram import GpuMemory
    from hoshikage.plugins.engine_llamacpp.footprint import Footprint
    from hoshikage.plugins.engine_llamacpp.frames import Init
    from hoshikage.plugins.engine_llamacpp.machine import Machine
    from hoshikage.plugins.engine_llamacpp.measured import MeasuredNeeds

KNOWN_HEADERS: Final = 16
SETTINGS: Final = tuple(field.name for field in dataclasses.fields(LlamaCppSettings))
PART: Final = re.compile(r"(.*-)00001(-of-(\d{5})\.gguf)", re.DOTALL)
MAX_PARTS: Final = 1000


class Estimator:
    """Estimates for one server. Its methods read files and ask drivers, so they are for threads.

    Args:
        needs: what earlier loads took; `None` remembers nothing.
        gpus: asks for the GPUs.
    """

    def __init__(
        self, needs: MeasuredNeeds | None = None, *, gpus: Callable[[], tuple[GpuMemory, ...]] = gpu_memory
    ) -> None:
        self._needs = needs
        self._gpus = gpus
        self._headers = functools.lru_cache(KNOWN_HEADERS)(_read_version)

    @functools.cached_property
    def _machine(self) -> Machine:
        return this_machine(has_nvidia=bool(self._gpus()))

    def predict(self, init: Init, context_length: int = 0) -> Footprint:
        """What the header lets expect of a load with this first frame.

        Raises:
            ModelFileError: a file is gone or damaged.
        """
        return footprint(
            self._header(Path(init.path)),
            _settings_of(init),
            self._machine,
            context_length=context_length,
            draft=self._header(Path(init.draft_model)) if init.draft_model else None,
            adapter_bytes=sum(_version(Path(file))[0] for file in init.adapters.values()),
        )

    def estimate(self, record: ModelRecord, init: Init, context_length: int = 0) -> MemoryNeed:
        """What a load would take; `init` as the record would be loaded.

        Raises:
            ModelFileError: a file is gone or damaged.
        """
        measured = self._needs.get(self._key(record, init, context_length)) if self._needs else None
        return measured or self.predict(init, context_length).need

    def remember(self, record: ModelRecord, init: Init, need: MemoryNeed) -> None:
        """Keep what a load took for the next estimate."""
        if self._needs is not None:
            self._needs.put(self._key(record, init, 0), need)

    def _key(self, record: ModelRecord, init: Init, context_length: int) -> str:
        has_gpu = self._machine.has_gpu
        return key_of(record, _settings_of(init), context_length=context_length, has_gpu=has_gpu)

    def _header(self, file: Path) -> GgufHeader:
        return self._headers(file, *_version(file))


def _settings_of(init: Init) -> LlamaCppSettings:
    """The settings that a first frame carries."""
    values = {name: getattr(init, name) for name in SETTINGS}
    return LlamaCppSettings(**{**values, "tensor_split": tuple(init.tensor_split)})


def _version(file: Path) -> tuple[int, int]:
    """Size and time of a file.

    Raises:
        ModelFileError: it cannot be looked at.
    """
    try:
        stat = file.stat()
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns


def _read_version(file: Path, _size_bytes: int, _mtime_ns: int) -> GgufHeader:
    """The header of a whole model; the numbers are there to tell its versions apart."""
    first = read_header(file)
    split = PART.fullmatch(file.name)
    if not split or int(split[3]) > MAX_PARTS:
        return first
    tensors, size = list(first.tensors), first.file_size
    for number in range(2, int(split[3]) + 1):
        part = read_header(file.with_name(f"{split[1]}{number:05}{split[2]}"))
        tensors += [dataclasses.replace(t, offset=t.offset + size) for t in part.tensors]  # as if it were one file
        size += part.file_size
    return dataclasses.replace(first, tensors=tuple(tensors), file_size=size)
