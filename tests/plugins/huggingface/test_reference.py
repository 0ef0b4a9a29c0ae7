from __future__ import annotations

import pytest

from hoshikage.core.errors import InvalidRequest
from hoshikage.plugins.huggingface.reference import HubReference


@pytest.mark.parametrize(
    ("text", "repo", "revision", "quantization"),
    [
        ("hf.co/org/repo", "org/repo", "", ""),
        ("hf.co/org/repo:latest", "org/repo", "", ""),
        ("hf.co/org/repo:Q4_K_M", "org/repo", "", "Q4_K_M"),
        ("huggingface.co/Org/Re.po-GGUF:q8_0", "Org/Re.po-GGUF", "", "q8_0"),
        ("https://huggingface.co/org/repo", "org/repo", "", ""),
        ("HF.co/org/repo@main:Q8_0", "org/repo", "main", "Q8_0"),
        ("hf.co/org/repo@5c4a1f2", "org/repo", "5c4a1f2", ""),
        ("hf.co/org/repo:model-IQ3_M.gguf", "org/repo", "", "model-IQ3_M.gguf"),
    ],
)
def test_a_reference_is_taken_apart(text: str, repo: str, revision: str, quantization: str):
    """Both names of the Hub, a revision, and a quantisation or a file's name."""
    found = HubReference.parse(text)

    assert (found.repo, found.revision, found.quantization) == (repo, revision, quantization)
    assert found.name == text.removeprefix("https://")


def test_the_source_is_one_for_all_spellings():
    """Two names of one thing have one source, so that one may update the other."""
    texts = ["hf.co/org/repo@r:Q8_0", "huggingface.co/org/repo@r:Q8_0", "https://hf.co/org/repo@r:Q8_0"]

    assert {HubReference.parse(text).source for text in texts} == {"hf.co/org/repo@r:Q8_0"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf.co",
        "hf.co/org",
        "hf.co/org/",
        "hf.co/org/repo/more",
        "hf.co/../repo",
        "hf.co/org/..",
        "hf.co/org/%2e%2e",
        "hf.co/org/re..po",
        "hf.co/org/re--po",
        "hf.co/org/repo.git",
        "hf.co/org/repo-",
        "hf.co/org/repo:",
        "hf.co/org/repo:../x",
        "hf.co/org/repo@../x",
        "hf.co/org/repo?x",
        "hf.co/org/repo\n",
        "hf.co/org/re\0po",
        "evil.example/hf.co/org/repo",
        "hf.co.evil.example/org/repo",
        "hf.co@evil.example/org/repo",
        "ftp://hf.co/org/repo",
        "gemma3:270m",
    ],
)
def test_nothing_else_is_a_reference(text: str):
    """Other hosts, paths, and what a URL would trip over."""
    with pytest.raises(InvalidRequest):
        HubReference.parse(text)
