"""The page of changing between models, and the command that writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cli import main, parser
from benchmarks.figures import OURS, Sample
from benchmarks.pages import Pages
from benchmarks.results import Results, RowResult
from benchmarks.swap.page import EXPLAINED, NOTHING_YET, explained, markdown
from benchmarks.swap.plot import draw
from benchmarks.swap.targets import LIMIT, ROUTER
from tests.benchmarks.test_run import MACHINE

OWN_MACHINE = {
    **MACHINE, "second_model": "gemma.gguf", "second_model_sha256": "1" * 64, "ram_disk": "11.0 GiB free",
    "big_file_on": "/dev/vda, ext4",
}  # fmt: skip
PAGES = Pages("swap", ["swap", "many-swaps"], draw, markdown)


@pytest.fixture
def results() -> Results:
    row = RowResult("swap", "Two models in turn", [("to_smollm2_s", "s"), ("to_gemma_s", "s"), ("staged", "share")])
    for number in (1, 2, 3):
        for who, seconds in ((OURS, 0.25), (ROUTER, 0.5), (LIMIT, 0.2)):
            row.samples.append(Sample(who, number, {"to_smollm2_s": seconds, "to_gemma_s": 2 * seconds}))
    looks = [{"swaps": n, "rss": 2**27, "pss": 2**26, "processes": 2, "files": 9} for n in (5, 50)]
    many = RowResult("many-swaps", "50 swaps", [("growth", "")], [Sample(OURS, 1, {"growth": 1.2}, {"looks": looks})])
    return Results(OWN_MACHINE, "full", [row, many], complete=True)


def test_the_page_has_figures_machine_and_what_to_do(results: Results, tmp_path: Path):
    """What is met, against whom, on what, and how to repeat it."""
    PAGES.write(results, tmp_path)
    page = (tmp_path / "swap.md").read_text()

    assert (
        "| swap to SmolLM2-135M, request to first token, against llama-server's router | at most 0.65 | 0.5 |" in page
    )
    assert "| swap to Gemma-3-270M, seconds above the limit | at most 0.08 | 0.1 | 0.1 – 0.1 | **missed** |" in page
    assert "| memory of the server process after 50 swaps / after 5 | at most 1.05 | 1.2 |" in page
    assert "gemma.gguf (SHA-256 111111111111…)" in page
    assert "/dev/vda, ext4" in page
    assert "make bench-swap " in page
    assert page.rstrip().endswith(NOTHING_YET)


def test_explanations_outlive_a_new_run(results: Results, tmp_path: Path):
    """People write them; the next run writes all else anew."""
    PAGES.write(results, tmp_path)
    file = tmp_path / "swap.md"
    file.write_text(file.read_text().replace(NOTHING_YET, "Gemma's vocabulary takes 0.3 s.\n\n- A point."))
    results.minutes = 7
    PAGES.write(results, tmp_path)

    assert "Gemma's vocabulary takes 0.3 s.\n\n- A point." == explained(file.read_text())
    assert 1 == file.read_text().count(EXPLAINED)
    assert "(full form, 7 minutes)" in file.read_text()


def test_a_picture_is_drawn_and_shown(results: Results, tmp_path: Path):
    """Where there is something to show."""
    pytest.importorskip("matplotlib")
    PAGES.write(results, tmp_path)

    assert (tmp_path / "swap.png").read_bytes().startswith(b"\x89PNG")
    assert "![swap.png](swap.png)" in (tmp_path / "swap.md").read_text()
    assert [] == draw(Results(OWN_MACHINE, "full"), tmp_path)


def test_results_can_be_kept(results: Results, tmp_path: Path):
    """A row that is measured again takes the place of its own samples alone."""
    PAGES.write(results, tmp_path)
    again = Results(OWN_MACHINE, "full", [RowResult("many-swaps", "50 swaps", [])])
    PAGES.keep(again, tmp_path, {"swap"})
    PAGES.write(again, tmp_path)

    assert ["swap", "many-swaps"] == [row.name for row in Results.read(tmp_path / "swap.json").rows]
    assert 9 == len(again.rows[0].samples)


def test_another_size_of_the_generated_file_can_be_asked_for():
    """`--short` belongs to the command that it follows."""
    arguments = parser().parse_args(["swap", "--short", "--big-gib", "2.5", "--rows", "swap,back"])

    assert (True, 2.5, ["swap", "back"], False) == (
        arguments.short, arguments.big_gib, arguments.rows, arguments.keep_big,
    )  # fmt: skip


def test_the_rows_can_be_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """No model is loaded for that, and nothing stays behind."""
    for name in ("a.gguf", "b.gguf", "ram", "big"):
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
    files = ["--model", str(tmp_path / "a.gguf"), "--gemma", str(tmp_path / "b.gguf")]
    places = ["--ram-folder", str(tmp_path / "ram"), "--big-folder", str(tmp_path / "big")]

    assert 0 == main(["swap", "--list", *files, *places])
    assert "many-swaps" in capsys.readouterr().out
    assert [] == list((tmp_path / "ram").iterdir())


def test_a_missing_second_model_is_named(tmp_path: Path):
    """With what to do about it."""
    (tmp_path / "a.gguf").touch()
    with pytest.raises(SystemExit, match="make models"):
        main(["swap", "--model", str(tmp_path / "a.gguf"), "--gemma", str(tmp_path / "b.gguf")])
