"""What a job on this host may take of it, as far as this user may say so; what is not possible is told."""

import os
from contextlib import suppress

from tidewatt.backends import cgroup, kernel, lease
from tidewatt.backends.backend import Launch, Limits
from tidewatt.backends.cgroup import Cgroup


def prepare(launch: Launch) -> tuple[Cgroup | None, list[str]]:
    """The job's cgroup where it is to have one, and a sentence for each bound that could not be had."""
    limits = launch.limits
    if limits is None or (limits.memory_mb is None and limits.cores is None):
        return None, []
    made, missing = cgroup.make(lease.key(launch.folder), limits.memory_mb, limits.cores)
    return made, [missing] if missing else []


def found(launch: Launch) -> Cgroup | None:
    """The cgroup that an earlier supervisor made for the job."""
    limits = launch.limits
    if limits is None or (limits.memory_mb is None and limits.cores is None):
        return None
    return cgroup.find(lease.key(launch.folder))


def enter(limits: Limits | None, group: Cgroup | None) -> None:
    """Puts the calling process, which becomes the job, under them; a bound that is refused is left out."""
    if group is not None:
        group.join()
    if limits is None:
        return
    if limits.nice is not None:
        with suppress(OSError):  # only root may ask for less than it has
            os.setpriority(os.PRIO_PROCESS, 0, limits.nice)
    if limits.io_idle:
        with suppress(OSError):
            kernel.read_when_idle()


def close(group: Cgroup | None) -> None:
    """Ends whatever is left in the job's cgroup, and takes it away."""
    if group is not None:
        group.freeze(False)
        group.kill()
        group.remove()
