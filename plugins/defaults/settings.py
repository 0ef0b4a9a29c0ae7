"""The values that a request gets for what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hoshikage import Unit


@dataclass(frozen=True, slots=True)
class DefaultsSettings:
    """Unset ones are left to the protocol of the request, then to the engine."""

    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="How random the choice is; 0 is greedy.")
    ] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Keep the k likeliest tokens; 0 keeps all.")
    ] = None
    top_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Keep the likeliest tokens up to this sum.")
    ] = None
    min_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Drop tokens below this share of the likeliest.")
    ] = None
    repeat_penalty: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None, Meta(description="Makes recent tokens less likely; 1 is off.")
    ] = None
    repeat_last_n: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        Unit("tokens"),
        Meta(description="How far the penalties look back; -1 is everything."),
    ] = None
    max_tokens_streaming: Annotated[
        int,
        Unit("tokens"),
        Meta(ge=-1, description="Longest streamed answer; -1 is what the context leaves."),
    ] = -1
    max_tokens_non_streaming: Annotated[
        int,
        Unit("tokens"),
        Meta(ge=-1, description="Longest answer in one piece; -1 is what the context leaves."),
    ] = -1
