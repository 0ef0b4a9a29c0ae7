"""Bringing a model from the Hub: its file or files, checked against the Hub's SHA-256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

from hoshikage import Downloaded, DownloadProgress
from hoshikage.core.blobs import BlobStore, check_digest
from hoshikage.core.errors import DownloadFailed, InvalidRequest
from hoshikage.core.http.fetch import Fetcher
from hoshikage.core.http.transfer import RemoteFile, bring
from hoshikage.core.model_parts import read_parameters, read_template, read_text
from hoshikage.core.settings import PullSettings
from hoshikage.plugins.huggingface.choice import choose, variants_of
from hoshikage.plugins.huggingface.hub import Hub
from hoshikage.plugins.huggingface.reference import HubReference
from hoshikage.plugins.huggingface.settings import HuggingFaceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hoshikage import Settings
    from hoshikage.plugins.huggingface.choice import HubFile, Variant


class HubDownloader:
    """Takes `hf.co/org/repo[@revision][:quantisation]`."""

    name = "huggingface"

    def __init__(self, data_dir: Path, pull: PullSettings, hub: HuggingFaceSettings) -> None:
        self._blobs = BlobStore(data_dir / "blobs")
        self._split_models = data_dir / "split_models"
        self._pull = pull
        self._hub = hub

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(settings.data_dir, settings.section(PullSettings), settings.section(HuggingFaceSettings))

    def accepts(self, reference: str) -> bool:
        """Whether it is a model on the Hub."""
        try:
            HubReference.parse(reference)
        except InvalidRequest:
            return False
        return True

    async def download(
        self, reference: str, progress: Callable[[DownloadProgress], None], *, insecure: bool = False
    ) -> Downloaded:
        """See `Downloader.download`."""
        wanted = HubReference.parse(reference)
        hub = Hub.of(self._hub)
        progress(DownloadProgress("pulling manifest"))
        async with Fetcher.of(self._pull, insecure=insecure or hub.is_plain, trusted=hub.own_host) as fetcher:
            commit, files = await hub.files(fetcher, wanted)
            variant = choose(variants_of(files), wanted.quantization, wanted.repo)
            parts = await _read_parts(hub, fetcher, wanted.repo, commit, files)
            placed = self._placed(variant, hub, wanted.repo, commit)
            for file in placed:
                await bring(file, fetcher, progress)
        return Downloaded(
            wanted.name,
            placed[0].target,
            placed[0].sha256,
            source=wanted.source,
            owned=tuple(file.target for file in placed),
            **parts,
        )

    def _placed(self, variant: Variant, hub: Hub, repo: str, commit: str) -> list[RemoteFile]:
        """Where each part shall be; no name that the Hub gives becomes a path here.

        The parts of a split model lie together under names that llama.cpp counts up, in a folder named after what
        they hold; a single file is a blob as any.
        """
        digests = [_digest_of(file, repo) for file in variant.files]
        count = len(digests)
        key = hashlib.sha256("".join(digests).encode()).hexdigest()
        targets = [self._split_models / key / f"model-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
        if count == 1:
            targets = [self._blobs.path(digests[0])]
        return [
            RemoteFile(
                url=hub.url(repo, commit, file.path),
                headers=hub.headers,
                sha256=check_digest(digest),
                size_bytes=file.size_bytes,
                target=target,
                partial=self._blobs.partial(digest),
            )
            for file, digest, target in zip(variant.files, digests, targets, strict=True)
        ]


def _digest_of(file: HubFile, repo: str) -> str:
    """What the Hub says that a file must be.

    Raises:
        DownloadFailed: it says nothing, or no digest.
    """
    digest = f"sha256:{file.sha256}"
    try:
        check_digest(digest)
    except InvalidRequest as error:
        raise DownloadFailed(
            f"the Hub gives no SHA-256 for {repo}/{file.path[:100]}, so what comes could not be checked; download it "
            "yourself, then `hoshikage add` it"
        ) from error
    return digest


async def _read_parts(hub: Hub, fetcher: Fetcher, repo: str, commit: str, files: Sequence[HubFile]) -> dict[str, Any]:
    """What some repositories hold beside the model, for Ollama: a system prompt, parameters, a template."""
    there = {file.path for file in files}
    parts: dict[str, Any] = {}
    if "system" in there:
        parts["system"] = read_text(await hub.small_file(fetcher, repo, commit, "system"), "system prompt")
    if "params" in there:
        parts["parameters"] = read_parameters(await hub.small_file(fetcher, repo, commit, "params"))
    if "template" in there:
        parts["template"] = read_template(await hub.small_file(fetcher, repo, commit, "template"))
    return parts
