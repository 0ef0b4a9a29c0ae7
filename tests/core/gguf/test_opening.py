"""Opening model files: what the system refuses, in words for the user."""

from __future__ import annotations

import errno

import pytest

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf.opening import open_model_file


def test_disk_error_names_the_file(file_of):
    """A disk that fails while it is read gives one line with the file and the reason."""
    file = file_of(b"content")

    with (
        pytest.raises(ModelFileError, match=r"model\.gguf cannot be read: broken; check the disk"),
        open_model_file(file),
    ):
        raise OSError(errno.EIO, "broken")
