"""`python -m benchmarks.memory.people FOLDER` writes everybody and all questions there, as JSON Lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, quantiles
from typing import TYPE_CHECKING

from benchmarks.memory.people.model import ANSWERABLE, KINDS, Benchmark, day_of
from benchmarks.memory.people.overlap import of_question
from benchmarks.memory.people.weaving import SEED, generate
from benchmarks.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterable


def main() -> int:
    """Generates, writes, and says what there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory.people", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="gets people.jsonl and questions.jsonl")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--read", action="store_true", help="print every question with its evidence, for review")
    arguments = parser.parse_args()
    benchmark = generate(arguments.seed)
    if arguments.folder:
        write(benchmark, arguments.folder)
    for line in (review if arguments.read else statistics)(benchmark):
        say(line)
    return 0


def write(benchmark: Benchmark, folder: Path) -> None:
    """Everybody with their sessions in one file, the questions in the other; a line is one of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("people", benchmark.people), ("questions", benchmark.questions)):
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")


def statistics(benchmark: Benchmark) -> Iterable[str]:
    """How much there is, and how much of the questions stands in their evidence."""
    turns = benchmark.turns()
    sessions = sum(len(person.sessions) for person in benchmark.people)
    yield f"people {len(benchmark.people)}, sessions {sessions}, turns {len(turns)}"
    yield f"characters {sum(len(turn.text) for turn in turns.values())}"
    kinds = Counter(question.kind for question in benchmark.questions)
    yield "questions " + ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS)
    sorts = Counter(question.sort for question in benchmark.questions if question.kind == "never")
    yield ", ".join(f"{sort} {count}" for sort, count in sorted(sorts.items()))
    shares = {kind: [of_question(q, turns) for q in benchmark.questions if q.kind == kind] for kind in ANSWERABLE}
    for kind, values in (*shares.items(), ("all", [value for some in shares.values() for value in some])):
        low, middle, high = quantiles(values, n=4)
        yield (
            f"overlap {kind:8} mean {fmean(values):.2f}, quartiles {low:.2f} {middle:.2f} {high:.2f}, "
            f"least {min(values):.2f}, most {max(values):.2f}"
        )


def review(benchmark: Benchmark) -> Iterable[str]:
    """Every question with all that it points to."""
    turns, said_at = benchmark.turns(), benchmark.said_at()
    for question in benchmark.questions:
        share = of_question(question, turns)
        yield f"{question.id} {question.sort} {day_of(question.asked_at)} {share:.2f}  {question.text}"
        marks = (("+", question.evidence), ("-", question.outdated), ("~", question.similar))
        for mark, id_ in ((mark, id_) for mark, ids in marks for id_ in ids):
            yield f"    {mark} {day_of(said_at[id_])} {turns[id_].text}"


if __name__ == "__main__":
    sys.exit(main())
