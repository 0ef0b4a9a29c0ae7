"""A stand-in for the RAM disk, for kernels and servers whose tests are about staging but not about copying."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLUGIN = """
from hoshikage import hookimpl
from tests.fakes import FakeStager

@hookimpl
def hoshikage_provide_stagers(settings):
    return [FakeStager(settings.data_dir / "ram", available=(settings.data_dir / "ram").is_dir())]
"""


def put_stager(data_dir: Path, *, available: bool = True) -> dict[str, str]:
    """Put a plug-in with a `FakeStager` there. Returns the variables that make it the only one."""
    (data_dir / "plugins").mkdir(parents=True)
    (data_dir / "plugins" / "fake_ram.py").write_text(PLUGIN)
    if available:
        (data_dir / "ram").mkdir()
    paths = [path for path in (os.environ.get("PYTHONPATH"), str(ROOT)) if path]
    return {"HOSHIKAGE_PLUGINS__DISABLED": '["ramdisk"]', "PYTHONPATH": os.pathsep.join(paths)}


def put_models(data_dir: Path, **options: dict[str, Any]) -> None:
    """Register echo models with a small file each, and the given options."""
    (data_dir / "files").mkdir(parents=True)
    entries = {}
    for name, chosen in options.items():
        (data_dir / "files" / f"{name}.gguf").write_bytes(b"x" * 100)
        entry = {"path": str(data_dir / "files"), "model": f"{name}.gguf", "engine": "echo", "options": chosen}
        entries[name] = {**entry, "stop": []}
    (data_dir / "model_map.json").write_text(json.dumps(entries))
