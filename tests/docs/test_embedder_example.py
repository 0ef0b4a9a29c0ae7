"""The embedder of docs/writing-a-plugin.md is one that works, as a single file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hoshikage.core.discovery import folder_files

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"


async def test_the_embedder_of_the_page_embeds(tmp_path):
    """Copied into the plug-in folder, it gives vectors of the length that it says, from its own process."""
    (program,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Vowels" in code)
    (tmp_path / "vowels.py").write_text(program)
    (candidate,) = folder_files(tmp_path)
    (embedder,) = candidate.load().hoshikage_provide_embedders()
    try:
        await embedder.start()
        found = await embedder.embed(["a cat", "猫", ""], "document")
    finally:
        await embedder.close()

    assert (3, embedder.dimensions) == found.shape
    assert np.allclose(1, np.linalg.norm(found, axis=1))
