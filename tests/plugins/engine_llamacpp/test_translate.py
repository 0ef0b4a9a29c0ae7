"""Between contracts and frames: nothing is lost on the way, and every default is filled in."""

from __future__ import annotations

import struct
from types import MappingProxyType

import pytest

from hoshikage import (
    Adapter,
    ChatRequest,
    Chunk,
    Constraint,
    Directions,
    EngineCounters,
    Message,
    Sampling,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)
from hoshikage.core.errors import ContextOverflow, DeadlineExceeded, EngineFailed, InvalidRequest, NotSupported
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.translate import (
    chunk_of,
    counters_of,
    error_of,
    generate_frame,
    usage_of,
    vectors_of,
)


def test_a_request_becomes_a_frame_with_every_default():
    """`None` in a request leaves the frame's default; what is given is taken over."""
    sampling = Sampling(temperature=0.0, top_k=5, seed=9, logit_bias=MappingProxyType({3: 1.5}))
    request = ChatRequest(
        "id", "m", (Message("user", "hi", "影"),), sampling=sampling, max_tokens=4, stop=("。",), stream=True
    )

    expected = frames.Generate(
        id=1,
        turns=[frames.Turn("user", "hi", "影")],
        prompt=None,
        sampling=frames.SamplingParams(temperature=0.0, top_k=5, seed=9, logit_bias={3: 1.5}),
        max_tokens=4,
        stop=["。"],
    )
    assert expected == generate_frame(1, request)


def test_everything_that_a_request_can_ask_for_is_in_the_frame():
    """Tools, forms, thinking, adapters, alternatives and the deadline reach the worker."""
    request = ChatRequest(
        "id",
        "m",
        (
            Message("assistant", "", reasoning="hm", tool_calls=(ToolCall("c1", "f", "{}"),)),
            Message("tool", "ok", "f", tool_call_id="c1"),
        ),
        n=3,
        logprobs=2,
        constraint=Constraint("regex", "a+", "format"),
        tools=(Tool("f", "does", {"type": "object"}),),
        thinking=Thinking(budget_tokens=7),
        template_variables={"x": 1},
        adapters=(Adapter("haiku", 0.5),),
        deadline_s=1.5,
        caller_key="k",
        directions=Directions("<think>", "</think>", ("<tool_call>",), {"x": 1, "enable_thinking": True}),
    )

    frame = generate_frame(1, request, scoped=True)

    expected = frames.Generate(
        id=1,
        turns=[
            frames.Turn("assistant", "", None, "hm", [frames.ToolCall("c1", "f", "{}")]),
            frames.Turn("tool", "ok", "f", tool_call_id="c1"),
        ],
        prompt=None,
        sampling=frames.SamplingParams(),
        max_tokens=None,
        stop=[],
        tools=[frames.Tool("f", "does", {"type": "object"})],
        template_variables={"x": 1, "enable_thinking": True},
        n=3,
        logprobs=2,
        constraint=frames.Constraint("regex", "a+", "format"),
        thinking=frames.Thinking("<think>", "</think>", 7),
        markers=["<tool_call>"],
        adapters=[frames.Adapter("haiku", 0.5)],
        scope="k",
        deadline_s=1.5,
    )
    assert expected == frame


def test_callers_share_what_is_computed_unless_they_are_kept_apart():
    """The caller's key is the scope only where the setting says so."""
    assert "" == generate_frame(1, ChatRequest("id", "m", caller_key="k")).scope


def test_token_ids_and_suffix_go_as_they_are():
    """A prompt may be ids; what comes after the gap goes along."""
    frame = generate_frame(1, ChatRequest("id", "m", prompt=(1, 2), suffix="}"))

    assert ([1, 2], "}") == (frame.prompt, frame.suffix)


def test_a_delta_becomes_a_chunk():
    """Text, count, index and probabilities."""
    row = frames.Logprob(b"a", -0.5, [frames.Alternative(b"b", -1.0)])

    expected = Chunk("x", 2, 3, logprobs=(TokenLogprob(b"a", -0.5, (TokenLogprob(b"b", -1.0),)),))
    assert expected == chunk_of(frames.Delta(1, 3, "x", [5, 6], [row]))


def test_the_accounts_of_all_answers_are_added_up():
    """The prompt counts once, what was made counts for each, and the longest times count."""
    accounts = [frames.Account(12, 5, 8, 2, 4, 3, 1, 0.25, 0.5), frames.Account(12, 6, 11, 0, 0, 0, 0, 0.5, 0.25)]

    assert Usage(12, 11, 8, 0.5, 0.5, 2, 4, 3, 1) == usage_of(accounts)


def test_counters_keep_their_names():
    """Every total of the worker is one of the kernel's."""
    assert EngineCounters(steps=2, cells_kept=5) == counters_of(frames.Counters(steps=2, cells_kept=5))


def test_vectors_are_unpacked_in_their_order():
    """Little-endian floats, one vector after another."""
    assert ((1.0, 2.0), (3.0, 4.0)) == vectors_of(frames.Embedded(1, 2, struct.pack("<4f", 1, 2, 3, 4), 5))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (frames.Refused(1, "", "context", 9, 8), (ContextOverflow, "messages", {"n_prompt_tokens": 9, "n_ctx": 8})),
        (
            frames.Refused(1, "too long", "context", 9, 8, "input"),
            (ContextOverflow, "input", {"n_prompt_tokens": 9, "n_ctx": 8}),
        ),
        (frames.Refused(1, "no", "invalid", param="logit_bias"), (InvalidRequest, "logit_bias", {})),
        (frames.Refused(1, "no", "unsupported", param="suffix"), (NotSupported, "suffix", {})),
        (frames.Refused(1, "no", "deadline"), (DeadlineExceeded, None, {})),
        (frames.Refused(1, "no", "failed"), (EngineFailed, None, {})),
    ],
    ids=lambda f: f.kind if isinstance(f, frames.Refused) else "",
)
def test_a_refusal_becomes_the_error_that_routes_know(frame, expected):
    """Each kind of refusal has its class, its parameter and its details."""
    error = error_of(frame)

    assert expected == (type(error), error.param, dict(error.details))
