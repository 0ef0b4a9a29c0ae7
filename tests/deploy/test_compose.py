"""docker-compose.yml: what it publishes, what it may write, and how it is confined."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def service(document: dict[str, Any]) -> dict[str, Any]:
    return document["services"]["hoshikage"]


def test_the_port_is_published_on_loopback(service: dict[str, Any]) -> None:
    """Without further configuration only this machine reaches the server."""
    assert service["ports"] == ["${PUBLISH_ADDRESS:-127.0.0.1}:8000:8000"]


def test_models_are_read_only(service: dict[str, Any]) -> None:
    """The server writes to its data folder, and to models never."""
    assert service["volumes"] == ["./data:/app/data", "./models:/models:ro"]


def test_the_ram_disk_is_a_sized_tmpfs(service: dict[str, Any]) -> None:
    """The RAM disk is a tmpfs with a size, writable for the server's user, where the server looks for it."""
    mounts = dict(mount.split(":", 1) for mount in service["tmpfs"])

    assert {"/mnt/ramdisk", "/tmp"} == set(mounts)
    assert mounts["/mnt/ramdisk"] == "size=${HOSHIKAGE_RAMDISK__SIZE_GIB:-4}g,mode=1777"
    assert service["environment"]["HOSHIKAGE_RAMDISK__PATH"] == "/mnt/ramdisk"


def test_the_container_is_confined(service: dict[str, Any]) -> None:
    """The container has no capability, cannot gain one, and cannot write to its own file system."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert set() == {"privileged", "cap_add", "devices", "network_mode", "pid", "user"} & set(service)


def test_health_is_asked_of_the_server(service: dict[str, Any]) -> None:
    """The health check runs the server's own command."""
    assert service["healthcheck"]["test"] == ["CMD", "hoshikage", "healthcheck"]


def test_a_stop_waits_for_running_answers(service: dict[str, Any]) -> None:
    """The engine kills the container only after the server had time to finish its answers."""
    assert service["stop_grace_period"] == "120s"
    assert service["restart"] == "unless-stopped"


def test_logs_are_bounded(service: dict[str, Any]) -> None:
    """Logs take 30 MB at most."""
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_memory_is_bounded(service: dict[str, Any]) -> None:
    """The memory limit can be set from outside, and by default holds a full RAM disk and more."""
    assert service["mem_limit"] == "${MEMORY_LIMIT:-8g}"


def test_the_env_file_is_optional(service: dict[str, Any]) -> None:
    """A checkout without .env starts, and one with it cannot move the container's data or port."""
    assert service["env_file"] == [{"path": ".env", "required": False}]
    assert service["environment"] == {
        "HOSHIKAGE_ENV": "production",
        "HOSHIKAGE_PROJECT_DIR": "/app",
        "HOSHIKAGE_DATA_DIR": "/app/data",
        "HOSHIKAGE_SERVER__HOST": "0.0.0.0",
        "HOSHIKAGE_SERVER__PORT": "8000",
        "HOSHIKAGE_RAMDISK__PATH": "/mnt/ramdisk",
        "HOSHIKAGE_RAMDISK__SIZE_GIB": "${HOSHIKAGE_RAMDISK__SIZE_GIB:-4}",
    }


def test_compose_variables_are_no_unknown_settings() -> None:
    """What Compose fills in can stand in .env, which the server reads too: a setting's name, or no prefix."""
    variables = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    prefixed = {name for name in variables if name.startswith("HOSHIKAGE_")}

    assert {"HOSHIKAGE_RAMDISK__SIZE_GIB"} == prefixed


def test_the_image_has_a_name(document: dict[str, Any]) -> None:
    """There is one service, built from the checkout under a name that `docker run` can use too."""
    assert list(document["services"]) == ["hoshikage"]
    assert document["services"]["hoshikage"]["image"] == "hoshikage:cpu"
