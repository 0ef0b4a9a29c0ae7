"""The models that the echo engine offers by itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hoshikage import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Sequence


class EchoModels:
    """A source of models without files."""

    name = "echo"

    def __init__(self, names: Sequence[str]) -> None:
        self._records = [
            ModelRecord(name, engine="echo", digest=hashlib.sha256(f"echo {name}".encode()).hexdigest())
            for name in names
        ]

    def models(self) -> Sequence[ModelRecord]:
        """One record per name."""
        return self._records
