"""The limit of a swap: a warm process, llama_cpp imported and the file in memory, that does only what must be done.

`python -m benchmarks.swap.limit` says `ready`, reads one JSON job, opens the model, makes a context, computes the
prompt, chooses a token, writes when it did so as JSON, and ends: like a spare worker, it is used once.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import llama_cpp

from benchmarks.bare import BareLoop
from benchmarks.native_log import silence_llama_cpp


def first_token(job: dict[str, Any]) -> dict[str, Any]:
    """From a path and a prompt to the first token."""
    began = time.monotonic()
    loop = BareLoop(job["path"], n_ctx=job["n_ctx"], n_threads=job["n_threads"], n_seqs=job["n_seqs"])
    opened = time.monotonic()
    prompt = loop.tokenize(job["prompt"])
    (answer,) = loop.generate([prompt], [1])
    return {
        "began": began,
        "open_s": opened - began,
        "times": answer["times"],
        "ended": answer["times"][-1],
        "text": answer["text"],
        "prompt_tokens": len(prompt),
        "completion_tokens": 1,
    }


def main() -> None:
    """Do one job."""
    silence_llama_cpp()
    llama_cpp.llama_backend_init()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if line := sys.stdin.readline():
        sys.stdout.write(json.dumps(first_token(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
