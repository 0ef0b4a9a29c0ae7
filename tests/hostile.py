"""Damaged and hostile GGUF files, made from a small whole one; the same for the same seed."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import gguf

from tests.core.gguf import raw_gguf as raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NUMBERS: Final = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
PIECES: Final = 64
# What the memory of a load is predicted from, and what llama.cpp sizes its own tables by.
SIZES: Final = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "rope.dimension_count",
    "expert_count",
    "vocab_size",
)


@dataclass(frozen=True)
class Case:
    """One file and what is wrong with it."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Whole:
    """A valid file taken apart: metadata pairs and tensor entries as bytes, by name, and the weights."""

    pairs: dict[str, bytes]
    tensors: dict[str, bytes]
    data: bytes

    @classmethod
    def read(cls, file: Path) -> Whole:
        """Take a file apart with the reference reader."""
        reader = gguf.GGUFReader(file)
        pairs = {k: _bytes(f) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        tensors = {t.name: _bytes(t.field) for t in reader.tensors}
        return cls(pairs, tensors, file.read_bytes()[reader.data_offset :])

    def content(self) -> bytes:
        """Put it together again."""
        return raw.gguf(pairs=tuple(self.pairs.values()), tensors=tuple(self.tensors.values())) + self.data

    def header_bytes(self) -> int:
        """Where the weights begin."""
        return len(self.content()) - len(self.data)

    def with_pair(self, key: str, pair: bytes) -> Whole:
        """The same with another value for a key."""
        return replace(self, pairs={**self.pairs, key: pair})

    def with_tensor(self, name: str, entry: bytes) -> Whole:
        """The same with another entry for a tensor."""
        return replace(self, tensors={**self.tensors, name: entry})


def cases(whole: Whole, *, seed: int) -> Iterator[Case]:
    """First one of every kind that is made by hand, then chance, for ever."""
    yield from truncations(whole)
    yield from sizes(whole)
    yield from shapes(whole)
    dice = random.Random(seed)
    content, header = whole.content(), whole.header_bytes()
    for number in itertools.count():
        damage = DAMAGES[number % len(DAMAGES)]
        yield Case(f"{damage.__name__} {number}", damage(content, header, dice))


def truncations(whole: Whole) -> Iterator[Case]:
    """The file broken off at every sixty-fourth, and so its header."""
    content, header = whole.content(), whole.header_bytes()
    for end in (len(content), header):
        for piece in range(PIECES):
            yield Case(f"the first {piece}/{PIECES} of {end} bytes", content[: end * piece // PIECES])


def sizes(whole: Whole) -> Iterator[Case]:
    """Every number that memory is planned by, as no model has it."""
    for size in SIZES:
        key = f"llama.{size}"
        for value in NUMBERS:
            kind, encoded = (raw.UINT32, raw.u32(value)) if value < 2**32 else (raw.UINT64, raw.u64(value))
            yield Case(f"{key} {value}", whole.with_pair(key, raw.pair(key, kind, encoded)).content())
        for name, pair in _wrong_types(key).items():
            yield Case(f"{key} {name}", whole.with_pair(key, pair).content())


def shapes(whole: Whole) -> Iterator[Case]:
    """Tensors that lie on each other, or outside, or are of impossible sizes; counts, texts and arrays likewise."""
    first, second = list(whole.tensors)[:2]
    for number in NUMBERS:
        yield Case(f"offset {number}", whole.with_tensor(second, raw.tensor(second, (8,), offset=number)).content())
        yield Case(f"width {number}", whole.with_tensor(first, raw.tensor(first, (number,))).content())
        yield Case(f"product {number}", whole.with_tensor(first, raw.tensor(first, (number,) * 4)).content())
        yield Case(f"text {number}", whole.with_pair("x", raw.pair("x", raw.STRING, raw.u64(number))).content())
        yield Case(f"array {number}", whole.with_pair("x", raw.array("x", raw.UINT8, number)).content())
        yield Case(f"texts {number}", whole.with_pair("x", raw.array("x", raw.STRING, number)).content())
        yield Case(f"pairs {number}", raw.gguf(n_pairs=number))
        yield Case(f"tensors {number}", raw.gguf(n_tensors=number))
    deep = raw.u32(raw.ARRAY) + raw.u64(1)
    for depth in (2, 1000, 100_000):
        nested = raw.pair("x", raw.ARRAY, deep * depth + raw.u32(raw.UINT8) + raw.u64(1) + b"\1")
        yield Case(f"array {depth} deep", whole.with_pair("x", nested).content())
    yield Case("the same tensor twice", whole.with_tensor("x", whole.tensors[first]).content())
    yield Case("the same weights twice", whole.with_tensor("x", raw.tensor("x", (8,), offset=0)).content())
    yield Case("tensors missing", replace(whole, tensors={first: whole.tensors[first]}).content())
    yield Case("nothing at all", raw.gguf())


# --- chance ---


def flipped(content: bytes, header: int, dice: random.Random) -> bytes:
    """A few wrong bits in the header."""
    damaged = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        damaged[dice.randrange(header)] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def overwritten(content: bytes, header: int, dice: random.Random) -> bytes:
    """A hostile number somewhere in the header."""
    at = dice.randrange(header)
    return content[:at] + raw.u64(dice.choice(NUMBERS)) + content[at + 8 :]


def cut_out(content: bytes, header: int, dice: random.Random) -> bytes:
    """Some bytes of the header missing."""
    at = dice.randrange(header)
    return content[:at] + content[at + dice.randint(1, 64) :]


def doubled(content: bytes, header: int, dice: random.Random) -> bytes:
    """Some bytes of the header twice."""
    at = dice.randrange(header)
    return content[: at + dice.randint(1, 64)] + content[at:]


def noise(content: bytes, header: int, dice: random.Random) -> bytes:
    """Anything at all in a place of the header."""
    at = dice.randrange(4, header)
    junk = dice.randbytes(dice.randint(1, 256))
    return content[:at] + junk + content[at + len(junk) :]


DAMAGES: Final[tuple[Callable[[bytes, int, random.Random], bytes], ...]] = (
    flipped,
    overwritten,
    cut_out,
    doubled,
    noise,
)


def _wrong_types(key: str) -> dict[str, bytes]:
    return {
        "a text": raw.pair(key, raw.STRING, raw.text("many")),
        "not a number": raw.pair(key, raw.FLOAT32, b"\x00\x00\xc0\x7f"),
        "minus one": raw.pair(key, raw.INT32, b"\xff" * 4),
        "yes": raw.pair(key, raw.BOOL, b"\1"),
        "a list": raw.array(key, raw.UINT32, 1000, b"\xff" * 4000),
        "an empty list": raw.array(key, raw.UINT32, 0),
    }


def _bytes(field: gguf.ReaderField) -> bytes:
    return b"".join(part.tobytes() for part in field.parts)
