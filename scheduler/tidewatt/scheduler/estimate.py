"""How much power a job is expected to draw before it has ever run."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidewatt.scheduler.jobs import Need

GPU_SHARE = 0.7  # of the power limit: training keeps a GPU busy, but below its limit


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected draw in watts, and how it was got, in words."""

    power_w: float
    source: str


def estimate(
    need: Need,
    gpu_limits_w: Sequence[float],
    cpus: int,
    tdp_w: float,
    tdp_source: str,
    earlier_w: float | None = None,
    earlier_of: str = "",
) -> Estimate:
    """The expected draw of a job: that of an earlier run where one was measured, else a share of the hardware's limits.

    Args:
        need: what the job occupies.
        gpu_limits_w: power limits of the GPUs it may get, in watts; empty where none is known.
        cpus: cores of the host.
        tdp_w: thermal design power of all its CPUs, in watts; 0 where unknown.
        tdp_source: how `tdp_w` was got.
        earlier_w: measured mean power of an earlier run.
        earlier_of: which run that was ("job 11, bert").
    """
    raise NotImplementedError
