"""The words of our own server's interface that the rows depend on, so that a change of them is made here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.rows.base import MeasureFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAN_ROUTE = "/v1/plan"
STAGE_ROUTE = "/v1/stage"
NEED = ("need", "ram_bytes")
STAGED = "staged"


def settings(*, n_ctx: int, n_threads: int, n_batch: int, n_parallel: int) -> dict[str, str]:
    """What is the same for all contestants, as variables."""
    return {
        "HOSHIKAGE_LLAMACPP__N_CTX": str(n_ctx),
        "HOSHIKAGE_LLAMACPP__N_THREADS": str(n_threads),
        "HOSHIKAGE_LLAMACPP__N_BATCH": str(n_batch),
        "HOSHIKAGE_LLAMACPP__MAX_NUM_SEQS": str(n_parallel),
        "HOSHIKAGE_RESIDENCY__MAX_LOADED": "1",
    }


def ram_disk_settings(folder: Path | None) -> dict[str, str]:
    """Stage in this folder, or not at all."""
    if folder is None:
        return {"HOSHIKAGE_RAMDISK__ENABLED": "false"}
    return {"HOSHIKAGE_RAMDISK__ENABLED": "true", "HOSHIKAGE_RAMDISK__PATH": str(folder)}


def state_settings(*, enabled: bool) -> dict[str, str]:
    """Whether conversations are saved; they are by default."""
    return {} if enabled else {"HOSHIKAGE_STATE__ENABLED": "false"}


def load_request(model: str, n_ctx: int = 0) -> tuple[str, dict[str, Any]]:
    """The route and the body that load a model, with a context of at least so many tokens, and ask nothing of it."""
    if n_ctx:
        return "/v1/load", {"model": model, "num_ctx": n_ctx}
    return "/api/generate", {"model": model, "stream": False}


def unload_body(model: str) -> dict[str, Any]:
    """The body for `/api/generate` that lets a model go."""
    return {"model": model, "keep_alive": 0}


def plan_body(model: str, n_ctx: int) -> dict[str, Any]:
    """The body for `PLAN_ROUTE`."""
    return {"model": model, "num_ctx": n_ctx}


def predicted_bytes(plan: Mapping[str, Any]) -> int:
    """What a plan says that the model takes of main memory.

    Raises:
        MeasureFailed: it does not say so.
    """
    part, name = NEED
    need = plan.get(part)
    value = need.get(name) if isinstance(need, dict) else None
    if not isinstance(value, int) or value <= 0:
        raise MeasureFailed(f"{PLAN_ROUTE} answers without {part}.{name}; its fields are {', '.join(plan) or 'none'}")
    return value


def is_staged(status: Mapping[str, Any], file: Path) -> bool:
    """Whether `/v1/status` shows a whole copy of this file on the RAM disk.

    Raises:
        MeasureFailed: it shows no such copies at all.
    """
    rows = status.get(STAGED)
    if not isinstance(rows, list):
        raise MeasureFailed(f"/v1/status has no list {STAGED!r}, so nobody knows what is on the RAM disk")
    return any(row.get("file") == str(file) and row.get("state") == "ready" for row in rows if isinstance(row, dict))


def n_occupied(status: Mapping[str, Any]) -> int:
    """How many models `/v1/status` shows as loaded, those included that are on their way."""
    return len(status.get("loaded") or [])


def row_of(status: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What `/v1/status` says of a loaded model; empty where it is not loaded."""
    rows: list[dict[str, Any]] = status.get("loaded") or []
    return next((row for row in rows if row["name"].split(":")[0] == model and row.get("state") == "ready"), {})
