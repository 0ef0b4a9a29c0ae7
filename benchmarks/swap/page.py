"""The page of changing between models: written anew by each run, but for its last part, which people write."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from benchmarks.machine import lines
from benchmarks.report import MEANING, figures_table, row_section

if TYPE_CHECKING:
    from benchmarks.results import Results

EXPLAINED = "## What is missed, and why"
NOTHING_YET = "Nothing is explained here yet."
WHAT = """\
More models than fit, behind one address: what it costs to change between them, to stop and start the server, to load a
file of several GiB, and to ask for more context. All of it on the loopback interface, from the bytes of a request to
the first text of its answer.

```
make bench-swap                                        # all rows, five rounds, at most 25 minutes
.venv/bin/python -m benchmarks swap --list             # the rows
.venv/bin/python -m benchmarks swap --rows swap,back --rounds 3
.venv/bin/python -m benchmarks swap --rows resize --keep   # one row again; the others stay on the page
.venv/bin/python -m benchmarks swap --rows big-file --big-gib 8 --big-folder /mnt/disk --keep-big
make bench-swap-short                                  # only shows that it works; its figures mean nothing
```

`LLAMA_SERVER` names the binary of the peer; without it the rows run without one. The generated file is made in
`$TMPDIR/hoshikage-bench-big` and removed at the end, and so is the folder on the RAM disk (`--ram-folder`)."""
HOW = """\
- **Contestants.** Our own server with `residency.max_loaded = 1` and the RAM disk in a folder of `/dev/shm`;
  llama-server as a router (`--models-max 1`, a preset of both models, otherwise as it is by default); and the limit: a
  warm process with llama_cpp imported and the file in memory, used once, that opens the model, makes a context of the
  same size, computes the prompt and chooses one token. Its clock runs inside of it. Files, threads, context and slots
  are the same for all.
- **In turn.** Everybody is started once and stays up; they take turns, and a ratio is made of two measurements of the
  same round. The table shows the median of the rounds, the lowest and the highest.
- **A pause before each request**, until the processes of whoever is asked rest (at most 10 s): people pause, and what a
  server does after an answer (saving, staging, getting a worker ready) costs them nothing then.
- **Prompts** begin like no earlier one, so that nothing kept of other requests helps. The conversation that goes on is
  the exception; it is what is measured.
- **`swap`** is the median of three changes in each direction per round; `staged` is the share of both files that was
  on the RAM disk.
- **`big-file`.** Llama's architecture, SmolLM2's vocabulary, weights at random, F32 so that a byte that is read causes
  as little computing as possible; a quantised model computes longer, and gains less. What counts is the time of a
  request with 16 tokens that finds the model unloaded, to its first token. Cold disk: the file's pages are dropped
  (`posix_fadvise`, and `/proc/sys/vm/drop_caches` where that is not enough and we may) and `mincore` confirms it; what
  lies under the kernel, such as the host of a virtual machine, may still hold them. Page cache: every page is there, as
  `mincore` confirms. RAM disk: staged by our server, and the source dropped. The last column is the same file in the
  same place, read from beginning to end without a server.
- **`many-swaps`** reads `/proc/PID/smaps_rollup` of the process that speaks HTTP, without its workers.
- **`prediction`** asks `POST /v1/plan` before the load, then compares with the worker's Rss after a prompt of 1,230
  tokens: only pages that were used are in memory. The first round is predicted by the file's header alone."""


def markdown(results: Results, plots: list[str], before: str) -> str:
    """The whole page, with the explanations of the page that was there before."""
    day = datetime.datetime.fromtimestamp(results.began_at, datetime.UTC).strftime("%Y-%m-%d")
    state = "" if results.complete else " **This run was not complete.**"
    m = results.machine
    parts = [
        "# Where models live: swap, return, load",
        f"Written by `make bench-swap` ({results.form} form, {results.minutes:.0f} minutes) on {day}.{state}",
        "Raw samples: [swap.json](swap.json). What is measured besides: [README](README.md).",
        WHAT,
        "## Figures to reach",
        figures_table(results.figures()),
        *(f"![{name}]({name})" for name in plots),
        "## How it is measured",
        HOW,
        "## The machine",
        "\n".join(
            [
                *lines(m),
                f"- {m['second_model']} (SHA-256 {m['second_model_sha256'][:12]}…)",
                f"- RAM disk: {m['ram_disk']}; the generated file was on {m['big_file_on']}",
            ]
        ),
        "## All rows",
        MEANING,
        *(row_section(row) for row in results.rows),
        EXPLAINED,
        explained(before) or NOTHING_YET,
    ]
    return "\n\n".join(parts) + "\n"


def explained(page: str) -> str:
    """What people have written at the end of a page."""
    _, _, text = page.partition(f"\n{EXPLAINED}\n")
    return text.strip().removeprefix(NOTHING_YET).strip()
