"""The settings of the RAM disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from hoshikage import Unit

if TYPE_CHECKING:
    from hoshikage import Settings


@dataclass(frozen=True, slots=True)
class RamDiskSettings:
    """Where copies of models are kept in memory, how many, and how long."""

    enabled: Annotated[bool, Meta(description="Copy models to a RAM disk before they are loaded.")] = True
    path: Annotated[
        str,
        Meta(
            description="Folder on a tmpfs, or an empty folder to mount one on (root or CAP_SYS_ADMIN); "
            "empty: `/dev/shm/hoshikage-<uid>`."
        ),
    ] = ""
    size_gib: Annotated[
        float,
        Unit("GiB"),
        Meta(ge=0, le=1_048_576, description="What all copies may take; 0: half of the tmpfs or of available memory."),
    ] = 0.0
    floor_gib: Annotated[
        float,
        Unit("GiB"),
        Meta(ge=0, le=1_048_576, description="Main memory that must stay free beside the copies; cgroups count."),
    ] = 1.0
    great_timeout_min: Annotated[
        float,
        Unit("min"),
        Meta(ge=0, le=5_256_000, description="A copy is freed when it was not used for this long; 0 is never."),
    ] = 60.0
    keep_on_stop: Annotated[
        bool, Meta(description="Keep the copies when the server stops, so that the next start finds them.")
    ] = False
    wait: Annotated[
        bool,
        Meta(
            description="A load waits for the copy. Otherwise it is from disk the first time, and the copy is made "
            "meanwhile, for the next."
        ),
    ] = False
    verify: Annotated[bool, Meta(description="Read each new copy back and compare its SHA-256 with the source's.")] = (
        True
    )


def ramdisk_path(settings: Settings) -> Path | None:
    """The folder of the settings, absolute; `None` is the usual one.

    A link stays one: `Project.resolve` would follow it, and a link as the last component is refused.
    """
    path = settings.section(RamDiskSettings).path
    if not path:
        return None
    given = settings.project.root / Path(path).expanduser()
    return given.parent.resolve() / given.name
