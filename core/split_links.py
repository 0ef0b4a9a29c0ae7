"""Split models of blobs: links under the names by which llama.cpp finds the parts of one model."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hoshikage.core.files import sync_folder
from hoshikage.core.gguf.parts import part_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.creation import Blob

STEM: Final = "model"


class SplitLinks:
    """A folder for each split model, named after its parts; in it, a link to each blob."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def first(self, parts: Sequence[Blob]) -> Path:
        """Where the link to the first part is, or would be."""
        return self._folder(parts) / part_name(STEM, 1, len(parts))

    def make(self, parts: Sequence[Blob]) -> None:
        """Make the links that are not there yet.

        Raises:
            OSError: the folder cannot be written.
        """
        folder = self._folder(parts)
        folder.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(parts, start=1):
            link = folder / part_name(STEM, number, len(parts))
            with contextlib.suppress(FileExistsError):  # made before, or this moment by somebody who makes the same
                link.symlink_to(os.path.relpath(part.file, folder))
        for changed in (folder, self._root):
            sync_folder(changed)

    def remove(self, path: str) -> None:
        """Delete a model's links, if the path is that of such a folder.

        Raises:
            OSError: the folder cannot be written.
        """
        folder = Path(path)
        if folder.parent != self._root or not folder.is_dir():
            return
        for link in folder.iterdir():
            if link.is_symlink():
                link.unlink()
        folder.rmdir()

    def _folder(self, parts: Sequence[Blob]) -> Path:
        return self._root / hashlib.sha256(",".join(p.digest for p in parts).encode()).hexdigest()[:32]
