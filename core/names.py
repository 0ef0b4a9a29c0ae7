"""Model names: which may be given, and when two mean the same."""

from __future__ import annotations

import re
import unicodedata

from hoshikage.core.errors import InvalidRequest

DEFAULT_TAG = "latest"
MAX_NAME_CHARS = 255
MAX_DECOMPOSED_CHARS = 4 * MAX_NAME_CHARS  # no character has more marks than three

# Letters of any script (names in Japanese are in use), digits and - _ . + @ in parts joined by "/", then a tag.
_PART = r"[^\W_][\w.+@-]*"
# A model of a registry with a port keeps that in its name, as in Ollama: `registry.lan:5000/team/model:tag`.
_HOST_AND_PORT = r"[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5}/"
_NAME = re.compile(rf"({_HOST_AND_PORT})?{_PART}(/{_PART})*(:\w[\w.+-]*)?")


def check_name(name: str) -> str:
    """Return `name`, its characters composed, if it may be registered.

    Raises:
        InvalidRequest: it is empty, too long or has characters that a path or a URL would trip over.
    """
    name = _composed(name)
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"the model name {name[:80]!r} is not allowed; use letters, digits and . _ - + @, parts joined by /, "
            f"an optional :tag, at most {MAX_NAME_CHARS} characters",
            param="name",
        )
    return name


def name_key(name: str) -> str:
    """What two names must share to mean one model: case does not matter, and no tag is `:latest`."""
    return _composed(name).casefold().removesuffix(f":{DEFAULT_TAG}")


def _composed(name: str) -> str:
    """Make one character of what macOS writes as two, as in 「が」.

    What is too long for any name stays as it is: thousands of marks in a row would take minutes.
    """
    return unicodedata.normalize("NFC", name) if len(name) <= MAX_DECOMPOSED_CHARS else name
