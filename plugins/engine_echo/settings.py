"""The settings of the echo engine; every one but `models` can also stand in a model's `options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hoshikage import Unit


@dataclass(frozen=True, slots=True)
class EchoSettings:
    """How the engine behaves, and how it misbehaves."""

    models: Annotated[tuple[str, ...], Meta(description="Names of the models that it offers.")] = ("echo",)
    tokens_per_second: Annotated[
        float, Unit("tokens/s"), Meta(ge=0, description="Speed of each answer; 0 is as fast as it can.")
    ] = 0.0
    load_delay_s: Annotated[float, Unit("s"), Meta(ge=0, description="How long a load takes.")] = 0.0
    first_token_delay_s: Annotated[
        float, Unit("s"), Meta(ge=0, description="How long each answer waits before its first token.")
    ] = 0.0
    memory_bytes: Annotated[
        int, Unit("bytes"), Meta(ge=0, description="The memory it says it takes; it takes none.")
    ] = 0
    context_length: Annotated[int, Unit("tokens"), Meta(ge=2, description="The context it claims.")] = 4096
    chat_template: Annotated[
        str, Meta(description="The chat template it claims; empty is a small one with tools and thinking.")
    ] = ""
    fail_load: Annotated[str, Meta(description="If given, every load fails with this message.")] = ""
    fail_after: Annotated[
        int, Unit("tokens"), Meta(ge=-1, description="Each answer fails after so many tokens; -1 is never.")
    ] = -1
    crash_after: Annotated[
        int, Unit("tokens"), Meta(ge=-1, description="The model dies after so many tokens; -1 is never.")
    ] = -1
