"""The output of a job on this host: read by offsets that stay what they were when its file is rotated.

A job writes to its own file, always at its end (O_APPEND). When the file has grown to its bound, what is in
it is moved into the attempt's folder and the file begins anew; one such older part is kept. The job stands
still for the milliseconds in which that happens, so that no byte of it is lost.
"""

import os
import stat
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tidewatt.backends import durable

NAME = "output.json"
_CHUNK = 1 << 20
_TRIES, _PAUSE_S = 50, 0.01


@dataclass(frozen=True, slots=True)
class _Parts:
    """Offsets in all that was ever written: where the file begins, and where its older part does.

    `after` is where the file will begin once the rotation that is under way is over; None: none is.
    """

    begins: int = 0
    older: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a job wrote to `path`, kept for the attempt in `folder`."""

    folder: Path
    path: Path

    @property
    def older(self) -> Path:
        """The part that was last moved away."""
        return self.folder / f"older-{zlib.crc32(os.fsencode(self.path)):08x}.log"

    def begin(self) -> int:
        """The first byte that is still kept."""
        parts = self._parts()
        return parts.begins if parts.older is None else parts.older

    def end(self) -> int:
        """How many bytes were written so far."""
        return self._parts().begins + self._size()

    def read(self, offset: int, limit: int) -> bytes:
        """What was written from there on, at most so many bytes; from `begin` where that is gone already."""
        for _ in range(_TRIES):
            parts = self._parts()
            if parts.after is None:
                found = self._read(parts, offset, limit)
                if self._parts() == parts:
                    return found
            time.sleep(_PAUSE_S)  # it is just being rotated
        return self._read(self._parts(), offset, limit)

    def rotate(self, most_bytes: int, still: Callable[[], AbstractContextManager[None]]) -> bool:
        """Begins the file anew where it has grown so large; the job stands still within `still()`.

        The last `most_bytes` of it are kept. False where there was nothing to do.

        Raises:
            OSError: There is no room for it.
        """
        if self._size() < most_bytes:
            return False
        self.settle()
        draft = self.older.with_suffix(".draft")
        with open(self.path, "rb+") as file, open(draft, "wb") as kept:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            first = max(0, os.fstat(file.fileno()).st_size - most_bytes)
            file.seek(first)
            _copy(file.fileno(), kept.fileno())
            before = self._parts()
            size = os.fstat(file.fileno()).st_size
            self._write(_Parts(before.begins, before.older, before.begins + size))
            with still():
                _copy(file.fileno(), kept.fileno())
                os.fsync(kept.fileno())
                self._turn(draft, file.fileno(), first)
        return True

    def settle(self) -> None:
        """Ends a rotation in which a supervisor was killed."""
        parts = self._parts()
        if parts.after is None:
            return
        began = self._size() < parts.after - parts.begins
        self._write(_Parts(parts.after, parts.older) if began else _Parts(parts.begins, None))

    def _turn(self, draft: Path, fd: int, first: int) -> None:
        begins = self._parts().begins
        after = begins + os.fstat(fd).st_size
        self._write(_Parts(begins, begins + first, after))
        os.replace(draft, self.older)
        os.ftruncate(fd, 0)
        self._write(_Parts(after, begins + first))

    def _read(self, parts: _Parts, offset: int, limit: int) -> bytes:
        if parts.older is not None and parts.after is None and offset < parts.begins:
            return _part(self.older, max(0, offset - parts.older), limit)
        return _part(self.path, max(0, offset - parts.begins), limit)

    def _size(self) -> int:
        with suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def _parts(self) -> _Parts:
        content = (durable.read(self.folder / NAME) or {}).get(os.fspath(self.path), {})
        try:
            return _Parts(**content)
        except TypeError as error:
            raise durable.CorruptError(f"{self.folder / NAME}: {error}") from error

    def _write(self, parts: _Parts) -> None:
        content = durable.read(self.folder / NAME) or {}
        durable.replace(self.folder / NAME, content | {os.fspath(self.path): asdict(parts)})


def _part(path: Path, offset: int, limit: int) -> bytes:
    """Of a plain file alone: a pipe would hold us up, a device would never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        file.seek(offset)
        return file.read(limit)


def _copy(source: int, target: int) -> None:
    while chunk := os.read(source, _CHUNK):
        while chunk:
            chunk = chunk[os.write(target, chunk) :]
