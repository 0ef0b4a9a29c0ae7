"""The settings of the Ollama registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, slots=True)
class OllamaRegistrySettings:
    """Where models without a host in their names come from."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            description="The registry of names without a host; another one than the default may be private.",
        ),
    ] = "registry.ollama.ai"
