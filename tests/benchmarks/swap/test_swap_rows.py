"""What the rows of changing between models make of what they see."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.answers import Answer
from benchmarks.contestants import Peers
from benchmarks.figures import OURS, Figure, Sample, Target, figure
from benchmarks.rows.base import Surroundings
from benchmarks.swap.ground import SPARE_RAM_BYTES, Ground
from benchmarks.swap.rows import swap_rows
from benchmarks.swap.rows.back import return_values
from benchmarks.swap.rows.big_file import BigFileLoad
from benchmarks.swap.rows.many_swaps import growth_values
from benchmarks.swap.rows.prediction import CASES, prediction_values
from benchmarks.swap.rows.swap import Swap
from benchmarks.swap.targets import COLD, LIMIT, RAM_DISK, ROUTER, SWAP_TARGETS, WARM
from benchmarks.swap.works import QUESTION, continued, long_work, short_work
from benchmarks.targets import TARGETS


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ram = tmp_path / "ram"
    ram.mkdir()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"model")
    return Ground(tmp_path / "a.gguf", tmp_path / "b.gguf", tmp_path / "big.gguf", 10, ram)


def around(folder: Path, *, llama_server: str = "") -> Surroundings:
    return Surroundings(folder, folder, None, Peers(llama_server), 2, short=False)


def test_every_target_belongs_to_a_row_and_to_sides_that_exist(ground: Ground, tmp_path: Path):
    """A target whose row or side is never run would never be missed."""
    sides = {row.name: {e.label for e in row.entries(around(tmp_path, llama_server="x"))} for row in swap_rows(ground)}

    assert {t.row for t in SWAP_TARGETS} == set(sides)
    for target in SWAP_TARGETS:
        assert {target.of, target.against} - {""} <= sides[target.row], target.title


def test_row_names_are_not_those_of_the_other_benchmark(ground: Ground):
    """The figures of a row are found by its name."""
    names = [row.name for row in swap_rows(ground)]

    assert len(names) == len(set(names))
    assert not set(names) & {target.row for target in TARGETS}


def test_seconds_above_the_limit_are_a_difference():
    """Of the same round; a swap below the limit is met, too."""
    target = Target("swap", "t", "s", "at most", 0.08, LIMIT, relation="difference")
    samples = [Sample(who, n, {"s": s}) for who, n, s in
               ((OURS, 1, 0.3), (LIMIT, 1, 0.25), (OURS, 2, 0.2), (LIMIT, 2, 0.25), (OURS, 3, 9.0))]  # fmt: skip
    found = figure(target, {"swap": samples})

    assert [0.05, -0.05] == pytest.approx(found.rounds)
    assert found.met
    assert not Figure(target, [0.09]).met


def test_the_peer_takes_part_only_where_it_is_given(ground: Ground, tmp_path: Path):
    """The limit always does."""
    row = Swap(ground)

    assert [OURS, LIMIT] == [entry.label for entry in row.entries(around(tmp_path))]
    assert [OURS, ROUTER, LIMIT] == [entry.label for entry in row.entries(around(tmp_path, llama_server="x"))]


def test_a_ram_disk_that_is_too_small_is_said(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the file does not fit, that side is left out, and the page says why."""
    row = BigFileLoad(ground)
    whole = [entry.label for entry in row.entries(around(tmp_path))]
    nothing_to_say = row.remarks()
    monkeypatch.setattr(Ground, "ram_free", lambda _: SPARE_RAM_BYTES)
    small = [entry.label for entry in row.entries(around(tmp_path))]

    assert ([COLD, WARM, RAM_DISK], []) == (whole, nothing_to_say)
    assert [COLD, WARM] == small
    assert ["the RAM disk has 256 MiB free, and this row would need 256"] == row.remarks()


def test_the_growth_is_that_of_the_last_look():
    """Against the look after the early swaps, whichever came in between."""
    looks = [
        {"swaps": n, "rss": rss, "pss": 1, "processes": n, "files": 9} for n, rss in ((5, 100), (10, 500), (50, 104))
    ]
    values = growth_values(looks, 5)

    assert 1.04 == values["growth"]
    assert (45.0, 0.0) == (values["more_processes"], values["more_files"])


@pytest.mark.parametrize(("first", "off"), [(100, 1.25), (130, 1.3), (60, 100 / 60)])
def test_the_worst_prediction_counts(first: int, off: float):
    """Too little is as bad as too much."""
    values = prediction_values({"a": first, "b": 80}, {"a": 100, "b": 100})

    assert off == pytest.approx(values["off_by"])
    assert first / 100 == values["a"]


def test_predictions_differ_in_model_and_context():
    """Weights and cache are predicted apart."""
    assert 2 == len({model for model, _ in CASES}) == len({n_ctx for _, n_ctx in CASES})


def test_the_second_answer_of_a_conversation_is_the_figure():
    """The first one, which had to be read, stands beside it."""
    first, again = Answer(0.0, 9.0, [4.0]), Answer(20.0, 22.0, [20.5], prompt_tokens=1270, cached_tokens=1200)

    assert {"ttft_s": 0.5, "first_time_s": 4.0, "prompt_tokens": 1270, "cached_tokens": 1200} == return_values(
        first, again
    )


def test_a_conversation_goes_on_with_its_own_answer():
    """And one short question; all that was said before is at its beginning."""
    work = long_work(words, 1, short=True)
    more = continued(work, Answer(0.0, text="I see."), words, 2)

    assert work.messages == more.messages[: len(work.messages)]
    assert ("assistant", "I see.") == more.messages[-2]
    assert QUESTION == words(more.messages[-1][1])


def test_short_prompts_begin_differently():
    """Nothing that is kept of one helps another."""
    assert short_work(words, 1).messages[0] != short_work(words, 2).messages[0]
