"""The Hub's downloader against a server that has the Hub's layout: its API, `resolve`, redirects, LFS digests."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from hoshikage import DownloadProgress
from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.core.http import fetch, transfer
from hoshikage.core.settings import PullSettings
from hoshikage.plugins.huggingface.downloader import HubDownloader
from hoshikage.plugins.huggingface.settings import HuggingFaceSettings
from tests.file_server import FileServer, Served
from tests.loop_imports import loaded_on_the_loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = b"GGUF" + bytes(range(256)) * 8000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
TOKEN = "hf_secret"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a token of their own; pauses are short."""
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for module in (fetch, transfer):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
def cdn() -> Iterator[FileServer]:
    """Where the Hub keeps large files."""
    with FileServer().serving() as server:
        yield server


@pytest.fixture
def hub(cdn: FileServer) -> Iterator[FileServer]:
    """The Hub."""
    with FileServer().serving() as server:
        yield server


def publish(hub: FileServer, cdn: FileServer, files: dict[str, bytes], repo: str = "org/tiny-GGUF") -> None:
    """Let the hub hold a repository; GGUF files lie on the other host, as with LFS."""
    rows = []
    for path, content in files.items():
        sha256 = hashlib.sha256(content).hexdigest()
        row = {"rfilename": path, "size": len(content), "blobId": "b" * 40}
        where = f"/{repo}/resolve/{COMMIT}/{path}"
        if path.endswith(".gguf"):
            row["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            cdn.pages[f"/{sha256}"] = Served(content)
            headers = {"Location": f"{cdn.url}/{sha256}", "X-Linked-Etag": sha256, "X-Repo-Commit": COMMIT}
            hub.pages[where] = Served(b"", 302, headers)
        else:
            hub.pages[where] = Served(content)
        rows.append(row)
    listing = {"_id": "1", "id": repo, "sha": COMMIT, "siblings": rows, "private": False}
    hub.pages[f"/api/models/{repo}"] = Served(json.dumps(listing).encode())


@pytest.fixture
def downloader(tmp_path: Path, hub: FileServer, cdn: FileServer) -> HubDownloader:
    """A downloader over an empty data directory; the operator has chosen this Hub, and allowed where it keeps files."""
    return HubDownloader(
        tmp_path, PullSettings(allowed_hosts=(cdn.host,)), HuggingFaceSettings(endpoint=hub.url, token=TOKEN)
    )


def ignore(_: DownloadProgress) -> None:
    pass


def files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


async def test_a_model_comes_from_the_hub(downloader: HubDownloader, hub: FileServer, cdn: FileServer, tmp_path: Path):
    """The file of the quantisation asked for, from one commit, under its digest."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS, "m-Q8_0.gguf": b"another"})
    reports: list[DownloadProgress] = []

    found = await downloader.download("hf.co/org/tiny-GGUF:q4_0", reports.append)

    assert (found.name, found.source) == ("hf.co/org/tiny-GGUF:q4_0", "hf.co/org/tiny-GGUF:q4_0")
    assert found.digest == SHA256
    assert found.file == tmp_path / "blobs" / f"sha256-{SHA256}"
    assert found.file.read_bytes() == WEIGHTS
    assert found.owned == (found.file,)
    assert reports[0] == DownloadProgress("pulling manifest")
    assert reports[-1] == DownloadProgress(f"pulling {SHA256[:12]}", f"sha256:{SHA256}", len(WEIGHTS), len(WEIGHTS))
    assert [a.path for a in hub.asked] == [
        "/api/models/org/tiny-GGUF",
        f"/org/tiny-GGUF/resolve/{COMMIT}/m-Q4_0.gguf",
    ]


async def test_the_token_stays_with_the_hub(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """Each question to the Hub carries the token; the host of the files never sees it."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})

    await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert {a.headers["Authorization"] for a in hub.asked} == {f"Bearer {TOKEN}"}
    assert [a.headers["Authorization"] for a in cdn.asked] == [None]


async def test_the_token_of_the_environment_is_used(
    tmp_path: Path, hub: FileServer, cdn: FileServer, monkeypatch: pytest.MonkeyPatch
):
    """Without one in the settings, HF_TOKEN is."""
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})
    pull = PullSettings(allowed_hosts=(cdn.host,))

    await HubDownloader(tmp_path, pull, HuggingFaceSettings(endpoint=hub.url)).download("hf.co/org/tiny-GGUF", ignore)

    assert hub.asked[0].headers["Authorization"] == "Bearer hf_environment"


