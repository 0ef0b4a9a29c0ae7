"""Between the contracts that the kernel speaks and the frames that the worker reads."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hoshikage import Chunk, EngineCounters, HoshikageError, TokenLogprob, Usage
from hoshikage.core.errors import ContextOverflow, DeadlineExceeded, EngineFailed, InvalidRequest, NotSupported
from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage import ChatRequest, Message


def generate_frame(number: int, request: ChatRequest, *, scoped: bool = False) -> frames.Generate:
    """A request as the worker reads it, with every sampling default filled in.

    Args:
        number: the worker's number for it.
        request: what the caller wants.
        scoped: whether what is computed for this caller is for this caller only.
    """
    prompt = request.prompt
    return frames.Generate(
        id=number,
        turns=[_turn(message) for message in request.messages],
        prompt=list(prompt) if isinstance(prompt, tuple) else prompt,
        sampling=_sampling(request),
        max_tokens=request.max_tokens,
        stop=list(request.stop),
        suffix=request.suffix,
        tools=[frames.Tool(t.name, t.description, dict(t.parameters)) for t in request.tools],
        template_variables=dict(request.directions.template_variables or request.template_variables),
        n=request.n,
        logprobs=-1 if request.logprobs is None else request.logprobs,
        constraint=_constraint(request),
        thinking=_thinking(request),
        markers=list(request.directions.markers),
        adapters=[frames.Adapter(a.name, a.scale) for a in request.adapters],
        scope=request.caller_key if scoped else "",
        deadline_s=request.deadline_s or 0.0,
    )


def _turn(message: Message) -> frames.Turn:
    calls = [frames.ToolCall(c.id, c.name, c.arguments) for c in message.tool_calls]
    return frames.Turn(message.role, message.content, message.name, message.reasoning, calls, message.tool_call_id)


def _sampling(request: ChatRequest) -> frames.SamplingParams:
    s = request.sampling
    given = {name: value for name in frames.SamplingParams.__struct_fields__ if (value := getattr(s, name)) is not None}
    given["logit_bias"] = dict(s.logit_bias)  # any mapping may come; frames hold plain ones
    return frames.SamplingParams(**given)


def _constraint(request: ChatRequest) -> frames.Constraint | None:
    c = request.constraint
    return frames.Constraint(c.kind, c.source, c.param) if c is not None else None


def _thinking(request: ChatRequest) -> frames.Thinking | None:
    d, budget = request.directions, request.thinking.budget_tokens
    if not d.think_close:
        return None
    return frames.Thinking(d.think_open, d.think_close, -1 if budget is None else budget)


def chunk_of(delta: frames.Delta) -> Chunk:
    """What a step added to an answer."""
    logprobs = tuple(_logprob(row) for row in delta.logprobs)
    return Chunk(delta.text, len(delta.tokens), delta.index, logprobs=logprobs)


def _logprob(row: frames.Logprob) -> TokenLogprob:
    return TokenLogprob(row.token, row.logprob, tuple(TokenLogprob(a.token, a.logprob) for a in row.top))


def usage_of(accounts: Seq[frames.Account], *, replays: int = 0) -> Usage:
    """The accounts of all answers to one request together: the prompt counts once, times are the longest."""
    return Usage(
        prompt_tokens=accounts[0].prompt_tokens,
        completion_tokens=sum(a.completion_tokens for a in accounts),
        cached_tokens=accounts[0].cached_tokens,
        reasoning_tokens=sum(a.thinking_tokens for a in accounts),
        drafted_tokens=sum(a.drafted_tokens for a in accounts),
        accepted_tokens=sum(a.accepted_tokens for a in accounts),
        preemptions=sum(a.preemptions for a in accounts),
        prefill_s=max(a.prefill_s for a in accounts),
        decode_s=max(a.decode_s for a in accounts),
        replays=replays,
    )


def counters_of(frame: frames.Counters) -> EngineCounters:
    """The worker's totals as the kernel shows them."""
    return EngineCounters(**{name: getattr(frame, name) for name in frames.Counters.__struct_fields__})


def vectors_of(frame: frames.Embedded) -> tuple[tuple[float, ...], ...]:
    """The vectors that a frame packs."""
    size = 4 * frame.dimensions
    count = len(frame.vectors) // size if size else 0
    return tuple(struct.unpack_from(f"<{frame.dimensions}f", frame.vectors, size * i) for i in range(count))


def error_of(frame: frames.Refused) -> HoshikageError:
    """A worker's refusal as the error that routes know."""
    match frame.kind:
        case "context" if frame.reason:
            details = {"n_prompt_tokens": frame.prompt_tokens, "n_ctx": frame.n_ctx}
            return ContextOverflow(frame.reason, param=frame.param, details=details)
        case "context":
            return ContextOverflow.of(prompt_tokens=frame.prompt_tokens, n_ctx=frame.n_ctx)
        case "invalid":
            return InvalidRequest(frame.reason, param=frame.param)
        case "unsupported":
            return NotSupported(frame.reason, param=frame.param)
        case "deadline":
            return DeadlineExceeded(frame.reason)
        case "failed":
            return EngineFailed(frame.reason)
