"""Logging: one format for our lines and those of libraries."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from hoshikage.core.log import set_up_logging, wants_json
from hoshikage.core.settings import LogSettings


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def set_up(**values) -> None:
    set_up_logging(LogSettings(**{"format": "json", **values}), profile="development")


@pytest.mark.parametrize(
    ("format_", "profile", "as_json"),
    [
        ("auto", "development", False),
        ("auto", "testing", False),
        ("auto", "production", True),
        ("json", "development", True),
        ("console", "production", False),
    ],
)
def test_production_logs_json(format_: str, profile: str, as_json: bool):
    """Left to itself the log is JSON in production only; a chosen format always counts."""
    assert as_json == wants_json(LogSettings(format=format_), profile)


def test_json_line_has_event_level_and_fields(logged):
    """A line of ours is one JSON object with event, level, time and its fields."""
    set_up()
    structlog.get_logger("x").info("model_loaded", model="星影", seconds=1.5)
    (line,) = lines(logged())

    assert line.pop("timestamp").endswith("Z")
    assert {"event": "model_loaded", "level": "info", "model": "星影", "seconds": 1.5} == line


def test_json_is_not_escaped(logged):
    """Japanese text is written as it is."""
    set_up()
    structlog.get_logger("x").info("model_loaded", model="星影")

    assert "星影" in logged()


def test_bound_request_id_is_in_each_line(logged):
    """A request id that was bound once is in the lines of ours and of libraries."""
    set_up()
    with structlog.contextvars.bound_contextvars(request_id="r-42"):
        structlog.get_logger("x").info("ours")
        logging.getLogger("library").warning("theirs")
    structlog.get_logger("x").info("after")

    assert [("ours", "r-42"), ("theirs", "r-42"), ("after", None)] == [
        (line["event"], line.get("request_id")) for line in lines(logged())
    ]


def test_error_of_an_exception_is_in_its_line(logged):
    """An exception is part of its JSON line, not lines of its own."""
    set_up()
    try:
        1 / 0  # noqa: B018 - it is meant to raise
    except ZeroDivisionError:
        structlog.get_logger("x").exception("broken")
    (line,) = lines(logged())

    assert "ZeroDivisionError: division by zero" in line["exception"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_decides_what_is_shown(logged, level: str, shown: list[str]):
    """Lines below the level are left out, ours and the libraries'."""
    set_up(level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("x"), name)(name)
        getattr(logging.getLogger("library"), name)(name)

    assert [name for name in shown for _ in range(2)] == [line["event"] for line in lines(logged())]


@pytest.mark.parametrize("name", ["httpx", "httpcore", "asyncio", "hypercorn.access", "hypercorn.error"])
def test_chatty_libraries_are_quiet(logged, name: str):
    """Libraries that log each call do not, even on debug."""
    set_up(level="debug")
    logging.getLogger(name).info("GET /")

    assert [] == lines(logged())


def test_console_lines_are_for_people(logged):
    """On the console a line has no braces and, without a terminal, no colours."""
    set_up(format="console")
    structlog.get_logger("x").info("model_loaded", model="gemma")
    text = logged()

    assert (True, True, False) == ("model_loaded" in text, "model=gemma" in text, "\x1b" in text or "{" in text)


def test_file_gets_json_beside_the_console(logged, tmp_path):
    """With a file each line is also written there, as JSON, in a folder that is made for it."""
    file = tmp_path / "logs" / "hoshikage.log"
    set_up_logging(LogSettings(format="console"), profile="development", file=file)
    structlog.get_logger("x").info("model_loaded", model="星影")

    line = json.loads(file.read_text("utf-8"))
    assert ("model_loaded", "星影", True) == (line["event"], line["model"], "model_loaded" in logged())


def test_setting_up_twice_does_not_write_twice(logged):
    """The second set-up takes the place of the first."""
    set_up()
    set_up()
    structlog.get_logger("x").info("once")

    assert ["once"] == [line["event"] for line in lines(logged())]
