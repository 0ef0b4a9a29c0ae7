"""A model's manifest: which files it consists of, read without trusting a byte of it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hoshikage.core.blobs import check_digest
from hoshikage.core.errors import DownloadFailed, InvalidRequest

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
# https://github.com/ollama/ollama/blob/main/docs/ has no list of these; they are what its registry serves.
LAYER_PREFIX: Final = "application/vnd.ollama.image."
TEXT_KINDS: Final = frozenset({"template", "prompt", "system", "params", "messages", "license"})
# A projector, the eyes of a model, is not among them: models that see images are not supported.
WEIGHTS: Final = frozenset({"model", "adapter"})
MAX_LAYERS: Final = 64
MAX_NAME: Final = 100  # of what a registry writes, in an error
# Template, prompts, license and the like together: they are kept in the registry's file.
MAX_TEXT_BYTES: Final = 1 << 20


class Layer(msgspec.Struct, frozen=True, rename="camel"):
    """One file of a model."""

    media_type: str
    digest: str
    size: Annotated[int, Meta(ge=0, le=1 << 50)]

    @property
    def kind(self) -> str:
        """What it is to Ollama, such as `model`; empty where it is nothing of hers."""
        return self.media_type.removeprefix(LAYER_PREFIX) if self.media_type.startswith(LAYER_PREFIX) else ""

    @property
    def sha256(self) -> str:
        """The digest's hex digits."""
        return check_digest(self.digest)


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a registry says of a model; titles and other annotations are not read, so they cannot become paths."""

    layers: Annotated[list[Layer], Meta(max_length=MAX_LAYERS)]
    config: Layer | None = None

    @classmethod
    def parse(cls, content: bytes, name: str) -> Manifest:
        """Read and check a manifest.

        Raises:
            DownloadFailed: it is none, or names a digest that is none.
        """
        try:
            manifest = msgspec.json.decode(content, type=cls)
            for layer in [*manifest.layers, *([manifest.config] if manifest.config else [])]:
                check_digest(layer.digest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DownloadFailed(f"the manifest of {name} cannot be read: {error}") from error
        except InvalidRequest as error:
            raise DownloadFailed(f"the manifest of {name} is refused: {error.message}") from error
        return manifest

    def weights(self, name: str) -> list[Layer]:
        """The layers with weights: the model, and after it the LoRA adapters that belong to it.

        Raises:
            DownloadFailed: there is no model or more than one, or its texts are too long.
        """
        models = [layer for layer in self.layers if layer.kind == "model"]
        if len(models) != 1:
            kinds = ", ".join(sorted({ascii(layer.media_type[:MAX_NAME]) for layer in self.layers})) or "nothing"
            raise DownloadFailed(
                f"{name} holds {len(models)} GGUF models where one is due (it has {kinds}); it cannot be used here"
            )
        size = sum(layer.size for layer in self.layers if layer.kind in TEXT_KINDS)
        if size > MAX_TEXT_BYTES:
            raise DownloadFailed(f"{name} comes with {size} bytes of texts; at most {MAX_TEXT_BYTES} are taken")
        return models + [layer for layer in self.layers if layer.kind == "adapter"]


class ModelConfig(msgspec.Struct, frozen=True):
    """What the config blob says, as far as it is needed."""

    model_format: str = ""
