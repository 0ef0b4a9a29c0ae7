"""Bringing a model from the Hub: its file or files, checked against the Hub's SHA-256."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from hoshikage import Downloaded, DownloadProgress
from hoshikage.core.blobs import BlobStore, check_digest
from hoshikage.core.creation import Blob
from hoshikage.core.errors import DownloadFailed, InvalidRequest, StorageRefused
from hoshikage.core.http.fetch import Fetcher
from hoshikage.core.http.transfer import RemoteFile, bring_all
from hoshikage.core.model_parts import read_parameters, read_text
from hoshikage.core.settings import PullSettings
from hoshikage.core.split_links import SplitLinks
from hoshikage.core.threads import finish_in_thread
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
        self._links = SplitLinks(data_dir / "split")
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
        hub = await finish_in_thread(Hub.of, self._hub)  # importing its library takes half a second
        progress(DownloadProgress("pulling manifest"))
        async with Fetcher.of(self._pull, insecure=insecure or hub.is_plain, trusted=hub.own_host) as fetcher:
            commit, files = await hub.files(fetcher, wanted)
            variant = await finish_in_thread(_choose, files, wanted)  # a repository may list a hundred thousand files
            parts = await _read_parts(hub, fetcher, wanted.repo, commit, files)
            placed = [self._placed(file, hub, wanted.repo, commit) for file in variant.files]
            await bring_all(placed, fetcher, progress)
        return Downloaded(
            wanted.name,
            await finish_in_thread(self._first, placed),
            placed[0].sha256,
            source=wanted.source,
            owned=tuple(file.target for file in placed),
            **parts,
        )

    def _placed(self, file: HubFile, hub: Hub, repo: str, commit: str) -> RemoteFile:
        """Where a file shall be; no name that the Hub gives becomes a path here."""
        digest = _digest_of(file, repo)
        return RemoteFile(
            url=hub.url(repo, commit, file.path),
            headers=hub.headers,
            sha256=check_digest(digest),
            size_bytes=file.size_bytes,
            target=self._blobs.path(digest),
            partial=self._blobs.partial(digest),
        )

    def _first(self, placed: Sequence[RemoteFile]) -> Path:
        """The file to load: the blob, or of a split model the link beside which those to the other parts lie."""
        if len(placed) == 1:
            return placed[0].target
        parts = [Blob(f.target.name, f.sha256, f.target, part=n, parts=len(placed)) for n, f in enumerate(placed)]
        try:
            self._links.make(parts)
        except OSError as error:
            raise StorageRefused(f"the links to the model's parts cannot be made: {error}") from error
        return self._links.first(parts)


def _choose(files: Sequence[HubFile], wanted: HubReference) -> Variant:
    return choose(variants_of(files), wanted.quantization, wanted.repo)


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
        parts["template"] = read_text(await hub.small_file(fetcher, repo, commit, "template"), "template")
    return parts
