"""Bringing a model from a registry: its weights as a blob, and what else it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec
import structlog

from hoshikage import Downloaded, DownloadProgress
from hoshikage.core.blobs import BlobStore
from hoshikage.core.errors import DownloadFailed, InvalidRequest
from hoshikage.core.http.fetch import Fetcher
from hoshikage.core.http.transfer import RemoteFile, bring_all
from hoshikage.core.model_parts import read_messages, read_parameters, read_text
from hoshikage.core.settings import PullSettings
from hoshikage.plugins.ollama_registry.client import RegistryClient
from hoshikage.plugins.ollama_registry.manifest import MAX_NAME, TEXT_KINDS, WEIGHTS, ModelConfig
from hoshikage.plugins.ollama_registry.reference import OLLAMA_HOST, Reference
from hoshikage.plugins.ollama_registry.settings import OllamaRegistrySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage import Settings
    from hoshikage.plugins.ollama_registry.manifest import Layer, Manifest

log = structlog.get_logger(__name__)


class RegistryDownloader:
    """Takes every reference that has the form of a name; so it must be asked last."""

    name = "ollama_registry"

    def __init__(self, blobs: BlobStore, pull: PullSettings, *, host: str) -> None:
        self._blobs = blobs
        self._pull = pull
        self._host = host

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        host = settings.section(OllamaRegistrySettings).host
        return cls(BlobStore(settings.data_dir / "blobs"), settings.section(PullSettings), host=host)

    def accepts(self, reference: str) -> bool:
        """Whether it has the form of a name."""
        try:
            Reference.parse(reference, default_host=self._host)
        except InvalidRequest:
            return False
        return True

    async def download(
        self, reference: str, progress: Callable[[DownloadProgress], None], *, insecure: bool = False
    ) -> Downloaded:
        """See `Downloader.download`."""
        where = Reference.parse(reference, default_host=self._host, insecure=insecure)
        progress(DownloadProgress("pulling manifest"))
        trusted = () if self._host == OLLAMA_HOST else (self._host,)
        async with Fetcher.of(self._pull, insecure=insecure, trusted=trusted) as fetcher:
            client = RegistryClient(where, fetcher)
            manifest = await client.manifest()
            layers = manifest.weights(where.name)
            await _check_format(client, manifest, where.name)
            parts = await _read_parts(client, manifest, progress)
            files = [self._placed(layer, where, client) for layer in layers]
            await bring_all(files, fetcher, progress)
        return Downloaded(
            where.name,
            files[0].target,
            files[0].sha256,
            source=f"{where.host}/{where.repository}:{where.tag}",
            owned=tuple(file.target for file in files),
            **_mapped(parts),
        )

    def _placed(self, layer: Layer, where: Reference, client: RegistryClient) -> RemoteFile:
        return RemoteFile(
            url=where.url("blobs", layer.digest),
            headers=client.headers,
            sha256=layer.sha256,
            size_bytes=layer.size,
            target=self._blobs.path(layer.digest),
            partial=self._blobs.partial(layer.digest),
            renew=client.renew,
        )


async def _check_format(client: RegistryClient, manifest: Manifest, name: str) -> None:
    """Refuse what no engine here could read, before gigabytes of it come."""
    if manifest.config is None or manifest.config.size == 0:
        return
    try:
        config = msgspec.json.decode(await client.small_blob(manifest.config), type=ModelConfig)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DownloadFailed(f"the config of {name} cannot be read: {error}") from error
    if config.model_format not in {"", "gguf"}:
        found = ascii(config.model_format[:MAX_NAME])
        raise DownloadFailed(f"{name} is in the format {found}; only GGUF can be used here")


async def _read_parts(
    client: RegistryClient, manifest: Manifest, progress: Callable[[DownloadProgress], None]
) -> dict[str, list[bytes]]:
    """The layers that are texts, by what they are."""
    parts: dict[str, list[bytes]] = {}
    for layer in manifest.layers:
        if layer.kind in TEXT_KINDS:
            content = await client.small_blob(layer)
            parts.setdefault(layer.kind, []).append(content)
            progress(_whole(layer))
        elif layer.kind not in WEIGHTS:
            log.info("layer_left_out", media_type=layer.media_type[:100], digest=layer.digest)
    return parts


def _whole(layer: Layer) -> DownloadProgress:
    return DownloadProgress(f"pulling {layer.sha256[:12]}", layer.digest, layer.size, layer.size)


def _mapped(parts: dict[str, list[bytes]]) -> dict[str, Any]:
    """The texts as `Downloaded` has them; of those that there should be one of, the last counts, as in Ollama."""
    templates = parts.get("template") or parts.get("prompt") or [b""]
    return {
        "template": read_text(templates[-1], "template"),
        "system": read_text(parts.get("system", [b""])[-1], "system prompt"),
        "parameters": read_parameters(parts["params"][-1]) if "params" in parts else {},
        "messages": read_messages(parts["messages"][-1]) if "messages" in parts else (),
        "license": "\n\n".join(read_text(text, "license") for text in parts.get("license", [])),
    }
