"""What every command begins with: logging, and the assembly of plug-ins, settings and registry."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from hoshikage.config.layers import profile_of
from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.log import set_up_logging
from hoshikage.core.settings import KERNEL_SECTIONS, LogSettings, ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.config.settings import Settings
    from hoshikage.core.kernel import Assembly

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Port = Annotated[int | None, typer.Option("--port", "-p", help="The server's port; default: server.port.")]


def assembly(*, safe_mode: bool = False, for_server: bool = False) -> Assembly:
    """Read the settings and load the plug-ins; a command that is no server logs warnings only."""
    settings = load_settings(Project.find(os.environ), os.environ, KERNEL_SECTIONS)
    log = settings.section(LogSettings)
    if for_server:
        file = settings.project.resolve(log.file) if log.file else None
        set_up_logging(log, profile=profile_of(settings.project, os.environ), file=file)
    else:
        set_up_logging(replace(log, level="warning", format="console"), profile="development")
    from hoshikage.core.kernel import assemble

    return assemble(os.environ, safe_mode=safe_mode)


def at_home(path: Path) -> Path:
    """A path with its `~` resolved; one of a user who is not known here stays as it is, and is not found later."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def server_url(settings: Settings, port: int | None) -> str:
    """Where the server of these settings is to be reached from this machine."""
    server = settings.section(ServerSettings)
    host = "127.0.0.1" if server.host in {"0.0.0.0", "::"} else server.host  # noqa: S104  only compared
    return f"http://{f'[{host}]' if ':' in host else host}:{port or server.port}"
