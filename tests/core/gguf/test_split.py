"""The header of a split model, and how parts that do not belong together are refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import facts_of, read_header
from tests.core.gguf import raw_gguf as raw
from tests.core.gguf.splitting import split

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def parts(tmp_path: Path, written: Path) -> tuple[Path, ...]:
    """The written model in three parts."""
    found = split(written, tmp_path, prefix="big", max_tensors=1)
    assert [f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3)] == [f.name for f in found]
    return found


@pytest.fixture
def refusal(tmp_path: Path):
    """Reads a first and a second part, which must be refused; returns the message and the two files."""

    def refuse(first: bytes, second: bytes | None) -> tuple[str, Path, Path]:
        files = (tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf")
        files[0].write_bytes(first)
        if second is not None:
            files[1].write_bytes(second)
        with pytest.raises(ModelFileError) as caught:
            read_header(files[0])
        return (caught.value.message, *files)

    return refuse


def test_split_model_has_the_facts_of_the_whole(parts, written):
    """Tensors, weights and quantization are those of the file before it was split."""
    whole, found = read_header(written), read_header(parts[0])

    assert [(t.name, t.shape, t.size_bytes) for t in whole.tensors] == [
        (t.name, t.shape, t.size_bytes) for t in found.tensors
    ]
    assert [0, 1, 2] == [t.part for t in found.tensors]
    assert facts_of(whole).parameter_count == facts_of(found).parameter_count
    assert facts_of(whole).chat_template == facts_of(found).chat_template
    assert found.file_size == sum(p.stat().st_size for p in parts)


def test_further_part_is_refused_with_the_first(parts):
    """Whoever names a further part is told the name of the first."""
    with pytest.raises(ModelFileError) as caught:
        read_header(parts[1])

    assert f"{parts[1]} is part 2 of 3 of a model; name its first part, {parts[0]}" == caught.value.message


def test_missing_part_is_named(parts):
    """Without one of its parts a model is refused, with the part's name."""
    parts[2].unlink()

    with pytest.raises(ModelFileError, match=f"^{parts[2]} does not exist"):
        read_header(parts[0])


def test_truncated_part_is_named(parts):
    """A part that is not whole is the one that is named."""
    parts[1].write_bytes(parts[1].read_bytes()[:-32])  # more than the padding at its end

    with pytest.raises(ModelFileError, match=f"^{parts[1]}: tensor"):
        read_header(parts[0])


def test_swapped_parts_are_named(parts):
    """Two parts with each other's names are refused."""
    shutil.move(parts[1], parts[0].with_name("spare"))
    shutil.move(parts[2], parts[1])
    shutil.move(parts[0].with_name("spare"), parts[2])

    with pytest.raises(ModelFileError, match=f"^{parts[1]} is named as part 2 of 3, but it is part 3"):
        read_header(parts[0])


def test_renamed_first_part_is_refused(parts):
    """llama.cpp would look for the other parts under the first one's name."""
    renamed = parts[0].rename(parts[0].with_name("renamed.gguf"))

    with pytest.raises(ModelFileError, match=r"part of a model of 3 files, but is not named so.*00001-of-00003"):
        read_header(renamed)


def test_whole_file_with_the_name_of_a_part_is_refused(written):
    """A whole model under such a name would be staged and counted with files that are not its own."""
    named = written.rename(written.with_name("m-00001-of-00002.gguf"))

    with pytest.raises(ModelFileError, match="named as the first of 2 files, but says that it is one of 1"):
        read_header(named)


def test_split_into_one_is_a_whole_model(written):
    """A model of one part needs no more than its name."""
    named = written.rename(written.with_name("m-00001-of-00001.gguf"))

    assert 3 == len(read_header(named).tensors)


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (raw.split_part(1, (raw.tensor("a"),)), "the tensor 'a' is in an earlier part too"),
        (
            raw.split_part(1, (raw.tensor("b"),), count=3),
            "it says that it is one of 3 files, but the first part says 2",
        ),
        (raw.split_part(1, (raw.tensor("b"),), total=9), "its split.tensors.count differs from that of the first part"),
        (raw.gguf(tensors=(raw.tensor("b"),), data_bytes=32), "it says that it is one of 1 files"),
    ],
)
def test_foreign_part_is_named(refusal, second, problem):
    """A part of another model is refused by name."""
    message, _, further = refusal(raw.PART_1, second)

    assert message.startswith(f"{further} is no part of the model beside it: ")
    assert problem in message


def test_missing_tensors_are_counted(refusal):
    """Parts that together have fewer tensors than they say are not one model."""
    nothing = raw.split_part(1, ())

    message, first, _ = refusal(raw.PART_1, nothing)

    assert message.startswith(f"{first}: split.tensors.count is 2, but its 2 parts have 1 tensors")


@pytest.mark.parametrize(
    "pair",
    [
        raw.pair("split.no", raw.UINT32, raw.u32(1)),
        raw.array("split.no", raw.UINT16, 1, b"\0\0"),
        raw.pair("split.count", raw.UINT64, raw.u64(2)),
        raw.pair("split.tensors.count", raw.STRING, raw.text("2")),
    ],
)
def test_split_keys_of_a_wrong_type_are_refused(refusal, pair):
    """llama.cpp aborts on some of them, so such a file must not reach it."""
    message, _, further = refusal(raw.PART_1, raw.gguf(pairs=(pair,), tensors=(raw.tensor("b"),), data_bytes=32))

    assert message.startswith(f"{further}: the value of 'split.")
    assert "but it must be " in message
