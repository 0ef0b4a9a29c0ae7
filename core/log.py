"""Logging: structlog for our lines and for those of libraries, on the console or as JSON."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import Processor

    from hoshikage.core.settings import LogSettings


def set_up_logging(settings: LogSettings, *, profile: str, file: Path | None = None) -> None:
    """Send every line, ours and the libraries', through one formatter to stderr and, if set, a daily file."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    as_json = wants_json(settings, profile)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(shared, as_json=as_json, colors=sys.stderr.isatty()))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        daily = logging.handlers.TimedRotatingFileHandler(file, when="midnight", encoding="utf-8")
        daily.setFormatter(_formatter(shared, as_json=True, colors=False))
        handlers.append(daily)
    logging.basicConfig(handlers=handlers, level=settings.level.upper(), force=True)
    _quieten_libraries()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        cache_logger_on_first_use=False,
    )


def wants_json(settings: LogSettings, profile: str) -> bool:
    """`auto` is JSON in production, where a machine reads the log."""
    if settings.format == "auto":
        return profile == "production"
    return settings.format == "json"


def _formatter(shared: list[Processor], *, as_json: bool, colors: bool) -> logging.Formatter:
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=colors)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _quieten_libraries() -> None:
    """Libraries log each request and each library call; ours has an access log of its own."""
    for name in ("httpx", "httpcore", "asyncio", "hypercorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("hypercorn.error").setLevel(logging.ERROR)
