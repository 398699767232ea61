"""Locks that the kernel drops with their holder, and that anybody can look at without taking them.

Open-file-description locks (fcntl_locking(2)): unlike with flock(2), asking who holds one does not take it
for a moment, so that a look never makes somebody else's attempt to lock fail. Like flock, they belong to
the open file and so are inherited.
"""

import fcntl
import os
import struct
from pathlib import Path

_FLOCK = "hhqqi4x"  # struct flock of Linux on 64-bit: type, whence, start, length, pid


def take(fd: int) -> bool:
    """Locks the open file; False where somebody else has it locked."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def held(path: Path) -> bool:
    """Whether anybody has the file locked; False where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind: int = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, query))[0]
    finally:
        os.close(fd)
    return kind != fcntl.F_UNLCK
