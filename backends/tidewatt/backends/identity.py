"""Which process it is: boot id, pid and start time; a pid alone is used again."""

import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")


@cache
def boot_id() -> str:
    """The kernel's id of this boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def stat_fields(pid: int) -> list[str] | None:
    """Fields 3 and on of `/proc/PID/stat` (proc_pid_stat(5)), None where no such process is.

    The second field, the command, may hold spaces and brackets: everything up to its last bracket is left
    out.
    """
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


STATE, PARENT, GROUP, SESSION, START, EXIT = 0, 1, 2, 3, 19, 49  # indices into `stat_fields`


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for ever. `start_ticks` is its start in clock ticks since boot."""

    boot_id: str
    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of the process that has this pid now."""
        fields = stat_fields(pid)
        return None if fields is None else cls(boot_id(), pid, int(fields[START]))

    @classmethod
    def own(cls) -> "Identity":
        """The caller's identity."""
        return cls.require(os.getpid())

    @classmethod
    def require(cls, pid: int) -> "Identity":
        """The identity of a process that is known to live.

        Raises:
            ProcessLookupError: It does not.
        """
        identity = cls.of(pid)
        if identity is None:
            raise ProcessLookupError(f"no process {pid}")
        return identity

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Identity":
        """What `to_dict` gave; raises KeyError or ValueError for anything else."""
        try:
            return cls(str(fields["boot_id"]), int(fields["pid"]), int(fields["start_ticks"]))
        except OverflowError as error:  # Python's JSON knows Infinity
            raise ValueError(f"no process has such a number: {error}") from error

    def to_dict(self) -> dict[str, str | int]:
        """For JSON."""
        return {"boot_id": self.boot_id, "pid": self.pid, "start_ticks": self.start_ticks}

    @property
    def this_boot(self) -> bool:
        """Whether the machine has not restarted since."""
        return self.boot_id == boot_id()

    def fields(self) -> list[str] | None:
        """`stat_fields` of exactly this process; None once it is gone."""
        if not self.this_boot:
            return None
        fields = stat_fields(self.pid)
        return fields if fields is not None and int(fields[START]) == self.start_ticks else None

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = self.fields()
        return fields is not None and fields[STATE] not in "ZXx"

    def pidfd(self) -> int | None:
        """A descriptor of exactly this process, None once it is gone; a zombie still has one."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.fields() is None:  # the pid was used again before it was opened
            os.close(fd)
            return None
        return fd

    def send(self, number: signal.Signals) -> bool:
        """Signals exactly this process; False where it is gone or has become another user's."""
        fd = self.pidfd()
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(fd)
        return True
