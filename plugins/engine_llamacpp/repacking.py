"""Which weights llama.cpp copies into another order, and how large the copies are.

Sources: `supports_op` in ggml's amx.cpp, `ggml_backend_amx_get_alloc_size` in mmq.cpp, and
`ggml_repack_get_optimal_repack_type` in repack.cpp. The first that takes a matrix has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.plugins.engine_llamacpp.layout import TYPES

if TYPE_CHECKING:
    from hoshikage.core.gguf import TensorInfo
    from hoshikage.plugins.engine_llamacpp.machine import Machine

REPACKED_ROWS: Final = 8  # only matrices with a multiple of so many rows are repacked
AMX_ROWS: Final = 32
# For AMX's tiles: a row must be a multiple of so many weights, and each block grows by so many bytes.
AMX_TYPES: Final = {
    "Q4_0": (32, 0),
    "Q4_1": (32, 0),
    "Q8_0": (32, 4),
    "Q4_K": (256, 4),
    "Q5_K": (256, 4),
    "Q6_K": (256, 0),
    "IQ4_XS": (256, 2),
    "F16": (16, 0),
}


def copy_bytes(tensor: TensorInfo, machine: Machine) -> int:
    """The size of a matrix' copy on this machine; 0 where it is multiplied with as it is."""
    if len(tensor.shape) < 2:
        return 0
    length, rows = tensor.shape[0], tensor.shape[1]
    if machine.has_amx and len(tensor.shape) == 2 and tensor.type in AMX_TYPES:
        multiple, more = AMX_TYPES[tensor.type]
        if rows % AMX_ROWS == 0 and length % multiple == 0:
            return tensor.size_bytes + rows * length // TYPES[tensor.type.lower()].block_size * more
    repacked = rows % REPACKED_ROWS == 0 and tensor.type in machine.repacked_types
    return tensor.size_bytes if repacked else 0
