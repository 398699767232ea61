"""Counts up a processor's energy registers in a file, as RAPL does: `python msr.py FILE WATTS`."""

import os
import struct
import sys
import time
from pathlib import Path

_UNITS, _POWER_INFO, _PACKAGE = 0x606, 0x614, 0x611
_NONE = (0x619, 0x639, 0x641)  # DRAM and the planes
_EXPONENT = 14  # one count is 2**-14 J


def run(path: Path, watts: float) -> None:
    """Never returns. Several may write: all go by one clock, and mend what another took away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = -1
    while True:
        if fd < 0 or not path.exists():
            fd = _opened(path, fd)
        count = int(time.monotonic() * watts * 2**_EXPONENT) & 0xFFFFFFFF
        os.pwrite(fd, struct.pack("<Q", count), _PACKAGE)
        time.sleep(0.02)


def _opened(path: Path, before: int) -> int:
    if before >= 0:
        os.close(before)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, struct.pack("<Q", _EXPONENT << 8 | 0x3), _UNITS)
    for register in (_POWER_INFO, *_NONE):
        os.pwrite(fd, struct.pack("<Q", 0), register)
    return fd


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]))
