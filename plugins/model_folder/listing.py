"""One look at a folder: which models are in it, and which of them are whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.catalog import record_of
from hoshikage.core.creation import check_model
from hoshikage.core.errors import ModelFileError, NotSupported
from hoshikage.core.gguf import model_stem, parts_of, read_header
from hoshikage.core.importing.found import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hoshikage import ModelRecord

log = structlog.get_logger(__name__)

# A file is read once nobody has written to it for so long: a copy may have its full size from the beginning.
SETTLE_S: Final = 0.3
# So long a copy may pause before what it has left is called damaged.
PATIENCE_S: Final = 10.0
GROWING_S: Final = 1.0

PartVersion = tuple[int, int, int]


class State(StrEnum):
    """settling ▸ offered, other (no model), or incomplete ▸ damaged; every change of a file begins anew."""

    SETTLING = "settling"
    OFFERED = "offered"
    OTHER = "other"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of reading a model's files.

    Attributes:
        problem: why it is not offered; empty where it is.
        barred: the system did not let us read it; that can change while the files stay as they are.
        other: it is a whole file, but no model.
    """

    problem: str = ""
    barred: bool = False
    other: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """The files of one model as they were seen last.

    Attributes:
        version: inode, size and time of each part; `None` for one that is missing.
        since: when this version was there already, on the monotonic clock.
        waiting_since: when the wait for a whole model began; `None` where that has been said in the log.
        record: what is offered.
    """

    version: tuple[PartVersion | None, ...]
    since: float
    waiting_since: float | None
    state: State = State.SETTLING
    finding: Finding = Finding()
    record: ModelRecord | None = None


def look(
    folder: Path, before: Mapping[Path, Candidate], *, now: float, wall: float, settle_s: float
) -> dict[Path, Candidate]:
    """Look at the folder again; only files that have changed since `before` are opened, or could not be.

    Raises:
        OSError: the folder cannot be read.
    """
    found: dict[Path, Candidate] = {}
    for first, name in names_of(first_parts(folder)).items():
        version = tuple(_version(part) for part in parts_of(first))
        seen = before.get(first)
        if seen is None or seen.version != version:
            seen = _changed(version, seen, now=now, wall=wall)
        found[first] = _judged(first, name, seen, now=now, settle_s=settle_s)
    for first in before.keys() - found.keys():
        log.info("model_file_gone", file=_written(first))
    return found


def first_parts(folder: Path) -> list[Path]:
    """The file that stands for each model: the first part of a split one, even where that is missing."""
    files = (f for f in folder.iterdir() if f.suffix == ".gguf" and _is_file(f)) if folder.is_dir() else ()
    return sorted({parts_of(f)[0] for f in files})


def names_of(files: Iterable[Path]) -> dict[Path, str]:
    """Each model's name: its file's stem, for a split one without the number, unless that is taken."""
    files = list(files)
    taken = {f.stem for f in files}
    names: dict[Path, str] = {}
    for file in files:
        stem = model_stem(file)
        names[file] = file.stem if stem in taken else stem
        taken.add(names[file])
    return names


# --- inside ---


def _changed(
    version: tuple[PartVersion | None, ...], before: Candidate | None, *, now: float, wall: float
) -> Candidate:
    """A model whose files are not as they were; its old record stays where other files took the place of the old."""
    newest = max((part[2] for part in version if part), default=0) / 1e9
    since = now - min(max(wall - newest, 0.0), PATIENCE_S)
    if before is None:
        return Candidate(version, since, waiting_since=now)
    if before.state is not State.OFFERED:
        return Candidate(version, since, before.waiting_since)
    moved_in = all(new and old and new[0] != old[0] for new, old in zip(version, before.version, strict=True))
    return Candidate(version, since, waiting_since=now, record=before.record if moved_in else None)


def _judged(first: Path, name: str, seen: Candidate, *, now: float, settle_s: float) -> Candidate:
    quiet_s = now - seen.since
    if seen.state is State.SETTLING and quiet_s < settle_s:
        return _said_to_grow(first, seen, now)
    finding = _read(first) if seen.state is State.SETTLING or seen.finding.barred else seen.finding
    state = _state(finding, quiet_s)
    if state is not seen.state:
        _say(first, name, state, finding.problem)
    elif seen.record is None or seen.record.name == name:
        return seen
    record = record_of(name, first) if state is State.OFFERED else None
    return replace(seen, state=state, finding=finding, record=record)


def _state(finding: Finding, quiet_s: float) -> State:
    if not finding.problem:
        return State.OFFERED
    if finding.other:
        return State.OTHER
    return State.INCOMPLETE if quiet_s < PATIENCE_S else State.DAMAGED


def _read(first: Path) -> Finding:
    try:
        check_path(first)
        check_model(read_header(first))
    except NotSupported as error:
        return Finding(error.message, other=True)
    except ModelFileError as error:
        cause = error.__cause__
        barred = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
        return Finding(error.message, barred=barred)
    return Finding()


def _say(first: Path, name: str, state: State, problem: str) -> None:
    if state is State.OFFERED:
        log.info("model_file_found", file=_written(first), model=name)
    elif state is State.OTHER:
        log.info("model_file_passed_over", file=_written(first), reason=problem)
    elif state is State.INCOMPLETE:
        log.info("model_file_incomplete", file=_written(first), reason=problem)
    else:
        log.warning("model_file_damaged", file=_written(first), reason=problem)


def _written(file: Path) -> str:
    """A path for the log, which is UTF-8, as names on disk need not be."""
    return str(file).encode(errors="backslashreplace").decode()


def _said_to_grow(first: Path, seen: Candidate, now: float) -> Candidate:
    """A copy that takes its time is mentioned once."""
    if seen.waiting_since is None or now - seen.waiting_since < GROWING_S:
        return seen
    log.info("model_file_growing", file=_written(first))
    return replace(seen, waiting_since=None)


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a link to where we may not look hides no other model
        return False


def _version(file: Path) -> PartVersion | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)
