"""Real models with their weights as 16-bit floating-point numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_FILE = ("general.architecture", "general.file_type")


def write_f16(source: Path, file: Path) -> Path:
    """Write a quantised model anew, with every matrix in 16 bits; that takes a few seconds."""
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture")
    assert architecture is not None
    writer = gguf.GGUFWriter(file, architecture.contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in OF_THE_FILE:
            continue
        kind = field.types[0]
        item = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=item)
    for tensor in reader.tensors:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, numbers.astype(np.float16) if numbers.ndim > 1 else numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
