"""A cursor that walks forward through a file's header and never past its end."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import ModelFileError

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

# Real headers have up to some 25 MB (vocabulary and merges). The bound keeps a hostile header in a huge file
# from costing memory and time in proportion to the weights.
MAX_HEADER_BYTES: Final = 64 << 20
# Read in windows, not mapped: a file that shrinks under a map kills the process with SIGBUS.
WINDOW_BYTES: Final = 1 << 20

U32: Final = struct.Struct("<I")
U64: Final = struct.Struct("<Q")
DAMAGED: Final = "the file is damaged or incomplete: download it again"


class Cursor:
    """Reads little-endian values in order; every size is checked before anything is read or allocated.

    `what` in each method names the value for the message of a refusal.
    """

    def __init__(self, stream: FileIO, file: Path, *, file_size: int) -> None:
        self.file = file
        self.file_size = file_size
        self.position = 0
        self._stream = stream
        self._limit = min(file_size, MAX_HEADER_BYTES)
        self._window = b""
        self._window_start = 0

    def refusal(self, problem: str, *, at: int, advice: str = DAMAGED) -> ModelFileError:
        """The error to raise for a problem found at a byte of the file."""
        return ModelFileError(f"{self.file}: {problem} (at byte {at}); {advice}")

    def need(self, size: int, what: str, *, at: int | None = None) -> None:
        """Refuse a size that goes beyond the file or beyond what a header may have."""
        left = self._limit - self.position
        if size <= left:
            return
        problem = f"{what} needs {size} bytes, but only {left} are left"
        if self._limit < self.file_size:
            problem += f" of the {MAX_HEADER_BYTES} that a header may have"
        raise self.refusal(problem, at=self.position if at is None else at)

    def skip(self, size: int, what: str) -> None:
        """Pass over bytes without reading them."""
        self.need(size, what)
        self.position += size

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        self.need(size, what)
        if self.position + size > self._window_start + len(self._window):
            self._fill(size)
        start = self.position - self._window_start
        self.position += size
        return self._window[start : start + size]

    def u32(self, what: str) -> int:
        """The next number of four bytes."""
        return int.from_bytes(self.take(U32.size, what), "little")

    def u64(self, what: str) -> int:
        """The next number of eight bytes."""
        return int.from_bytes(self.take(U64.size, what), "little")

    def count(self, what: str, *, at_most: int, element_bytes: int) -> int:
        """The next count of elements, refused unless that many can still follow."""
        at = self.position
        count = self.u64(what)
        if count > at_most:
            raise self.refusal(f"{what} is {count}, but at most {at_most} are allowed", at=at)
        self.need(count * element_bytes, f"{what} is {count}, which", at=at)
        return count

    def text_bytes(self, what: str, *, at_least: int, at_most: int) -> bytes:
        """The next string, undecoded."""
        at = self.position
        length = self.u64(f"the length of {what}")
        if not at_least <= length <= at_most:
            problem = f"{what} has a length of {length}, but it must be between {at_least} and {at_most} bytes"
            raise self.refusal(problem, at=at)
        return self.take(length, what)

    def skip_strings(self, count: int, what: str) -> None:
        """Pass over an array's strings, looking at their lengths only."""
        left = count
        while left:
            left -= self._skip_in_window(left)
            if left:
                self.skip(self.u64(what), what)
                left -= 1

    # --- inside ---

    def _skip_in_window(self, count: int) -> int:
        """Skip the strings that lie wholly in the window; flat and quick, as vocabularies are long."""
        window, at = self._window, self.position - self._window_start
        length_at, size = U64.unpack_from, len(window)
        done = 0
        while done < count and at + 8 <= size:
            after = at + 8 + length_at(window, at)[0]
            if after > size:
                break
            at = after
            done += 1
        self.position = self._window_start + at
        return done

    def _fill(self, size: int) -> None:
        """Move the window to the position."""
        wanted = min(max(size, WINDOW_BYTES), self._limit - self.position)
        self._stream.seek(self.position)
        self._window = self._read(wanted)
        self._window_start = self.position
        if len(self._window) < size:
            raise self.refusal("the file became shorter while it was read", at=self.position)

    def _read(self, size: int) -> bytes:
        """All of it, or as much as the file still has; one call may return less."""
        parts: list[bytes] = []
        while size and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
