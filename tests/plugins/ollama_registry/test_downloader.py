from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from hoshikage import DownloadProgress, Message
from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.core.http import transfer
from hoshikage.plugins.ollama_registry.manifest import LAYER_PREFIX
from tests.file_server import Served

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage.core.blobs import BlobStore
    from hoshikage.plugins.ollama_registry.downloader import RegistryDownloader
    from tests.file_server import FileServer
    from tests.oci_registry import OciRegistry

    Build = Callable[..., RegistryDownloader]

WEIGHTS = b"GGUF" + bytes(range(256)) * 8000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
TEMPLATE = "{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}"


def ignore(_: DownloadProgress) -> None:
    pass


def files(blobs: BlobStore) -> list[str]:
    return sorted(f.name for f in blobs.folder.iterdir()) if blobs.folder.is_dir() else []


def play(server: FileServer, weights: Served | None = None, **manifest: object) -> None:
    """Let the server be a registry with the model `team/tiny`."""
    layer = {"mediaType": f"{LAYER_PREFIX}model", "digest": f"sha256:{SHA256}", "size": len(WEIGHTS)}
    content = json.dumps({"schemaVersion": 2, "layers": [layer], **manifest}).encode()
    server.pages["/v2/team/tiny/manifests/latest"] = Served(content)
    server.pages[f"/v2/team/tiny/blobs/sha256:{SHA256}"] = weights or Served(WEIGHTS)


async def test_a_model_comes_with_all_its_parts(registry: OciRegistry, downloader_for: Build, blobs: BlobStore):
    """From a real registry: the weights as a blob, the rest as what it means."""
    registry.push(
        "team/full",
        [
            ("model", WEIGHTS),
            ("template", TEMPLATE.encode()),
            ("system", "親切に".encode()),
            ("params", b'{"temperature": 0.5, "stop": ["<end>"], "num_ctx": 4096}'),
            ("messages", b'[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]'),
            ("license", b"MIT"),
            ("license", b"Apache-2.0"),
        ],
        tag="v1",
    )
    reports: list[DownloadProgress] = []

    reference = f"{registry.host}/team/full:v1"
    found = await downloader_for(registry.host).download(reference, reports.append, insecure=True)

    assert (found.name, found.digest, found.source) == (reference, SHA256, reference)
    assert found.file.read_bytes() == WEIGHTS
    assert found.owned == (found.file,)
    assert (found.template, found.system, found.license) == (TEMPLATE, "親切に", "MIT\n\nApache-2.0")
    assert found.parameters == {"temperature": 0.5, "stop": ["<end>"], "num_ctx": 4096}
    assert found.messages == (Message("user", "hi"), Message("assistant", "hello"))
    assert files(blobs) == [f"sha256-{SHA256}"]
    assert reports[0] == DownloadProgress("pulling manifest")
    assert reports[-1] == DownloadProgress(f"pulling {SHA256[:12]}", f"sha256:{SHA256}", len(WEIGHTS), len(WEIGHTS))


async def test_an_adapter_comes_along(registry: OciRegistry, downloader_for: Build, blobs: BlobStore):
    """It is a file of the model as the weights are; a projector, which nothing here could use, is left out."""
    registry.push("team/lora", [("adapter", b"GGUF adapter"), ("model", WEIGHTS), ("projector", b"GGUF eyes")])

    found = await downloader_for(registry.host).download("team/lora", ignore, insecure=True)

    assert [f.read_bytes() for f in found.owned] == [WEIGHTS, b"GGUF adapter"]
    assert len(files(blobs)) == 2


async def test_a_second_pull_brings_no_weights(registry: OciRegistry, downloader_for: Build, blobs: BlobStore):
    """What is here is not sent again, also under another name."""
    for name in ("team/one", "team/two"):
        registry.push(name, [("model", WEIGHTS)])
    first = await downloader_for(registry.host).download("team/one", ignore, insecure=True)
    written = first.file.stat().st_mtime_ns

    second = await downloader_for(registry.host).download("team/two", ignore, insecure=True)

    assert second.file == first.file
    assert second.file.stat().st_mtime_ns == written


async def test_a_real_registry_sends_only_the_rest(registry: OciRegistry, downloader_for: Build, blobs: BlobStore):
    """A half file of an earlier try is gone on from, with a range that the registry honours."""
    registry.push("team/half", [("model", WEIGHTS)])
    blobs.folder.mkdir(parents=True)
    blobs.partial(f"sha256:{SHA256}").write_bytes(WEIGHTS[:1_000_000])

    found = await downloader_for(registry.host).download("team/half", ignore, insecure=True)

    assert found.file.read_bytes() == WEIGHTS
    log = (registry.folder / "registry.log").read_text()
    rest = len(WEIGHTS) - 1_000_000
    assert f"http.response.written={rest}" in log or f'"http.response.written":{rest}' in log


