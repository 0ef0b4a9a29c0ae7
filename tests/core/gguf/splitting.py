"""Splits whole GGUF files with the reference library, under the names that llama.cpp gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf

from benchmarks.gguf_reader import Reader

if TYPE_CHECKING:
    from pathlib import Path


def split(file: Path, folder: Path, *, prefix: str, max_tensors: int) -> tuple[Path, ...]:
    """Write the model of a file again, in parts of so many tensors each."""
    reader = Reader(file)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(folder / f"{prefix}.gguf", architecture, split_max_tensors=max_tensors)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            sub_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tuple(sorted(folder.glob(f"{prefix}-*-of-*.gguf")))
