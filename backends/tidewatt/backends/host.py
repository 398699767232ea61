"""This host: its GPUs, CPUs and memory, and who else computes on its GPUs."""

from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; `limit_w` is its enforced power limit, 0 where it does not tell."""

    uuid: str
    name: str
    index: int
    limit_w: int


@dataclass(frozen=True, slots=True)
class Host:
    """What this host has. `gpu_note` says why there is no GPU, or why one is missing; "" where all is well."""

    gpus: tuple[Gpu, ...]
    cpus: int
    mem_mb: int
    cpu_name: str
    tdp_w: float
    tdp_source: str
    gpu_note: str


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """Somebody else's compute process on a GPU."""

    gpu_uuid: str
    pid: int
    command: str
    user: str


class GpuHost:
    """Holds NVML open, for whoever asks again and again; never raises for a sick GPU or driver."""

    def inventory(self) -> Host:
        """What the host has now."""
        raise NotImplementedError

    def foreign(self, gpu_uuids: tuple[str, ...], ours: Set[int]) -> tuple[ForeignUse, ...]:
        """Compute processes on these GPUs that are not among our pids (see `process_tree`)."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets NVML go."""
        raise NotImplementedError


def inventory() -> Host:
    """What this host has now, for those who ask once."""
    raise NotImplementedError


def foreign(gpu_uuids: tuple[str, ...], ours: Set[int]) -> tuple[ForeignUse, ...]:
    """`GpuHost.foreign`, for those who ask once."""
    raise NotImplementedError


def process_tree(pids: Set[int]) -> frozenset[int]:
    """These processes and all their descendants that live now."""
    raise NotImplementedError