async def test_a_revision_is_asked_for(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """`@rev` goes to the Hub, and the files come from the commit that it means."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})
    hub.pages["/api/models/org/tiny-GGUF/revision/v2"] = hub.pages.pop("/api/models/org/tiny-GGUF")

    found = await downloader.download("hf.co/org/tiny-GGUF@v2:Q4_0", ignore)

    assert found.digest == SHA256
    assert COMMIT in hub.asked[1].path


async def test_a_split_model_lies_together(downloader: HubDownloader, hub: FileServer, cdn: FileServer, tmp_path: Path):
    """The parts are in one folder under names that llama.cpp counts up, and pulled once."""
    parts = [WEIGHTS, b"second part", b"third part"]
    publish(hub, cdn, {f"Q8_0/m-Q8_0-{n:05}-of-00003.gguf": part for n, part in enumerate(parts, start=1)})

    found = await downloader.download("hf.co/org/tiny-GGUF:Q8_0", ignore)
    asked = len(cdn.asked)
    again = await downloader.download("hf.co/org/tiny-GGUF:Q8_0", ignore)

    links = sorted(found.file.parent.iterdir())
    assert [f.name for f in links] == [f"model-{n:05}-of-00003.gguf" for n in (1, 2, 3)]
    assert [f.read_bytes() for f in links] == parts
    assert found.file == links[0]
    assert [f.read_bytes() for f in found.owned] == parts
    assert {f.parent for f in found.owned} == {tmp_path / "blobs"}
    assert (again, len(cdn.asked)) == (found, asked)


async def test_an_interrupted_download_is_resumed(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """What is here is not sent again, though the way to the file is asked for anew."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})
    page = cdn.pages[f"/{SHA256}"] = Served(WEIGHTS, cut_after=[900_000, *[0] * transfer.MAX_FAILURES])
    with pytest.raises(DownloadFailed, match="900000 of"):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)
    page.cut_after.clear()

    found = await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert found.file.read_bytes() == WEIGHTS
    assert cdn.sent[f"/{SHA256}"] == len(WEIGHTS)


async def test_another_content_than_the_hub_says_is_deleted(
    downloader: HubDownloader, hub: FileServer, cdn: FileServer, tmp_path: Path
):
    """A file whose SHA-256 is not the Hub's never becomes a model."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})
    cdn.pages[f"/{SHA256}"] = Served(WEIGHTS[:-1] + b"!")

    with pytest.raises(DownloadFailed, match=SHA256):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert files(tmp_path) == []


async def test_a_redirect_inside_is_refused(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """The Hub, or who plays it, cannot send us to a host that nobody allowed."""
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS})
    hub.pages[f"/org/tiny-GGUF/resolve/{COMMIT}/m-Q4_0.gguf"] = Served(b"", 302, {"Location": "http://127.0.0.1:1/x"})

    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1:1 "):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)


async def test_what_lies_beside_the_model_is_taken_along(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """The files `system`, `params` and `template`, which the Hub's bridge to Ollama knows."""
    beside = {"system": "親切に".encode(), "params": b'{"stop": ["<end>"]}', "template": b"{{ .Prompt }}"}
    publish(hub, cdn, {"m-Q4_0.gguf": WEIGHTS, **beside})

    found = await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert (found.system, found.parameters, found.template) == ("親切に", {"stop": ["<end>"]}, "{{ .Prompt }}")


async def test_a_file_without_a_digest_is_refused(downloader: HubDownloader, hub: FileServer, cdn: FileServer):
    """Where the Hub says no SHA-256, nothing could be checked."""
    listing = {"sha": COMMIT, "siblings": [{"rfilename": "m-Q4_0.gguf", "size": 5}]}
    hub.pages["/api/models/org/tiny-GGUF"] = Served(json.dumps(listing).encode())

    with pytest.raises(DownloadFailed, match="no SHA-256"):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)


