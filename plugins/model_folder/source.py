"""The models of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.core.catalog import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hoshikage import ModelRecord


class FolderModels:
    """Offers the `*.gguf` files of one folder, not of those below it; the name is the file's stem."""

    name = "model_folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def models(self) -> Sequence[ModelRecord]:
        """The files that are there now."""
        files = sorted(self._folder.glob("*.gguf")) if self._folder.is_dir() else []
        return [record_of(file.stem, file) for file in files if file.is_file()]
