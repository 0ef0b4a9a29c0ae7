from __future__ import annotations

import pytest

from hoshikage import HoshikageError, ModelRecord, Usage
from hoshikage.core.errors import (
    BodyTooLarge,
    ContextOverflow,
    DeadlineExceeded,
    HostRefused,
    ModelNotFound,
    NotSupported,
    QueueFull,
)
from hoshikage.plugins.routes_openai.format import SSE_END, error_body, head, model_body, sse_failure, usage_body
from tests.plugins.routes_openai.made import events


def test_usage_has_all_counts():
    """Cached, reasoned and guessed tokens stand where OpenAI has them."""
    usage = Usage(10, 5, cached_tokens=8, reasoning_tokens=3, drafted_tokens=7, accepted_tokens=4)

    assert {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {
            "reasoning_tokens": 3,
            "accepted_prediction_tokens": 4,
            "rejected_prediction_tokens": 3,
        },
    } == usage_body(usage)


def test_counts_are_never_negative():
    """An engine that counts right guesses only has no wrong ones."""
    assert 0 == usage_body(Usage(1, 1, accepted_tokens=4))["completion_tokens_details"]["rejected_prediction_tokens"]


@pytest.mark.parametrize(
    ("error", "kind", "param"),
    [
        (NotSupported("no", param="tools"), "invalid_request_error", "tools"),
        (ModelNotFound("x"), "not_found_error", "model"),
        (HostRefused("who"), "permission_error", None),
        (BodyTooLarge("much"), "invalid_request_error", None),
        (QueueFull("full"), "unavailable_error", None),
        (DeadlineExceeded("late"), "timeout_error", None),
        (HoshikageError("broken"), "server_error", None),
    ],
)
def test_errors_are_objects(error: HoshikageError, kind: str, param: str | None):
    """Each error has its message, the protocol's type, the field and the stable code."""
    body = error_body(error)["error"]

    assert (error.message, kind, param, error.code) == (body["message"], body["type"], body["param"], body["code"])


def test_numbers_of_an_error_stand_beside_its_message():
    """Clients read the numbers without parsing the text."""
    body = error_body(ContextOverflow.of(prompt_tokens=9, n_ctx=8))["error"]

    assert ("context_length_exceeded", 9, 8) == (body["code"], body["n_prompt_tokens"], body["n_ctx"])


def test_a_failing_stream_ends_with_the_error_and_the_end_mark():
    """The last event is the error, and clients that wait for the end mark get it."""
    data = sse_failure(QueueFull("full"))

    assert ["full"] == [e["error"]["message"] for e in events(data)]
    assert data.endswith(SSE_END)


def test_answers_and_models_say_what_they_are():
    """The head and a model's row have the protocol's fields."""
    found = head("cmpl", "r1", "text_completion", "m")

    assert ("cmpl-r1", "text_completion", "m") == (found["id"], found["object"], found["model"])
    assert {"id": "m", "object": "model", "created": 5, "owned_by": "hoshikage"} == model_body(
        ModelRecord("m", modified_at=5.9)
    )
