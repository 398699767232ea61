"""Counts up a processor's energy registers in a file, as RAPL does: `python msr.py FILE WATTS`."""

import os
import struct
import sys
import time
from pathlib import Path

_UNITS, _POWER_INFO, _PACKAGE = 0x606, 0x614, 0x611
_EXPONENT = 14  # one count is 2**-14 J


def run(path: Path, watts: float) -> None:
    """Never returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, struct.pack("<Q", _EXPONENT << 8 | 0x3), _UNITS)
    os.pwrite(fd, struct.pack("<Q", 0), _POWER_INFO)
    for domain in (0x619, 0x639, 0x641):  # DRAM and the planes: none
        os.pwrite(fd, struct.pack("<Q", 0), domain)
    while True:
        count = int(time.monotonic() * watts * 2**_EXPONENT) & 0xFFFFFFFF
        os.pwrite(fd, struct.pack("<Q", count), _PACKAGE)
        time.sleep(0.02)


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]))
