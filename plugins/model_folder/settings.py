"""The settings of the model folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, slots=True)
class ModelFolderSettings:
    """Which folder."""

    path: Annotated[str, Meta(description="Folder whose *.gguf files are offered by their names; empty is none.")] = ""
