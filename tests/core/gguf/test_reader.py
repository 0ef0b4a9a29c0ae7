"""The reader: what it reads of valid files, and how it refuses all others."""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc

import gguf as reference
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import ValueType, facts_of, read_header
from tests.core.gguf import raw_gguf as raw

FLIPS_LIMIT_S = 60.0
FLIPS_MEMORY_BYTES = 64 << 20
VOCABULARY_LIMIT_S = 1.0  # it takes some 30 ms; the rest is room for a busy machine
HUGE = (2**32, 2**63 - 1, 2**63, 2**64 - 1)


# --- valid files ---


def test_scalars_and_strings_are_those_of_the_reference_reader(written):
    """Every scalar type and every string is read as the reference reader reads it."""
    fields = reference.GGUFReader(written).fields
    expected = {
        key: field.contents()
        for key, field in fields.items()
        if not key.startswith("GGUF.") and field.types[0] != reference.GGUFValueType.ARRAY
    }

    assert expected == read_header(written).metadata


def test_arrays_are_those_of_the_reference_reader(written):
    """Of an array its element type and its length are kept."""
    fields = reference.GGUFReader(written).fields
    expected = {
        key: (field.types[1], len(field.data))
        for key, field in fields.items()
        if field.types[0] == reference.GGUFValueType.ARRAY
    }

    assert expected == read_header(written).arrays


def test_tensors_are_those_of_the_reference_reader(written):
    """Names, shapes, types, places and sizes of tensors agree with the reference reader."""
    header = read_header(written)
    expected = [
        (t.name, tuple(t.shape.tolist()), t.tensor_type.name, t.data_offset, t.n_bytes)
        for t in reference.GGUFReader(written).tensors
    ]

    assert expected == [(t.name, t.shape, t.type, header.data_offset + t.offset, t.size_bytes) for t in header.tensors]


def test_version_data_offset_and_size_are_read(written):
    """The header knows its version, where the weights begin and how large the file is."""
    header = read_header(written)

    assert (3, written.stat().st_size) == (header.version, header.file_size)
    assert reference.GGUFReader(written).data_offset == header.data_offset


def test_version_2_is_read(file_of):
    """A GGUF of version 2 has the same layout and is read."""
    assert read_header(file_of(raw.gguf(version=2, pairs=(raw.ARCHITECTURE,)))).version == 2


def test_own_alignment_moves_the_data(file_of):
    """The weights begin at the next multiple of the file's own alignment."""
    pairs = (raw.pair("general.alignment", raw.UINT32, raw.u32(512)),)
    file = file_of(raw.gguf(pairs=pairs, tensors=(raw.tensor(),)).ljust(512 + 32, b"\0"))

    assert read_header(file).data_offset == 512


def test_broken_characters_in_a_value_are_replaced(file_of):
    """A value that is no UTF-8 does not make a model unusable."""
    file = file_of(raw.gguf(pairs=(raw.pair("note", raw.STRING, raw.text(b"a\xff")),)))

    assert read_header(file).metadata == {"note": "a\N{REPLACEMENT CHARACTER}"}


def test_big_vocabulary_is_skipped_quickly(big_vocabulary):
    """A vocabulary of a real model's size costs a fraction of a second, and what follows is found."""
    started = time.perf_counter()
    header = read_header(big_vocabulary)
    seconds = time.perf_counter() - started

    assert header.metadata["after.the.arrays"] == "found"
    assert header.arrays["tokenizer.ggml.merges"] == (ValueType.STRING, 50_000)
    assert seconds < VOCABULARY_LIMIT_S


def test_value_larger_than_a_window_is_read_whole(file_of):
    """A long text that spans several read windows arrives complete, and so does what follows."""
    long = "影" * 1_000_000
    pairs = (raw.pair("long", raw.STRING, raw.text(long)), raw.ARCHITECTURE)

    assert {"long": long, "general.architecture": "llama"} == read_header(file_of(raw.gguf(pairs=pairs))).metadata


# --- files that are no GGUF at all ---


def test_missing_file_is_refused(tmp_path):
    """A missing file is named in one line."""
    with pytest.raises(ModelFileError, match=r"^.*gone\.gguf does not exist; check the path"):
        read_header(tmp_path / "gone.gguf")


