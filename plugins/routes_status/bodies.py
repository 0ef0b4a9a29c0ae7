"""The bodies of requests about where models live."""

from __future__ import annotations

from typing import Annotated

import msgspec

MAX_TOKENS = 1 << 30


class ModelBody(msgspec.Struct, frozen=True):
    """A model by its name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]


class LoadBody(msgspec.Struct, frozen=True):
    """A model to load; see `ServerApi.load`."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    num_ctx: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)] | None = None
    keep_alive: float | str | None = None


class PlanBody(msgspec.Struct, frozen=True):
    """A load to forecast; see `ServerApi.forecast`."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    num_ctx: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)] | None = None
    parallel: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
