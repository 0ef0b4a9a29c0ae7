"""What `doctor` looks at: whether the model is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hoshikage import CheckResult
from hoshikage.plugins.embedder_sentence_transformers import files

if TYPE_CHECKING:
    from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings

NAME: Final = "memory model"


def check_model(settings: SentenceTransformersSettings, folder: Path, hub: Path | None = None) -> list[CheckResult]:
    """Where the model is. That it is not here is no fault: another embedder is taken.

    Args:
        settings: the section.
        folder: the model's name taken as a path.
        hub: the cache of the Hub; `None` is where its library has it.
    """
    from huggingface_hub import constants

    path = files.find(settings.model, folder, hub or Path(constants.HF_HUB_CACHE))
    if path is not None:
        return [CheckResult(NAME, "ok", f"sentence-transformers has {settings.model} in {path}")]
    then = "is fetched when it is named in memory.embedder" if settings.allow_download else "is not taken"
    return [CheckResult(NAME, "ok", f"sentence-transformers has no {settings.model} on this machine: it {then}")]
