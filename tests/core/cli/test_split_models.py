"""Split models on the command line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.core.gguf import raw_gguf as raw

if TYPE_CHECKING:
    from pathlib import Path

    from tests.core.cli.conftest import CommandLine


def parts_in(folder: Path) -> tuple[Path, Path]:
    """A model in two files."""
    first, second = folder / "big-00001-of-00002.gguf", folder / "big-00002-of-00002.gguf"
    first.write_bytes(raw.PART_1)
    second.write_bytes(raw.PART_2)
    return first, second


def test_first_part_stands_for_the_model(hoshikage: CommandLine, tmp_path: Path):
    """A split model is added by its first part, and has the size of all of them."""
    first, _ = parts_in(tmp_path)

    done = hoshikage("add", str(first), "big")

    assert 0 == done.returncode, done.stderr
    sizes = {row["name"]: row["size_bytes"] for row in hoshikage.json("list")}
    digest = hoshikage.json("show", "big")["digest"]
    lines = "".join(f"{hashlib.sha256(part).hexdigest()}\n" for part in (raw.PART_1, raw.PART_2))
    assert len(raw.PART_1) + len(raw.PART_2) == sizes["big"]
    assert hashlib.sha256(lines.encode()).hexdigest() == digest


def test_further_part_is_refused_with_the_first(hoshikage: CommandLine, tmp_path: Path):
    """Whoever adds a further part is told to name the first one, in one line."""
    first, second = parts_in(tmp_path)

    done = hoshikage("add", str(second), "big")

    assert (1, f"error: {second} is part 2 of 2 of a model; name its first part, {first}\n") == (
        done.returncode,
        done.stderr,
    )


def test_model_without_a_part_is_refused(hoshikage: CommandLine, tmp_path: Path):
    """A split model that is not whole cannot be added; the part that is missing is named."""
    first, second = parts_in(tmp_path)
    second.unlink()

    done = hoshikage("add", str(first), "big")

    assert (1, True) == (done.returncode, done.stderr.startswith(f"error: {second} does not exist"))


def test_links_to_parts_are_added_by_their_names(hoshikage: CommandLine, tmp_path: Path):
    """A cache of Hugging Face keeps the files elsewhere, under names that do not say which part they are."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for number, part in enumerate(parts_in(tmp_path)):
        part.rename(tmp_path / "blobs" / str(number))
        (tmp_path / "snapshot" / part.name).symlink_to(f"../blobs/{number}")

    done = hoshikage("add", str(tmp_path / "snapshot" / "big-00001-of-00002.gguf"), "big")

    assert 0 == done.returncode, done.stderr
    assert len(raw.PART_1) + len(raw.PART_2) == {r["name"]: r["size_bytes"] for r in hoshikage.json("list")}["big"]
