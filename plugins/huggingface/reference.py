"""What a user writes to name a model on the Hub, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hoshikage.core.errors import InvalidRequest

NO_TAG: Final = frozenset({"", "latest"})

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REFERENCE = re.compile(
    rf"(?:https?://)?(?:hf\.co|huggingface\.co)/(?P<repo>{_PART}/{_PART})(?:@(?P<revision>{_PART}))?"
    r"(?::(?P<quantization>[A-Za-z0-9][A-Za-z0-9._+-]{0,199}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class HubReference:
    """A model on the Hub.

    Attributes:
        repo: `org/name`.
        revision: a branch, tag or commit; empty is the newest.
        quantization: as the user wrote it, or a file's name; empty leaves the choice to us.
        name: the reference without a scheme, as the user wrote it.
    """

    repo: str
    revision: str
    quantization: str
    name: str

    @classmethod
    def parse(cls, text: str) -> HubReference:
        """Read `hf.co/org/repo[@revision][:quantisation]`; `huggingface.co/` means the same.

        Raises:
            InvalidRequest: it is anything else.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None or ".." in text or "--" in found["repo"] or found["repo"].endswith(".git"):
            raise InvalidRequest(
                f"{text[:100]!r} names no model on the Hub; write hf.co/org/repo:QUANT, e.g. "
                "hf.co/bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M",
                param="model",
            )
        quantization = found["quantization"] or ""
        return cls(
            repo=found["repo"],
            revision=found["revision"] or "",
            quantization="" if quantization.lower() in NO_TAG else quantization,
            name=re.sub(r"^https?://", "", text, flags=re.IGNORECASE),
        )

    @property
    def source(self) -> str:
        """One text for all ways to write the same."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf.co/{self.repo}{revision}" + (f":{self.quantization}" if self.quantization else "")
