"""How a process ended, also where it is nobody's child here."""

import fcntl
import os
import signal
import struct
import time
from contextlib import suppress

from tidewatt.backends.identity import EXIT, PROC, STATE, Identity

# include/uapi/linux/pidfd.h: PIDFD_GET_INFO is _IOWR(0xFF, 11, 64 bytes); since Linux 6.15 it tells the
# exit status of a process that was reaped while somebody held its pidfd. Fields: mask, cgroup id, 11 ids,
# exit code.
_GET_INFO = 0xC040FF0B
_INFO = "=QQ11Ii"
_INFO_EXIT = 1 << 3
_PATIENCE_S = 3.0  # some container inits reap only now and then


def of_child(pid: int) -> int:
    """The wait status of a child that has ended; it stays a zombie, so that its pid is not used again."""
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if result is None:  # only with WNOHANG
        raise ChildProcessError(f"{pid} has not ended")
    if result.si_code == os.CLD_EXITED:
        return int(result.si_status) << 8
    return int(result.si_status)


def of_stranger(process: Identity, pidfd: int) -> int | None:
    """The wait status of an ended process that was not our child; None where this kernel does not tell."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        status = _of_zombie(process)
        if status is None:
            status = _of_reaped(pidfd)
        if status is not None or time.monotonic() > deadline:
            return status
        time.sleep(0.02)


def words(code: int) -> str:
    """What an exit code does not say for itself; negative codes are signals, as in `subprocess`."""
    if code >= 0:
        return ""
    if code == -signal.SIGKILL:
        return "ended by SIGKILL, which Tidewatt did not send: perhaps the machine ran out of memory"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"ended by signal {-code}"


def span(seconds: float) -> str:
    """A duration for people: `2 h`, `1 min 30 s`."""
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    parts = [
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{rest:g} s" if rest else "",
    ]
    return " ".join(part for part in parts if part) or "0 s"


def _of_zombie(process: Identity) -> int | None:
    fields = process.fields()
    if fields is None or fields[STATE] != "Z" or not _ours(process.pid):
        return None
    return int(fields[EXIT])


def _ours(pid: int) -> bool:
    """Whether to believe an exit code: the kernel shows 0 to those who may not know it."""
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        uids = next(line for line in lines if line.startswith("Uid:")).split()[1:]
        return os.geteuid() == 0 or set(uids) == {str(os.geteuid())}
    return False


def _of_reaped(pidfd: int) -> int | None:
    info = struct.pack(_INFO, _INFO_EXIT, *(0,) * 13)
    with suppress(OSError):  # an older kernel
        mask, *_, status = struct.unpack(_INFO, fcntl.ioctl(pidfd, _GET_INFO, info))
        if mask & _INFO_EXIT:
            return int(status)
    return None
