"""The figures of memory that must be reached; what is missed is explained on the page."""

from __future__ import annotations

from benchmarks.figures import OURS, Target

WORDS, WITH_MEANING = f"{OURS}, words alone", f"{OURS}, with the question's vector"
OFF, ON, AS_LONG = "off", "on", "off, as long"
ENGLISH = "all-MiniLM-L6-v2"  # what many use, ChromaDB among them
PRIORS = "the same with neighbour and session"
TUNED = "the same, weights chosen on the other four"

MEMORY_TARGETS = (
    Target("jsquad", "JSQuAD, recall at 1 (%)", "recall_1", "at least", 92.5),
    Target("jsquad", "JSQuAD, recall at 5 (%)", "recall_5", "at least", 97.5),
    Target(
        "locomo",
        "LoCoMo, evidence among ten turns, points over the best baseline",
        "recall_10",
        "at least",
        3.0,
        TUNED,
        relation="difference",
    ),
    Target("people", "our own Japanese benchmark, recall at 5 (%)", "recall_5", "at least", 90.0),
    Target("people", "what was never said, answered with nothing (%)", "nothing", "at least", 90.0),
    Target(
        "people",
        "of these, what was never even mentioned, answered with nothing (%)",
        "nothing_unmentioned",
        "at least",
        90.0,
    ),
    Target("recall-100", "a recall, one of 100 people, p95 (ms)", "p95_ms", "at most", 15.0, of=WORDS),
    Target("recall-100", "the same with the question's vector (ms)", "p95_ms", "at most", 60.0, of=WITH_MEANING),
    Target("recall-1", "a recall among 100,000 memories of one person, p95 (ms)", "p95_ms", "at most", 40.0, of=WORDS),
    Target("churn", "unreachable after four times deleting and adding a fifth (%)", "unreachable", "at most", 0.0),
    Target("kills", "memories lost over 50 kills while writing", "lost", "at most", 0.0),
    Target(
        "first-token",
        "added to the first token beyond the block's own prefill (s)",
        "but_prefill_s",
        "at most",
        0.06,
        AS_LONG,
        of=ON,
        relation="difference",
    ),
    Target(
        "computed-again",
        "computed beyond the block, the previous turn and what is computed without memory (tokens)",
        "beyond",
        "at most",
        0.0,
        of=ON,
    ),
)
