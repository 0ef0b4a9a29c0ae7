from __future__ import annotations

import pytest

from hoshikage.core.errors import InvalidRequest
from hoshikage.plugins.ollama_registry.reference import Reference

HOST = "registry.ollama.ai"


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag"),
    [
        ("gemma3", HOST, "library/gemma3", "latest"),
        ("gemma3:270m", HOST, "library/gemma3", "270m"),
        ("someone/model:v1.0-Q4_K_M", HOST, "someone/model", "v1.0-Q4_K_M"),
        ("registry.ollama.ai/gemma3", HOST, "library/gemma3", "latest"),
        ("hf.co/Org/Repo-GGUF:Q4_K_M", "hf.co", "Org/Repo-GGUF", "Q4_K_M"),
        ("localhost/tiny", "localhost", "tiny", "latest"),
        ("127.0.0.1:5000/tiny:1", "127.0.0.1:5000", "tiny", "1"),
        ("registry.lan:5000/a/b/c", "registry.lan:5000", "a/b/c", "latest"),
    ],
)
def test_a_reference_is_taken_apart(text: str, host: str, repository: str, tag: str):
    """Host, namespace and tag may be left out, as Ollama and Docker do it."""
    found = Reference.parse(text, default_host=HOST)

    assert (found.host, found.repository, found.tag, found.name) == (host, repository, tag, text)
    assert found.url("blobs", "x") == f"https://{host}/v2/{repository}/blobs/x"


def test_names_without_a_host_come_from_the_registry_that_is_set():
    """Another default registry knows no `library`."""
    found = Reference.parse("tiny", default_host="models.lan:5000")

    assert (found.host, found.repository) == ("models.lan:5000", "tiny")


@pytest.mark.parametrize(
    ("text", "insecure", "scheme"),
    [("a/b", False, "https"), ("a/b", True, "http"), ("https://a.b/c", True, "https"), ("http://a.b/c", False, "http")],
)
def test_plain_http_is_meant_where_it_is_said(text: str, insecure: bool, scheme: str):
    """The flag or the scheme says so; the name of the model has no scheme."""
    found = Reference.parse(text, default_host=HOST, insecure=insecure)

    assert found.scheme == scheme
    assert "://" not in found.name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "../x",
        "a/../b",
        "a.b/../c",
        "..:1/x",
        "a%2e%2e/b",
        "a/%2e%2e/b",
        "a\\b",
        "a\0b",
        "a b",
        "a\n",
        "a:",
        "a:..",
        "a:../x",
        "a:b:c",
        "ftp://a.b/c",
        "file:///etc/passwd",
        "http://",
        "http://http://a.b/c",
        "user:pw@host.example/x",
        "user@host.example/x",
        "[::1]:5000/x",
        "a.b:99999999/x",
        "a..b/x",
        "ａ/b",
        "x" * 200,
        "/".join("x" * 20),
        "a?b",
        "a#b",
    ],
)
def test_nothing_else_is_a_reference(text: str):
    """What a path or a URL would trip over is refused."""
    with pytest.raises(InvalidRequest):
        Reference.parse(text, default_host=HOST)