async def test_a_damaged_blob_is_not_kept(registry: OciRegistry, downloader_for: Build, blobs: BlobStore):
    """A registry whose disk has lost a bit is found out; nothing of it stays."""
    damaged = b"GGUF of another kind" * 1000
    manifest = registry.push("team/damaged", [("model", damaged)])
    registry.blob_file(manifest["layers"][0]["digest"]).write_bytes(damaged[:-1] + b"?")

    with pytest.raises(DownloadFailed, match="digest"):
        await downloader_for(registry.host).download("team/damaged", ignore, insecure=True)

    assert files(blobs) == []


async def test_a_damaged_text_is_found_out(registry: OciRegistry, downloader_for: Build):
    """The small layers are checked as the large ones are."""
    manifest = registry.push("team/texts", [("model", WEIGHTS), ("system", b"be kind, little one")])
    registry.blob_file(manifest["layers"][1]["digest"]).write_bytes(b"be evil, little one")

    with pytest.raises(DownloadFailed, match="system with the digest"):
        await downloader_for(registry.host).download("team/texts", ignore, insecure=True)


async def test_an_unknown_model_is_said_in_the_words_that_clients_know(registry: OciRegistry, downloader_for: Build):
    """A model or tag that is not there: `pull model manifest: file does not exist`, and which one."""
    with pytest.raises(DownloadFailed, match=r"pull model manifest: file does not exist.*team/nobody:latest"):
        await downloader_for(registry.host).download("team/nobody", ignore, insecure=True)


async def test_plain_http_needs_the_permission(registry: OciRegistry, downloader_for: Build):
    """Without `insecure`, a registry named with http: is not called."""
    with pytest.raises(AddressRefused, match="--insecure"):
        await downloader_for(registry.host).download(f"http://{registry.host}/team/tiny", ignore)


async def test_a_private_registry_needs_the_permission(registry: OciRegistry, downloader_for: Build):
    """With `insecure` alone a registry on a private address is refused."""
    with pytest.raises(AddressRefused, match=r"pull\.allowed_hosts"):
        await downloader_for("registry.ollama.ai").download(f"{registry.host}/team/tiny", ignore, insecure=True)


async def test_a_redirect_to_a_private_address_is_refused(
    server: FileServer, registry: OciRegistry, downloader_for: Build, blobs: BlobStore
):
    """A registry cannot send us to a host inside that was not named."""
    play(server, Served(b"", 307, {"Location": f"{registry.url}/v2/"}))

    with pytest.raises(AddressRefused, match=str(registry.port)):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert [name for name in files(blobs) if not name.endswith("-partial")] == []


async def test_an_interrupted_download_is_resumed_without_a_byte_twice(
    server: FileServer, downloader_for: Build, blobs: BlobStore
):
    """The connection breaks in the middle, every try ends; the next pull asks for the rest only."""
    path = f"/v2/team/tiny/blobs/sha256:{SHA256}"
    play(server, Served(WEIGHTS, cut_after=[900_000, *[0] * transfer.MAX_FAILURES]))
    downloader = downloader_for(server.host)
    with pytest.raises(DownloadFailed, match="900000 of"):
        await downloader.download("team/tiny", ignore, insecure=True)
    play(server)

    found = await downloader.download("team/tiny", ignore, insecure=True)

    assert found.file.read_bytes() == WEIGHTS
    assert server.sent[path] == len(WEIGHTS)


