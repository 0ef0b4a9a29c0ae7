from __future__ import annotations

import pytest

from hoshikage import Message
from hoshikage.core.errors import DownloadFailed
from hoshikage.core.model_parts import (
    MAX_MESSAGES,
    read_messages,
    read_parameters,
    read_text,
)


def test_parameters_are_read():
    """Numbers, texts, truth values and lists of texts."""
    content = b'{"temperature": 0.5, "num_ctx": 4096, "stop": ["a", "b"], "penalize_newline": true, "x": "y"}'

    assert read_parameters(content) == {
        "temperature": 0.5,
        "num_ctx": 4096,
        "stop": ["a", "b"],
        "penalize_newline": True,
        "x": "y",
    }


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": {}}', b'{"a": [1]}', b'{"a": null}', b"\xff", b"[" * 100_000])
def test_other_parameters_are_refused(content: bytes):
    """What is no object of such values is one error."""
    with pytest.raises(DownloadFailed, match="parameters"):
        read_parameters(content)


def test_messages_are_read():
    """Role and content; a message without content is empty."""
    found = read_messages(b'[{"role": "user", "content": "hi", "images": []}, {"role": "assistant"}]')

    assert found == (Message("user", "hi"), Message("assistant", ""))


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'[{"content": "x"}]',
        b'["x"]',
        b'[{"role": 1}]',
        b'[{"role": "tool", "content": "x"}]',
        b'[{"role": "<|system|>"}]',
        b"[" + b'{"role":"user"},' * MAX_MESSAGES + b'{"role":"user"}]',
    ],
)
def test_other_messages_are_refused(content: bytes):
    """What is no list of messages, or too long a one, is one error."""
    with pytest.raises(DownloadFailed, match="messages"):
        read_messages(content)


def test_a_text_must_be_utf_8():
    """The error says which part it was."""
    with pytest.raises(DownloadFailed, match="license"):
        read_text(b"\xff", "license")
