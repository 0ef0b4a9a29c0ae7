"""The figures that must be reached; what is missed is explained in docs/benchmarks."""

from __future__ import annotations

from benchmarks.figures import Target

BARE, LLAMA_SERVER, EXAMPLE, PACKAGED = "bare", "llama-server", "llama-cpp-python-example", "llama-cpp-python-server"
EMPTY, FULL = "empty-cache", "full-cache"
ON, OFF, SCHEMA, FREE = "lookup-on", "lookup-off", "schema", "free-text"
MIN_OF_LLAMA_SERVER = {1: 1.0, 4: 1.0, 16: 1.0, 32: 1.15}


def spelled(n: int) -> str:
    """A number of streams in words."""
    return "1 stream" if n == 1 else f"{n} streams"


TARGETS = (
    *(
        Target(
            f"streams-{n}", f"{spelled(n)}, whole work, against the bare loop", "tokens_per_s", "at least", 0.95, BARE
        )
        for n in MIN_OF_LLAMA_SERVER
    ),
    *(
        Target(
            f"streams-{n}",
            f"{spelled(n)}, cold, against llama-server",
            "tokens_per_s",
            "at least",
            limit,
            LLAMA_SERVER,
        )
        for n, limit in MIN_OF_LLAMA_SERVER.items()
    ),
    Target(
        "streams-16", "16 streams against llama-cpp-python's example server", "tokens_per_s", "at least", 1.25, EXAMPLE
    ),
    Target("streams-16", "16 streams against llama-cpp-python's server", "tokens_per_s", "at least", 3.0, PACKAGED),
    Target(
        "streams-16",
        "time to first token, p95, 16 streams, against llama-server",
        "ttft_p95_s",
        "at most",
        1.0,
        LLAMA_SERVER,
    ),
    Target(
        "shared",
        "shared 450-token system prompt, 16 users, whole time, against llama-server",
        "seconds",
        "at most",
        0.25,
        LLAMA_SERVER,
    ),
    Target(
        "conversations",
        "growing conversations of 8 users: tokens prefilled / tokens that had to be",
        "prefilled_share",
        "at most",
        1.02,
    ),
    Target(
        "long-prompt",
        "longest gap in 8 streams during a 3,000-token prefill, against llama-server",
        "longest_gap_s",
        "at most",
        0.1,
        LLAMA_SERVER,
    ),
    Target("long-prompt", "the same gap in seconds", "longest_gap_s", "at most", 1.0),
    Target(
        "lookup-edit", "prompt lookup on text that repeats, against without", "tokens_per_s", "at least", 1.25, OFF, ON
    ),
    Target(
        "lookup-new",
        "prompt lookup on text that does not repeat, against without",
        "tokens_per_s",
        "at least",
        0.98,
        OFF,
        ON,
    ),
    Target(
        "schema", "JSON-schema answers against free text, time per token", "s_per_token", "at most", 1.10, FREE, SCHEMA
    ),
    Target(
        "decode-step", "share of a decode step at 16 sequences outside of llama.cpp", "python_share", "at most", 0.05
    ),
)