@pytest.mark.parametrize("digest", ["sha256:../../../../evil", "../../evil"])
async def test_a_manifest_with_a_path_in_it_is_refused(
    server: FileServer, downloader_for: Build, blobs: BlobStore, digest: str
):
    """Nothing is asked for or written after a digest that leads elsewhere."""
    play(server, layers=[{"mediaType": f"{LAYER_PREFIX}model", "digest": digest, "size": 1}])

    with pytest.raises(DownloadFailed, match="refused"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert len(server.asked) == 1
    assert files(blobs) == []


async def test_a_text_longer_than_announced_is_refused(server: FileServer, downloader_for: Build):
    """Texts whose sizes are understated do not get past the bound on all of them together."""
    text = b"x" * 100_000
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    weights = {"mediaType": f"{LAYER_PREFIX}model", "digest": f"sha256:{SHA256}", "size": len(WEIGHTS)}
    licence = {"mediaType": f"{LAYER_PREFIX}license", "digest": digest, "size": 1}
    play(server, layers=[weights, licence])
    server.pages[f"/v2/team/tiny/blobs/{digest}"] = Served(text)

    with pytest.raises(DownloadFailed, match="a license of 100000 bytes, not the 1"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert SHA256 not in " ".join(server.sent)


async def test_a_config_without_end_is_not_asked_for(server: FileServer, downloader_for: Build):
    """Its size is known beforehand."""
    play(server, config={"mediaType": "x", "digest": f"sha256:{SHA256}", "size": 1 << 40})

    with pytest.raises(DownloadFailed, match="config has 1099511627776 bytes"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [-1, 1 << 80, 1.5, "5"])
async def test_a_size_that_is_none_is_refused(server: FileServer, downloader_for: Build, size: object):
    """A manifest with a negative, absurd or mistyped size cannot be read."""
    play(server, layers=[{"mediaType": f"{LAYER_PREFIX}model", "digest": f"sha256:{SHA256}", "size": size}])

    with pytest.raises(DownloadFailed, match="cannot be read"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


async def test_a_registrys_words_are_bounded_in_an_error(server: FileServer, downloader_for: Build):
    """A media type of megabytes, or with control characters for the terminal, reaches nobody as it is."""
    play(server, layers=[{"mediaType": "\x1b[2J" + "x" * 1_000_000, "digest": f"sha256:{SHA256}", "size": 1}])

    with pytest.raises(DownloadFailed, match="0 GGUF models") as caught:
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert len(caught.value.message) < 1000
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"layers": [{"mediaType": "\xff"}]}', b"[" * 1_000_000, b""])
async def test_a_manifest_that_is_no_json_is_refused(server: FileServer, downloader_for: Build, content: bytes):
    """Bad UTF-8, endless nesting and nothing at all are one error."""
    server.pages["/v2/team/tiny/manifests/latest"] = Served(content)

    with pytest.raises(DownloadFailed, match="manifest of team/tiny cannot be read"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


async def test_a_compressed_answer_is_not_unpacked(server: FileServer, downloader_for: Build):
    """What a server compresses though nobody asked for it fills no memory: it is an error."""
    bomb = gzip.compress(bytes(64 << 20))
    server.pages["/v2/team/tiny/manifests/latest"] = Served(bomb, headers={"Content-Encoding": "gzip"})

    with pytest.raises(DownloadFailed, match="cannot be read"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


async def test_a_huge_manifest_is_cut_off(server: FileServer, downloader_for: Build):
    """A manifest over 4 MiB is refused before it fills the memory."""
    server.pages["/v2/team/tiny/manifests/latest"] = Served(b" " * (5 << 20))

    with pytest.raises(DownloadFailed, match="4194304 bytes"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


@pytest.mark.parametrize(
    ("status", "words"), [(500, "answers 500"), (403, "does not let everybody"), (302, "answers 302")]
)
async def test_other_answers_are_named(server: FileServer, downloader_for: Build, status: int, words: str):
    """Whatever the registry says instead of a manifest ends in one clear error."""
    server.pages["/v2/team/tiny/manifests/latest"] = Served(b"", status)

    with pytest.raises(DownloadFailed, match=words):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


async def test_other_formats_are_refused_before_they_come(server: FileServer, downloader_for: Build):
    """A model that is no GGUF costs no download of its weights."""
    config = b'{"model_format": "safetensors"}'
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    play(server, config={"mediaType": "x", "digest": digest, "size": len(config)})
    server.pages[f"/v2/team/tiny/blobs/{digest}"] = Served(config)

    with pytest.raises(DownloadFailed, match="safetensors"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert SHA256 not in " ".join(server.sent)


@pytest.mark.parametrize("reference", ["gemma3:270m", "hf.co/a/b", "http://host.lan:5000/x"])
def test_names_are_accepted(downloader_for: Build, reference: str):
    """Whatever has the form of a name."""
    assert downloader_for("registry.ollama.ai").accepts(reference)


@pytest.mark.parametrize("reference", ["", "../x", "s3://bucket/x", "a b"])
def test_other_texts_are_not(downloader_for: Build, reference: str):
    """What is no name is left to others."""
    assert not downloader_for("registry.ollama.ai").accepts(reference)
