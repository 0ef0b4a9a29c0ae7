"""The state of the server as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hoshikage.core.http.times import rfc3339

if TYPE_CHECKING:
    from hoshikage import LoadForecast, MemoryNeed, Receipt, StagedView, StageSpace
    from hoshikage.core.contracts import KernelStatus, LoadedView


def status_body(now: KernelStatus) -> dict[str, Any]:
    """Everything at a glance: requests, and the tiers from the fastest down."""
    return {
        "status": "ok",
        "started_at": rfc3339(now.started_at),
        "uptime_s": round(now.uptime_s, 3),
        "requests": {"running": now.running, "waiting": now.waiting},
        "preloading": now.preloading,
        "loaded": [loaded_row(view) for view in now.loaded],
        "memory": asdict(now.memory),
        "staged": [staged_row(view) for view in now.staged],
        "ramdisk": space_row(now.stage_space),
        "versions": dict(now.versions),
    }


def loaded_row(view: LoadedView) -> dict[str, Any]:
    """One loaded model."""
    return {
        "name": view.record.name,
        "state": view.state,
        "engine": view.engine,
        "since": rfc3339(view.since),
        "expires_at": rfc3339(view.expires_at) if view.expires_at is not None else None,
        "running": view.running,
        "context_length": view.context_length,
        "size_bytes": view.size_bytes,
        "memory": need_row(view.memory),
        "staged": view.staged,
        "pinned": view.pinned,
        "load_s": round(view.load_s, 3),
        "notes": list(view.notes),
        "pid": view.pid,
        "counters": {**asdict(view.counters), "compute_s": round(view.counters.compute_s, 3)},
    }


def staged_row(view: StagedView) -> dict[str, Any]:
    """One copy."""
    return {**asdict(view), "file": str(view.file), "last_used": rfc3339(view.last_used)}


def space_row(space: StageSpace | None) -> dict[str, Any] | None:
    """The room on the RAM disk."""
    return {**asdict(space), "path": str(space.path) if space.path else None} if space is not None else None


def need_row(need: MemoryNeed) -> dict[str, Any]:
    """What a model takes."""
    return {**asdict(need), "ram_bytes": need.ram_bytes}


def forecast_body(found: LoadForecast) -> dict[str, Any]:
    """The answer of `/v1/plan`."""
    return {**asdict(found), "need": need_row(found.need), "expected_s": round(found.expected_s, 3)}


def receipt_body(receipt: Receipt) -> dict[str, Any]:
    """The account of one request; it holds no text, and of the caller nothing."""
    return {
        "request_id": receipt.request_id,
        "model": receipt.model,
        "outcome": receipt.outcome,
        "started_at": rfc3339(receipt.started_at),
        "recall_s": round(receipt.recall_s, 6),
        "queue_s": round(receipt.queue_s, 6),
        "load_s": round(receipt.load_s, 6),
        "total_s": round(receipt.total_s, 6),
        "usage": asdict(receipt.usage),
        "finish_reason": receipt.finish_reason,
        "error_code": receipt.error_code,
        "notes": list(receipt.notes),
        "recalled": [{"id": r.id, "score": r.score, "why": dict(r.why)} for r in receipt.recalled],
    }
