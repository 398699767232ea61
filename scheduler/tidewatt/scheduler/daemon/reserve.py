"""Room kept on the disk of the state folder: jobs whose latest start has come start also when it is full.

It is a file whose blocks are taken in advance, and given back a slice at a time where a start needs them. A
program that fills the disk may take what is given, so there are several slices, with a pause between them.
"""

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

from tidewatt.scheduler.paths import Paths

log = structlog.get_logger()
SLICE_BYTES = 512 * 1024  # a commit of the store, and the files of a few attempts
SLICES = 16
PAUSE_S = 5.0
_MODE = 0o600


def reserve_of(place: Paths) -> Path:
    """The file of a state folder."""
    return place.home / "reserve"


class Reserve:
    """The file; it is made again when there is room."""

    def __init__(
        self, path: Path, slice_bytes: int = SLICE_BYTES, slices: int = SLICES, pause_s: float = PAUSE_S
    ) -> None:
        self._path, self._slice, self._size = path, slice_bytes, slice_bytes * slices
        self._pause_s = pause_s
        self._gave_at = float("-inf")
        self._guard = threading.Lock()

    def keep(self) -> None:
        """Fills the file up where at least as much again stays free for others; never raises."""
        with self._guard, suppress(OSError):
            missing = self._size - self._length()
            if missing <= 0 or self._free() < missing + self._size:
                return
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
            try:
                os.posix_fallocate(fd, 0, self._size)
            finally:
                os.close(fd)

    def open_up(self) -> None:
        """Gives a slice to a daemon that starts on a full disk: else jobs would wait for room to be made."""
        with suppress(OSError):
            if self._free() < self._slice:
                self.give(OSError(errno.ENOSPC, "the daemon starts on a full disk"))

    def give(self, error: Exception) -> bool:
        """Gives a slice back where the disk is short of room; True where it is worth trying again.

        `error` is what failed. A slice that was given within the last few seconds is not followed by another.
        """
        with self._guard, suppress(OSError):
            if not self._short(error):
                return False
            left = self._length()
            if time.monotonic() - self._gave_at < self._pause_s:
                return True
            if not left:
                return False
            os.truncate(self._path, max(0, left - self._slice))
            self._gave_at = time.monotonic()
            log.warning("reserve.given", left=max(0, left - self._slice), error=str(error))
            return True
        return False

    def _short(self, error: Exception) -> bool:
        cause = error if isinstance(error, OSError) else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        told = number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error)
        return told or self._free() < self._slice

    def _length(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize
