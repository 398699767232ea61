"""What Python has no name for: two things of prctl(2), and ioprio_set(2)."""

import ctypes
import os
import platform

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# ioprio_set is no function of the C library: its number by machine (asm/unistd.h).
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_IDLE = 1, 3 << 13
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int) -> None:
    """This process gets the signal when the thread that forked it ends; 0 takes that back."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans(adopt: bool) -> None:
    """Whether orphaned descendants become children of this process; what it forks does not inherit this."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def read_when_idle() -> None:
    """This process, and what it starts, reads and writes only when nobody else does (class "idle").

    Raises:
        OSError: This machine does not know of it.
    """
    number = _IOPRIO_SET.get(platform.machine())
    if number is None or _libc.syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE) != 0:
        raise OSError(ctypes.get_errno(), "ioprio_set is not possible here")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
