"""Where the project stands: the folder whose `settings.toml` and `.env` are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Project:
    """The project folder, against which relative paths in settings resolve."""

    root: Path

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Project:
        """Take `HOSHIKAGE_PROJECT_DIR`, or else the current folder."""
        return cls(Path(environ.get("HOSHIKAGE_PROJECT_DIR") or Path.cwd()).expanduser().resolve())

    @property
    def settings_file(self) -> Path:
        """The file with the profiles; it need not exist."""
        return self.root / "settings.toml"

    def env_files(self, environ: Mapping[str, str]) -> list[Path]:
        """The `.env` files that exist, the weakest first.

        The order is the predecessor's: the user's own, the project's, then the one that
        `HOSHIKAGE_CONFIG_PATH` names.
        """
        files = [Path("~/.config/hoshikage/.env").expanduser(), self.root / ".env"]
        if named := environ.get("HOSHIKAGE_CONFIG_PATH"):
            files.append(Path(named).expanduser())
        return [file for file in files if file.is_file()]

    def default_data_dir(self) -> Path:
        """`data` in a project folder; without a `settings.toml`, the user's data folder."""
        if self.settings_file.is_file():
            return self.root / "data"
        return Path(platformdirs.user_data_dir("hoshikage"))

    def resolve(self, path: str) -> Path:
        """Make a path from a setting absolute: `~` expanded, relative ones against the project."""
        return (self.root / Path(path).expanduser()).resolve()
