"""What a worker took in memory when its model was ready, as it goes over the wire."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """Bytes as the kernel counts them, and the buffers that llama.cpp names.

    Attributes:
        mapped_bytes: resident pages of the model's own files.
        anonymous_bytes: everything that is no file, swapped out or not.
        library_bytes: resident pages of other files: the interpreter and its libraries.
        weights_bytes: weights that were read into memory instead of mapped.
        context_bytes: KV cache and running states, in main memory.
        compute_bytes: compute buffers in main memory; few of their pages are used until a full batch comes.
        vram_bytes: every buffer on GPUs.
    """

    mapped_bytes: int = 0
    anonymous_bytes: int = 0
    library_bytes: int = 0
    weights_bytes: int = 0
    context_bytes: int = 0
    compute_bytes: int = 0
    vram_bytes: int = 0
