"""The plug-in's settings: `[default.parrot]` in settings.toml, `HOSHIKAGE_PARROT__…` in the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, slots=True)
class ParrotSettings:
    """How the parrot speaks."""

    ending: Annotated[str, Meta(description="What it adds to everything it says.")] = "!"
