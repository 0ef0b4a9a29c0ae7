"""Make editable installs see one package: `.hatch/dev/hoshikage` with links to the four folders.

hatchling refuses to combine its `sources` map with an editable install. So for that case, and only for that
case, this hook lays out the package by relative symlinks. The folder's name matters: hatchling never packs
`.hatch`, while any other dotted name would end up in the wheel.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("core", "plugins", "config")


class EditableLayout(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        if version != "editable":
            return
        root = Path(self.root)
        package = root / ".hatch" / "dev" / "hoshikage"
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir(parents=True)
        up = Path("..") / ".." / ".."
        for file in sorted((root / "src" / "hoshikage").iterdir()):
            if file.is_file():
                (package / file.name).symlink_to(up / "src" / "hoshikage" / file.name)
        for folder in FOLDERS:
            (package / folder).symlink_to(up / folder)