def test_directory_is_refused(tmp_path):
    """A directory is told from a file."""
    with pytest.raises(ModelFileError, match="is a directory"):
        read_header(tmp_path)


def test_pipe_is_refused_without_waiting(tmp_path):
    """A named pipe is refused and not opened, because that would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ModelFileError, match="is not a regular file"):
        read_header(tmp_path / "pipe")


def test_unusable_paths_are_refused(tmp_path):
    """Paths that the system does not take are refused like missing files."""
    for name in ("a\0b", "a" * 5000):
        with pytest.raises(ModelFileError, match="check the"):
            read_header(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty (at byte 0)"),
        (b"GG", "the magic number needs 4 bytes, but only 2 are left"),
        (b"PK\x03\x04....", "it begins with b'PK\\x03\\x04' instead of b'GGUF'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"<!DOCTYPE html>", "it looks like a web page"),
        (raw.gguf(version=0), "version 0, but only 2 and 3"),
        (raw.gguf(version=1), "version 1, but only 2 and 3"),
        (raw.gguf(version=4), "version 4, but only 2 and 3"),
        (raw.gguf(version=3 << 24), "it is a big-endian GGUF, which is not supported (at byte 4)"),
    ],
    ids=raw.id_of,
)
def test_other_files_are_refused(refusal_of, content, problem):
    """A file of another kind is refused with a word on what it is."""
    assert problem in refusal_of(content)


# --- hostile metadata ---


@pytest.mark.parametrize("count", [2, 1 << 14, 1 << 16, *HUGE])
def test_huge_counts_are_refused(refusal_of, count):
    """A file of a few bytes cannot claim more pairs or tensors than could be in it."""
    assert "the number of metadata pairs is" in refusal_of(raw.gguf(n_pairs=count) + bytes(11))
    assert "the number of tensors is" in refusal_of(raw.gguf(n_tensors=count) + bytes(11))


@pytest.mark.parametrize("length", [1000, 65_535, 65_536, *HUGE])
def test_huge_string_lengths_are_refused(refusal_of, length):
    """A length beyond the file is refused in a key, a value, an array and a tensor's name."""
    a_lot = bytes(64)
    key = raw.gguf(pairs=(raw.u64(length) + a_lot,))
    value = raw.gguf(pairs=(raw.pair("note", raw.STRING, raw.u64(length) + a_lot),))
    element = raw.gguf(pairs=(raw.array("tokens", raw.STRING, 1, raw.u64(length) + a_lot),))
    name = raw.gguf(tensors=(raw.u64(length) + a_lot,))

    assert "a metadata key" in refusal_of(key)
    assert "the value of 'note'" in refusal_of(value)
    assert "a string in the value of 'tokens'" in refusal_of(element)
    assert "a tensor's name" in refusal_of(name)


@pytest.mark.parametrize("kind", [kind for kind in ValueType if kind is not ValueType.ARRAY])
@pytest.mark.parametrize("length", [1000, *HUGE])
def test_huge_array_lengths_are_refused(refusal_of, kind, length):
    """An array of any type cannot claim more elements than could be in the file."""
    content = raw.gguf(pairs=(raw.array("list", kind, length, bytes(64)),))

    assert f"the length of the value of 'list' is {length}" in refusal_of(content)


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ((raw.array("list", raw.ARRAY, 1, bytes(64)),), "'list' is an array of arrays"),
        ((raw.array("list", 13, 0),), "an element of the value of 'list' has the unknown type 13"),
        ((raw.pair("x", 13, bytes(8)),), "the value of 'x' has the unknown type 13"),
        ((raw.pair("x", raw.BOOL, b"\x02"),), "the value of 'x' is the boolean 2"),
        ((raw.pair("", raw.BOOL, b"\x01"),), "a metadata key has a length of 0"),
        ((raw.pair("k" * 65_536, raw.BOOL, b"\x01"),), "a metadata key has a length of 65536"),
        ((raw.pair(b"\xff", raw.BOOL, b"\x01"),), "the metadata key b'\\xff' is no UTF-8"),
        ((raw.ARCHITECTURE, raw.ARCHITECTURE), "the key 'general.architecture' occurs twice"),
        ((raw.array("k", raw.UINT8, 0), raw.pair("k", raw.BOOL, b"\x01")), "the key 'k' occurs twice"),
    ],
    ids=raw.id_of,
)
def test_malformed_metadata_is_refused(refusal_of, pairs, problem):
    """What the format does not allow in metadata is refused by name."""
    assert problem in refusal_of(raw.gguf(pairs=pairs))