@pytest.mark.parametrize("sha256", ["../../../etc/passwd", "A" * 64, ""])
async def test_a_digest_that_is_none_is_refused(
    downloader: HubDownloader, hub: FileServer, tmp_path: Path, sha256: str
):
    """A path in the place of a digest writes nothing."""
    listing = {"sha": COMMIT, "siblings": [{"rfilename": "m-Q4_0.gguf", "lfs": {"sha256": sha256, "size": 5}}]}
    hub.pages["/api/models/org/tiny-GGUF"] = Served(json.dumps(listing).encode())

    with pytest.raises(DownloadFailed, match="no SHA-256"):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (Served(b"", 401, {"X-Error-Code": "RepoNotFound"}), "does not exist, or is private"),
        (Served(b"", 404), "does not exist, or is private"),
        (Served(b"", 403, {"X-Error-Code": "GatedRepo"}), "accept its terms"),
        (Served(b"", 404, {"X-Error-Code": "RevisionNotFound"}), "no revision"),
        (Served(b"", 500), "answers 500"),
        (Served(b"<html>"), "cannot be read"),
        (Served(b"[]"), "cannot be read"),
        (Served(b'{"sha": 1}'), "cannot be read"),
        (Served(b"[" * 100_000), "cannot be read"),
    ],
)
async def test_the_hubs_refusals_are_explained(downloader: HubDownloader, hub: FileServer, page: Served, words: str):
    """Each answer says what it means and what to do; the token is in none of them."""
    hub.pages["/api/models/org/tiny-GGUF"] = page

    with pytest.raises(DownloadFailed, match=words) as caught:
        await downloader.download("hf.co/org/tiny-GGUF", ignore)

    assert TOKEN not in caught.value.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (HuggingFaceSettings(endpoint="huggingface.co"), "address 'huggingface.co' is none"),
        (HuggingFaceSettings(endpoint="http://[::1"), "is none; set huggingface.endpoint"),
        (HuggingFaceSettings(token="hf_秘密"), "characters that no token has"),
        (HuggingFaceSettings(token="hf_x\r\nX-Evil: 1"), "characters that no token has"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(tmp_path: Path, settings: HuggingFaceSettings, words: str):
    """The error says which setting it is; a token stays out of it."""
    with pytest.raises(DownloadFailed, match=words) as caught:
        await HubDownloader(tmp_path, PullSettings(), settings).download("hf.co/org/tiny-GGUF", ignore)

    assert "hf_" not in caught.value.message


@pytest.mark.parametrize("size", [-1, 1 << 80])
async def test_a_size_that_is_none_is_refused(downloader: HubDownloader, hub: FileServer, size: int):
    """A negative size, or one beyond all disks, is an error of the listing."""
    listing = {"sha": COMMIT, "siblings": [{"rfilename": "m-Q4_0.gguf", "lfs": {"sha256": SHA256, "size": size}}]}
    hub.pages["/api/models/org/tiny-GGUF"] = Served(json.dumps(listing).encode())

    with pytest.raises(DownloadFailed, match="cannot be read"):
        await downloader.download("hf.co/org/tiny-GGUF", ignore)


IMPORTS = """
from hoshikage.core.threads import finish_in_thread
from hoshikage.plugins.huggingface.hub import Hub
from hoshikage.plugins.huggingface.settings import HuggingFaceSettings
"""
FIRST_URL = """
hub = await finish_in_thread(Hub.of, HuggingFaceSettings())
hub.url("org/repo", "main", "m.gguf")
"""


def test_no_module_is_loaded_on_the_loop():
    """The Hub's library, which loads its parts late, holds up nobody."""
    assert "" == loaded_on_the_loop(IMPORTS, FIRST_URL)


def test_only_the_hubs_names_are_accepted(downloader: HubDownloader):
    """All others are left to other downloaders."""
    assert downloader.accepts("hf.co/org/repo:Q4_K_M")
    assert not downloader.accepts("gemma3:270m")
