"""A folder that is watched, and what is on offer from it."""

from __future__ import annotations

import pytest

from hoshikage.plugins.model_folder.source import FolderModels
from tests.core.gguf import raw_gguf as raw

WHOLE = raw.SMALL


def names(source: FolderModels) -> list[str]:
    return [record.name for record in source.models()]


@pytest.fixture
def folder(tmp_path):
    """An empty folder for models."""
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
async def watched(folder):
    """The models of the folder while it is watched."""
    source = FolderModels(folder)
    await source.start()
    yield source
    await source.stop()
