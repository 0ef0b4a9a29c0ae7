"""The settings of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hoshikage import Secret


@dataclass(frozen=True, slots=True)
class HuggingFaceSettings:
    """Where the Hub is, and who asks it."""

    endpoint: Annotated[
        str, Meta(description="The Hub or a mirror of it, which may be private; empty: HF_ENDPOINT, else the Hub.")
    ] = ""
    token: Annotated[
        str,
        Secret(),
        Meta(description="For private and gated models; empty: HF_TOKEN, or what `hf auth login` stored."),
    ] = ""
