"""The cursor: windows, bounds and files that change below it."""

from __future__ import annotations

import pytest

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf.cursor import WINDOW_BYTES, Cursor
from tests.core.gguf import raw_gguf as raw


def test_strings_across_windows_are_skipped(file_of):
    """Strings that begin in one read window and end in another are skipped to the byte."""
    strings = [b"x" * (WINDOW_BYTES * 2 // 3)] * 5 + [b""] * 9 + [b"y" * 7] * (WINDOW_BYTES // 15)
    file = file_of(b"".join(map(raw.text, strings)) + b"end")
    with file.open("rb", buffering=0) as stream:
        cursor = Cursor(stream, file, file_size=file.stat().st_size)
        cursor.skip_strings(len(strings), "a string")

        assert cursor.take(3, "the end") == b"end"


def test_file_that_shrinks_is_refused(file_of):
    """A file that loses its end while it is read is refused, and the process lives on."""
    file = file_of(b"short")
    with file.open("rb", buffering=0) as stream:
        cursor = Cursor(stream, file, file_size=100)

        with pytest.raises(ModelFileError, match="the file became shorter while it was read"):
            cursor.take(50, "a value")
