"""The settings of the embedder `gguf`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hoshikage import Unit


@dataclass(frozen=True, slots=True)
class GgufEmbedderSettings:
    """The embedder `gguf` of long-term memory: a model that this server serves."""

    model: Annotated[str, Meta(description="The registered name of an embedding model.")] = ""
    query_prefix: Annotated[
        str | None, Meta(description="Stands before a question; unset: as models of that name were trained.")
    ] = None
    document_prefix: Annotated[
        str | None, Meta(description="Stands before a memory; unset: as models of that name were trained.")
    ] = None
    max_chars: Annotated[
        int, Unit("characters"), Meta(ge=100, le=1_000_000, description="More of a text is not read.")
    ] = 4000
