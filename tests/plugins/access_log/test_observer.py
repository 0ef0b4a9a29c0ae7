"""The access log: one line per request, without its texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hoshikage import Caller, ChatRequest, Message, Receipt, Usage
from hoshikage.plugins.access_log.observer import AccessLog

REQUEST = ChatRequest("r1", "m", messages=(Message("user", "my secret"),), prompt="raw secret")
RECEIPT = Receipt(
    request_id="r1",
    model="gemma",
    caller=Caller("10.0.0.1", "curl"),
    outcome="done",
    started_at=1.0,
    queue_s=0.12345,
    load_s=1.0,
    total_s=2.0006,
    recall_s=0.0612,
    usage=Usage(
        prompt_tokens=5,
        completion_tokens=7,
        cached_tokens=4,
        prefill_s=0.25,
        decode_s=0.5,
        reasoning_tokens=3,
        drafted_tokens=6,
        accepted_tokens=2,
        preemptions=1,
    ),
    finish_reason="stop",
)


async def lines_of(receipt: Receipt) -> list[dict]:
    with capture_logs() as logs:
        await AccessLog().observe(REQUEST, "the answer", receipt)
    return logs


async def test_line_of_an_answer():
    """The line at info says who asked which model, how it ended and what it cost, in milliseconds' precision."""
    line, _ = await lines_of(RECEIPT)

    assert {
        "event": "request_done",
        "log_level": "info",
        "request_id": "r1",
        "model": "gemma",
        "caller": "10.0.0.1",
        "outcome": "done",
        "finish_reason": "stop",
        "error_code": None,
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "cached_tokens": 4,
        "reasoning_tokens": 3,
        "drafted_tokens": 6,
        "accepted_tokens": 2,
        "preemptions": 1,
        "recall_s": 0.061,
        "queue_s": 0.123,
        "load_s": 1.0,
        "prefill_s": 0.25,
        "decode_s": 0.5,
        "total_s": 2.001,
    } == line


@pytest.mark.parametrize(("outcome", "code"), [("error", "worker_died"), ("cancelled", None)])
async def test_line_of_a_failure(outcome: str, code: str | None):
    """A request that failed or was cancelled has a line of the same kind."""
    line, _ = await lines_of(replace(RECEIPT, outcome=outcome, finish_reason=None, error_code=code))

    assert ("request_done", "info", outcome, code) == (
        line["event"],
        line["log_level"],
        line["outcome"],
        line["error_code"],
    )


async def test_texts_are_on_debug_only():
    """Prompt and answer are in the line at debug, and in no other."""
    lines = await lines_of(RECEIPT)

    telling = [line["log_level"] for line in lines if "secret" in str(line) or "the answer" in str(line)]
    assert ["debug"] == telling


async def test_line_at_debug_has_the_texts():
    """At debug the messages, the raw prompt and the answer can be read."""
    _, line = await lines_of(RECEIPT)

    assert ([("user", "my secret")], "raw secret", "the answer") == (
        line["messages"],
        line["prompt"],
        line["answer"],
    )
