"""The limit: a bare Python loop over llama.cpp's low-level API that does the same work without a server.

A process of its own, so that nothing but the loop runs in it: `python -m benchmarks.bare MODEL N_CTX N_THREADS
N_SEQS` reads one JSON job a line and answers with one line each.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any

import llama_cpp

from benchmarks.native_log import silence_llama_cpp
from benchmarks.prompts import common_prefix

N_BATCH = 512
Pending = list[tuple[int, int, list[int]]]


class BareLoop:
    """One model, one context, greedy choice."""

    def __init__(self, path: str, *, n_ctx: int, n_threads: int, n_seqs: int) -> None:
        silence_llama_cpp()
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = N_BATCH
        params.n_seq_max = n_seqs
        params.n_threads = params.n_threads_batch = n_threads
        params.kv_unified = True
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(N_BATCH, 0, 1)
        self._piece = ctypes.create_string_buffer(256)
        self._samplers = [self._greedy() for _ in range(n_seqs)]

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a prompt."""
        data = text.encode()
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, True, True)
        return list(tokens[:n])

    def generate(self, prompts: list[list[int]], max_tokens: list[int]) -> list[dict[str, Any]]:
        """Answer prompts that arrive together: what they have in common is computed once."""
        began = time.monotonic()
        answers: list[dict[str, Any]] = [{"began": began, "times": [], "text": "", "tokens": []} for _ in prompts]
        shared = min(common_prefix(prompts), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0
        self._prefill([(0, 0, prompts[0][:shared])], None)
        for seq in range(1, len(prompts)):
            llama_cpp.llama_memory_seq_cp(self._memory, 0, seq, 0, shared)
        chosen: dict[int, int] = {}
        self._prefill([(seq, shared, prompt[shared:]) for seq, prompt in enumerate(prompts)], chosen)
        positions = [len(prompt) for prompt in prompts]
        while chosen:
            self._note(chosen, answers)
            running = {seq: token for seq, token in chosen.items() if len(answers[seq]["tokens"]) < max_tokens[seq]}
            chosen = self._step(running, positions)
        llama_cpp.llama_memory_clear(self._memory, False)
        return answers

    def _prefill(self, pending: Pending, chosen: dict[int, int] | None) -> None:
        """Compute prompts in batches as full as possible, and choose the first token of each, if there is to be one."""
        batch = self._batch
        batch.n_tokens = 0
        rows: dict[int, int] = {}
        found = {} if chosen is None else chosen
        for seq, start, tokens in pending:
            for offset, token in enumerate(tokens):
                last = chosen is not None and offset == len(tokens) - 1
                if last:
                    rows[seq] = batch.n_tokens
                self._add(token, start + offset, seq, choose=last)
                if batch.n_tokens == N_BATCH:
                    found.update(self._decode(rows))
                    rows = {}
        if batch.n_tokens:
            found.update(self._decode(rows))

    def _step(self, running: dict[int, int], positions: list[int]) -> dict[int, int]:
        """Compute one token of each sequence and choose the next."""
        if not running:
            return {}
        rows: dict[int, int] = {}
        for row, (seq, token) in enumerate(running.items()):
            rows[seq] = row
            self._add(token, positions[seq], seq, choose=True)
            positions[seq] += 1
        return self._decode(rows)

    def _add(self, token: int, position: int, seq: int, *, choose: bool) -> None:
        batch = self._batch
        row = batch.n_tokens
        batch.token[row] = token
        batch.pos[row] = position
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = seq
        batch.logits[row] = choose
        batch.n_tokens = row + 1

    def _decode(self, rows: dict[int, int]) -> dict[int, int]:
        if code := llama_cpp.llama_decode(self._context, self._batch):
            raise SystemExit(f"llama_decode failed with code {code}")
        self._batch.n_tokens = 0
        sample = llama_cpp.llama_sampler_sample
        return {seq: sample(self._samplers[seq], self._context, row) for seq, row in rows.items()}

    def _note(self, chosen: dict[int, int], answers: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        for seq, token in chosen.items():
            answer = answers[seq]
            answer["tokens"].append(token)
            answer["times"].append(now)
            answer["text"] += self._text(token).decode("utf-8", "replace")

    def _text(self, token: int) -> bytes:
        n = llama_cpp.llama_token_to_piece(self._vocab, token, self._piece, len(self._piece), 0, True)
        return self._piece.raw[: max(n, 0)]

    @staticmethod
    def _greedy() -> Any:
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        return chain


def answer(loop: BareLoop, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Do one job."""
    prompts = [loop.tokenize(text) for text in job["prompts"]]
    answers = loop.generate(prompts, job["max_tokens"])
    for each, prompt in zip(answers, prompts, strict=True):
        each.update(prompt_tokens=len(prompt), completion_tokens=len(each.pop("tokens")), ended=each["times"][-1])
    return answers


def main() -> None:
    """Answer jobs until standard input ends."""
    path, n_ctx, n_threads, n_seqs = sys.argv[1:5]
    loop = BareLoop(path, n_ctx=int(n_ctx), n_threads=int(n_threads), n_seqs=int(n_seqs))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(loop, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