def test_long_keys_are_cut_in_messages(refusal_of):
    """A key of 60,000 characters does not fill the log."""
    assert len(refusal_of(raw.gguf(pairs=(raw.pair("k" * 60_000, 13, bytes(8)),)))) < 300


@pytest.mark.parametrize("alignment", [0, 3, 48, 1 << 21, 2**32 - 1])
def test_bad_alignment_is_refused(refusal_of, alignment):
    """The alignment must be a power of two of a sane size."""
    content = raw.gguf(pairs=(raw.pair("general.alignment", raw.UINT32, raw.u32(alignment)),))

    assert f"general.alignment is {alignment}, but it must be a power of two" in refusal_of(content)


@pytest.mark.parametrize(
    "pair",
    [
        raw.pair("general.alignment", raw.UINT64, raw.u64(32)),
        raw.pair("general.alignment", raw.STRING, raw.text("32")),
        raw.array("general.alignment", raw.UINT32, 1, raw.u32(32)),
    ],
    ids=["UINT64", "STRING", "array"],
)
def test_alignment_of_a_wrong_type_is_refused(refusal_of, pair):
    """llama.cpp aborts on an alignment that is no UINT32, so such a file must not reach it."""
    assert "but it must be UINT32" in refusal_of(raw.gguf(pairs=(pair,)))


def test_header_in_a_huge_file_is_bounded(file_of):
    """In a file of 8 GiB a text of 4 GiB and an array of 500 million strings are refused at once."""
    for pair in (raw.pair("x", raw.STRING, raw.u64(4 << 30)), raw.array("x", raw.STRING, 500_000_000)):
        file = file_of(raw.gguf(pairs=(pair,)))
        os.truncate(file, 8 << 30)

        with pytest.raises(ModelFileError, match="the value of 'x'"):
            read_header(file)


# --- damage ---


def test_small_file_is_valid(file_of):
    """The file that the damage tests start from is itself valid, for the reference reader too."""
    file = file_of(raw.SMALL)

    assert [t.name for t in reference.GGUFReader(file).tensors] == [t.name for t in read_header(file).tensors]


def test_truncation_at_every_byte_is_refused(file_of):
    """However short a download breaks off, the file is refused."""
    for size in range(len(raw.SMALL)):
        file = file_of(raw.SMALL[:size])

        with pytest.raises(ModelFileError):
            read_header(file)


def test_every_flipped_bit_is_survived(file_of):
    """Any single wrong bit in the header ends in a header or in a refusal, in little time and memory."""
    header_bytes = read_header(file_of(raw.SMALL)).data_offset
    started = time.perf_counter()
    tracemalloc.start()
    for position in range(header_bytes):
        for bit in range(8):
            damaged = bytearray(raw.SMALL)
            damaged[position] ^= 1 << bit
            _read_or_refuse(file_of(bytes(damaged)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < FLIPS_MEMORY_BYTES
    assert time.perf_counter() - started < FLIPS_LIMIT_S


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(raw.SMALL) - 1), st.binary(min_size=1, max_size=8)), max_size=6),
    end=st.integers(24, len(raw.SMALL)),
)
def test_arbitrary_damage_is_survived(file_of, edits, end):
    """Several overwritten places and a lost end give a header or a refusal, never anything else."""
    damaged = bytearray(raw.SMALL)
    for position, replacement in edits:
        damaged[position : position + len(replacement)] = replacement

    _read_or_refuse(file_of(bytes(damaged[:end])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rest=st.binary(max_size=200), counts=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_arbitrary_bytes_are_survived(file_of, rest, counts):
    """Anything after the counts gives a header or a refusal, never anything else."""
    _read_or_refuse(file_of(b"GGUF" + raw.u32(3) + raw.u64(counts[0]) + raw.u64(counts[1]) + rest))


def _read_or_refuse(file):
    """Whatever else is raised fails the test."""
    with contextlib.suppress(ModelFileError):
        facts_of(read_header(file))
