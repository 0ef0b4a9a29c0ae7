"""Which of a repository's GGUF files to take: a pure decision over their names and sizes."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import DownloadFailed
from hoshikage.core.gguf.parts import MAX_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_QUANTIZATION: Final = "Q4_K_M"
SENSIBLE_BITS: Final = 4  # below that, answers suffer more than memory is saved
FULL_BITS: Final = 16
MAX_NAMED: Final = 40  # in an error, of the variants that there are; each with so many characters
MAX_NAME: Final = 100

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_LABEL = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d\w*|TQ\d_\d|B?F16|FP16|B?F32|FP32|MXFP4\w*|NVFP4\w*))(?![A-Za-z0-9])",
    re.IGNORECASE | re.ASCII,
)
# GGUF files that are no models by themselves: eyes of a model, and statistics from its quantisation.
_BESIDE = re.compile(r"(?:^|[-._/])(?:mmproj|imatrix)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; `sha256` is empty where the Hub does not know it."""

    path: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One model in one quantisation.

    Attributes:
        stem: the path without `.gguf` and the numbers of parts.
        files: its parts in order; mostly one.
    """

    stem: str
    files: tuple[HubFile, ...]

    @property
    def label(self) -> str:
        """The quantisation that its name says, as written; empty where it says none."""
        found = _LABEL.findall(self.stem)
        return str(found[-1]) if found else ""

    @property
    def size_bytes(self) -> int:
        """Of all parts."""
        return sum(file.size_bytes for file in self.files)

    def answers_to(self, wanted: str) -> int:
        """How well it fits what was asked for: 0 not at all, else the higher the better."""
        wanted, label = wanted.casefold(), self.label.casefold()
        file = self.stem.rpartition("/")[2].casefold()
        if wanted in {file, f"{file}.gguf"}:
            return 3
        return 2 if wanted == label else int(wanted == label.removeprefix("ud-"))


def variants_of(files: Iterable[HubFile]) -> list[Variant]:
    """The models of a repository; one that lacks a part is none, nor is a file with an odd path.

    Whoever lists the files can claim 99999 parts for each, so the work for one does not grow with that number.
    """
    parts: dict[tuple[str, int], dict[int, HubFile]] = defaultdict(dict)
    for file in files:
        if not file.path.lower().endswith(".gguf") or _BESIDE.search(file.path) or _is_odd(file.path):
            continue
        split = _SPLIT.fullmatch(file.path)
        stem, number, count = (
            (split["stem"], int(split["number"]), int(split["count"])) if split else (file.path[:-5], 1, 1)
        )
        if 1 <= number <= count <= MAX_PARTS:
            parts[stem, count][number] = file
    whole = {key: found for key, found in parts.items() if len(found) == key[1]}
    return [Variant(stem, tuple(found[n] for n in sorted(found))) for (stem, _), found in sorted(whole.items())]


def choose(variants: Sequence[Variant], wanted: str, repo: str) -> Variant:
    """The one that was asked for, in any case of letters; else Q4_K_M, else the smallest that is still sensible.

    Raises:
        DownloadFailed: there is none such; the error lists what there is.
    """
    if not variants:
        raise DownloadFailed(f"{repo} holds no whole GGUF model; look for a repository whose name ends in -GGUF")
    fitting = [v for v in variants if v.answers_to(wanted or DEFAULT_QUANTIZATION)]
    if fitting:
        return min(fitting, key=lambda v: (-v.answers_to(wanted or DEFAULT_QUANTIZATION), len(v.stem), v.stem))
    if wanted:
        there = sorted({(v.label or v.stem)[:MAX_NAME] for v in variants})
        more = f" and {len(there) - MAX_NAMED} more" if len(there) > MAX_NAMED else ""
        raise DownloadFailed(f"{repo} has no {wanted}; it has: {', '.join(there[:MAX_NAMED])}{more}")
    sensible = [v for v in variants if _bits(v) >= SENSIBLE_BITS]
    return min(sensible, key=_smallest) if sensible else max(variants, key=_smallest)


def _smallest(variant: Variant) -> tuple[int, str]:
    return variant.size_bytes, variant.stem


def _bits(variant: Variant) -> int:
    digits = re.search(r"\d+", variant.label)
    return int(digits[0]) if digits else FULL_BITS


def _is_odd(path: str) -> bool:
    return "\\" in path or any(part in {"", ".", ".."} for part in path.split("/"))
