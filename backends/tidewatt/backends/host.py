"""This host: its GPUs, CPUs and memory, and who else computes on its GPUs."""

import os
import pwd
from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from tidewatt.backends.identity import PROC
from tidewatt.backends.meters.cpu_model import tdp_setting
from tidewatt.backends.meters.nvml import Nvml
from tidewatt.backends.meters.proc import process_tree
from tidewatt.backends.meters.tdp import design_power, this_cpu

__all__ = ["ForeignUse", "Gpu", "GpuHost", "Host", "foreign", "inventory", "process_tree"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one part of a divided one; `limit_w` is its power limit, 0 where it does not tell."""

    uuid: str
    name: str
    index: int
    limit_w: int


@dataclass(frozen=True, slots=True)
class Host:
    """What this host has. `gpu_note` says why there is no GPU, or why one is missing; "" where all is well.

    `cpus` are those that we may run on; `tdp_w` is the design power of all CPUs, for want of a counter.
    """

    gpus: tuple[Gpu, ...]
    cpus: int
    mem_mb: int
    cpu_name: str
    tdp_w: float
    tdp_source: str
    gpu_note: str


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """Somebody else's compute process on a GPU; `command` and `user` are "" where we may not see them."""

    gpu_uuid: str
    pid: int
    command: str
    user: str


@dataclass(slots=True)
class GpuHost:
    """Holds NVML open, for whoever asks again and again; never raises for a sick GPU or driver."""

    nvml: Nvml = field(default_factory=Nvml)

    def inventory(self) -> Host:
        """What the host has now."""
        cpu = this_cpu()
        tdp = design_power(cpu, tdp_setting())
        gpus = tuple(Gpu(gpu.uuid, gpu.name, gpu.index, gpu.limit_w) for gpu in self.nvml.usable())
        cpus = len(os.sched_getaffinity(0))
        return Host(gpus, cpus, _memory_mb(), cpu.name, tdp.watts, tdp.source, self.nvml.note)

    def foreign(self, gpu_uuids: tuple[str, ...], ours: Set[int]) -> tuple[ForeignUse, ...]:
        """Compute processes on these GPUs that are not among our pids (see `process_tree`).

        The driver numbers processes as the host does. A number that means nothing here (we are in a
        container, and it is outside) is passed over: it may as well be one of ours.
        """
        return tuple(
            use
            for uuid in gpu_uuids
            for pid in self.nvml.processes(uuid)
            if pid not in ours
            for use in _use(uuid, pid)
        )

    def close(self) -> None:
        """Lets NVML go."""
        self.nvml.close()


def inventory() -> Host:
    """What this host has now, for those who ask once."""
    host = GpuHost()
    try:
        return host.inventory()
    finally:
        host.close()


def foreign(gpu_uuids: tuple[str, ...], ours: Set[int]) -> tuple[ForeignUse, ...]:
    """`GpuHost.foreign`, for those who ask once."""
    host = GpuHost()
    try:
        return host.foreign(gpu_uuids, ours)
    finally:
        host.close()


def _use(uuid: str, pid: int) -> Iterator[ForeignUse]:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        pass  # another user's: it is there
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        command = b" ".join(words).decode(errors="replace").strip()
        owner = (PROC / str(pid)).stat().st_uid
    except OSError:  # /proc may be mounted with hidepid
        yield ForeignUse(uuid, pid, "", "")
        return
    yield ForeignUse(uuid, pid, command, _user(owner))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
