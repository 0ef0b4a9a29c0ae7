"""A section of settings that has one setting of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from hoshikage import Secret, SettingsSection, Unit
from hoshikage.config.settings import load_settings

if TYPE_CHECKING:
    from hoshikage import Settings
    from hoshikage.config.project import Project


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """A clock."""

    zone: Annotated[str, Meta(description="Whose time to tell.")] = "Asia/Tokyo"
    nickname: Annotated[str | None, Meta(description="What it is called.")] = None
    hours: Annotated[int, Unit("h"), Meta(ge=1, le=24, description="Hours on the dial.")] = 12
    speed: Annotated[float, Meta(gt=0, description="How fast it goes.")] = 1.0
    offset: Annotated[int | None, Unit("s"), Meta(description="Runs ahead by this.")] = None
    loud: Annotated[bool, Meta(description="Whether it strikes.")] = False
    bells: Annotated[tuple[str, ...], Meta(description="What it strikes.")] = ("ding",)
    dial: Annotated[Literal["plain", "roman"], Meta(description="Its face.")] = "plain"
    key: Annotated[str, Secret(), Meta(description="Winds it up.")] = ""
    pin: Annotated[int, Secret(), Meta(description="Opens it.")] = 0


CLOCK = SettingsSection("clock", ClockSettings)


def clock_of(settings: Settings) -> ClockSettings:
    """The checked clock settings."""
    return settings.section(ClockSettings)


def load(project: Project, **environ: str) -> Settings:
    """The settings of a project with nothing but a clock, in an environment of these variables alone."""
    return load_settings(project, environ, [CLOCK])
