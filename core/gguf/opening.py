"""Opening a model file, with every failure said in one line that the user can act on."""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

from hoshikage.core.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path


@contextlib.contextmanager
def open_model_file(file: Path) -> Iterator[FileIO]:
    """Open a regular file, unbuffered; an `OSError` inside the block is reported the same way.

    Raises:
        ModelFileError: the file is missing, no regular file, or unreadable.
    """
    _check_regular(file)
    try:
        with file.open("rb", buffering=0) as stream:
            yield stream
    except OSError as error:
        raise _unreadable(file, error) from error


def _check_regular(file: Path) -> None:
    """Look before opening: to open a pipe would wait for someone who writes into it."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError as error:
        raise ModelFileError(f"{file} does not exist; check the path or download the model") from error
    except OSError as error:
        raise _unreadable(file, error) from error
    except ValueError as error:  # a NUL byte, or characters that no file name can have
        raise ModelFileError(f"{str(file)!r} cannot be a path: {error}; check the path") from error
    if stat.S_ISDIR(mode):
        raise ModelFileError(f"{file} is a directory; name the GGUF file in it")
    if not stat.S_ISREG(mode):
        raise ModelFileError(f"{file} is not a regular file; name the model's GGUF file itself")


def _unreadable(file: Path, error: OSError) -> ModelFileError:
    return ModelFileError(f"{file} cannot be read: {error.strerror or error}; check the disk and the permissions")
