"""What `doctor` looks at in the kernel's own field."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from hoshikage.core.contracts import Check, CheckResult
from hoshikage.core.errors import RegistryError
from hoshikage.core.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.kernel import Assembly

GIB = 1024**3
LOW_DISK_BYTES = 5 * GIB
PROBE_LIMIT_S = 3.0


def kernel_checks(assembly: Assembly, url: str) -> list[Check]:
    """The checks, bound to this installation."""
    data_dir = assembly.settings.data_dir
    return [
        Check("python", check_python),
        Check("settings", lambda: check_settings(assembly.settings.warnings)),
        Check("data directory", lambda: check_data_dir(data_dir)),
        Check("disk space", lambda: check_disk(data_dir)),
        Check("models", lambda: check_models(assembly)),
        Check("port", lambda: check_port(assembly.settings.section(ServerSettings), url)),
    ]


def run_checks(checks: Sequence[Check]) -> list[CheckResult]:
    """Run every check; one that raises is a failed one."""
    results: list[CheckResult] = []
    for check in checks:
        try:
            results.extend(check.run())
        except Exception as error:
            advice = "this check itself failed; the other lines still hold"
            results.append(CheckResult(check.name, "error", f"{type(error).__name__}: {error}", advice))
    return results


def check_python() -> list[CheckResult]:
    """Python's version and the machine."""
    return [CheckResult("python", "ok", f"{platform.python_version()} on {platform.platform()}")]


def check_settings(warnings: Sequence[str]) -> list[CheckResult]:
    """Settings that nobody reads, and old paths outside the data directory."""
    if not warnings:
        return [CheckResult("settings", "ok", "every setting is known")]
    return [CheckResult("settings", "warning", warning, "see `hoshikage config`") for warning in warnings]


def check_data_dir(folder: Path) -> list[CheckResult]:
    """Whether the data directory can be written, or made."""
    existing = nearest_existing(folder)
    if os.access(existing, os.W_OK):
        return [CheckResult("data directory", "ok", str(folder))]
    advice = f"run `sudo chown -R {os.getuid()} {existing}`, or set HOSHIKAGE_DATA_DIR to a folder of yours"
    owner = existing.stat().st_uid
    return [CheckResult("data directory", "error", f"{existing} belongs to user {owner} and is not writable", advice)]


def check_disk(folder: Path) -> list[CheckResult]:
    """Free space where the data is."""
    free = shutil.disk_usage(nearest_existing(folder)).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if free < LOW_DISK_BYTES:
        return [CheckResult("disk space", "warning", found, "models take gigabytes: free some space")]
    return [CheckResult("disk space", "ok", found)]


def check_models(assembly: Assembly) -> list[CheckResult]:
    """Whether the model map can be read and its files are there."""
    try:
        records = assembly.catalog.registered()
    except RegistryError as error:
        return [CheckResult("models", "error", error.message, "restore it from a backup, or repair it by hand")]
    missing = [r for r in records if r.file is not None and not r.file.is_file()]
    results = [
        CheckResult("models", "warning", f"{r.name}: {r.file} is missing", f"bring it back or `hoshikage rm {r.name}`")
        for r in missing
    ]
    if not records:
        return [CheckResult("models", "warning", "no model is registered", "`hoshikage add FILE.gguf NAME`")]
    return results or [CheckResult("models", "ok", f"{len(records)} registered, all files are there")]


def check_port(server: ServerSettings, url: str) -> list[CheckResult]:
    """Whether the port is free, ours, or somebody else's."""
    host, port = server.host, int(url.rpartition(":")[2])
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return [_who_listens(url)]
    return [CheckResult("port", "ok", f"{host}:{port} is free")]


def _who_listens(url: str) -> CheckResult:
    try:
        versions = httpx.get(f"{url}/v1/status", timeout=PROBE_LIMIT_S, trust_env=False).json()["versions"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        advice = "stop the other program, or choose another port (HOSHIKAGE_SERVER__PORT)"
        return CheckResult("port", "error", f"another program listens at {url}", advice)
    return CheckResult("port", "ok", f"a Hoshikage {versions['hoshikage']} serves at {url}")


def nearest_existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(p for p in (folder, *folder.parents) if p.exists())
