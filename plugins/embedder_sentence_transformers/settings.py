"""The settings of the embedder `sentence-transformers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hoshikage import Unit


@dataclass(frozen=True, slots=True)
class SentenceTransformersSettings:
    """The embedder `sentence-transformers` of long-term memory."""

    model: Annotated[
        str, Meta(min_length=1, description="A model of the Hub that was fetched before, or a folder that holds one.")
    ] = "cl-nagoya/ruri-small-v2"
    allow_download: Annotated[
        bool, Meta(description="Fetch the model from the Hub, once; without it, nothing asks the network.")
    ] = False
    trust_remote_code: Annotated[
        bool, Meta(description="Run the Python code that some models bring, as ruri v1 and v2 do for their tokenizer.")
    ] = False
    max_tokens: Annotated[
        int,
        Unit("tokens"),
        Meta(ge=16, le=32768, description="More of a text is not read; many models read less. Time grows with it."),
    ] = 1024
    device: Annotated[str, Meta(description="Where it computes, in the words of torch: `cpu`, `cuda`, `mps`.")] = "cpu"
    threads: Annotated[
        int,
        Meta(ge=1, le=256, description="Threads on the CPU; with more of them, answers of other models become slower."),
    ] = 1
