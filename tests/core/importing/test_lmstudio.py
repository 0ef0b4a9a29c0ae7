"""Looking into LM Studio's folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.core.importing import Found, Unusable, scan_lmstudio
from tests.core.gguf.raw_gguf import SMALL
from tests.core.importing.stores import LORA, SIGHT, split_part

if TYPE_CHECKING:
    from pathlib import Path


def put(root: Path, where: str, content: bytes = SMALL) -> Path:
    file = root / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def names(root: Path, only: str = "") -> list[str]:
    items = list(scan_lmstudio(root, only=only))
    assert all(isinstance(item, Found) for item in items), items
    return [item.name for item in items if isinstance(item, Found)]


def test_model_has_the_name_of_its_file(tmp_path: Path):
    """It is registered where it lies, and owns nothing."""
    file = put(tmp_path, "pub/repo/Star-Q4_K_M.gguf")
    put(tmp_path, "pub/repo/Moon.GGUF")

    (_, star) = scan_lmstudio(tmp_path)

    assert isinstance(star, Found)
    assert ("Star-Q4_K_M", file, len(SMALL)) == (star.name, star.file, star.size_bytes)
    assert (str(file.parent), file.name, ()) == (star.entry.path, star.entry.model, star.entry.owned)


def test_files_of_one_name_are_told_apart(tmp_path: Path):
    """The second has its publisher before it."""
    put(tmp_path, "one/repo/star.gguf")
    put(tmp_path, "two/repo/Star.gguf")

    assert ["star", "two/Star"] == names(tmp_path)
    assert ["two/Star"] == names(tmp_path, only="two/star")


def test_files_of_one_name_and_one_publisher_are_told_apart(tmp_path: Path):
    """The third has its repository before it too; a file that differs by its ending alone has that."""
    for where in ("one/a/star.gguf", "two/a/star.gguf", "two/b/star.GGUF", "two/b/star.gguf"):
        put(tmp_path, where)

    assert ["star", "two/star", "two/b/star", "two/b/star.gguf"] == names(tmp_path)


def test_files_for_images_are_left_out(tmp_path: Path):
    """By their name or by their header."""
    put(tmp_path, "pub/repo/mmproj-star-f16.gguf")
    put(tmp_path, "pub/repo/eyes.gguf", SIGHT)
    put(tmp_path, "pub/repo/star.gguf")

    assert ["star"] == names(tmp_path)


def test_split_model_is_one(tmp_path: Path):
    """Its size is that of all parts; one that lacks a part is told."""
    for number in range(3):
        put(tmp_path, f"pub/repo/star-0000{number + 1}-of-00003.gguf", split_part(number, 3))
    put(tmp_path, "pub/torn/moon-00001-of-00002.gguf", split_part(0, 2))

    star, moon = scan_lmstudio(tmp_path)

    assert isinstance(star, Found)
    assert ("star", "star-00001-of-00003.gguf") == (star.name, star.entry.model)
    assert sum(len(split_part(number, 3)) for number in range(3)) == star.size_bytes
    assert isinstance(moon, Unusable)
    assert "moon-00002-of-00002.gguf" in moon.reason


def test_what_is_broken_is_told(tmp_path: Path):
    """A file that is none, one that cannot be registered by its name, and one whose name is no text."""
    put(tmp_path, "pub/repo/half.gguf", b"GGUF")
    put(tmp_path, "pub/repo/a b.gguf")
    put(tmp_path, "pub/repo/\udcff.gguf")

    put(tmp_path, "pub/repo/lora.gguf", LORA)

    reasons = [item.reason for item in scan_lmstudio(tmp_path) if isinstance(item, Unusable)]

    assert 4 == len(reasons)
    assert any("this is no model, its type is 'adapter'" in reason for reason in reasons)
    assert any("not allowed" in reason for reason in reasons)
    assert any("no UTF-8" in reason for reason in reasons)


def test_files_elsewhere_are_passed_over(tmp_path: Path):
    """Only the second level of folders holds models."""
    put(tmp_path, "a.gguf")
    put(tmp_path, "pub/b.gguf")
    put(tmp_path, "pub/repo/deep/c.gguf")
    put(tmp_path, "pub/repo/notes.txt")

    assert [] == names(tmp_path)
