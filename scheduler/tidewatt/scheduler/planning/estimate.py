"""How much power a job is expected to draw before it has ever run."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidewatt.scheduler.jobs import Need

GPU_SHARE = 0.7  # of the power limit, assumed: training keeps a GPU busy, but mostly below its limit
CPU_SHARE = 1.0  # of the TDP of the cores that it has, assumed: training keeps them busy


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected draw above idle in watts, and how it was got, in words."""

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
    """The draw to expect: an earlier run's where one was measured, else a share of the hardware's limits.

    Args:
        need: what the job occupies.
        gpu_limits_w: power limits of the GPUs it may get, in watts; those without one left out.
        cpus: cores of the host.
        tdp_w: thermal design power of all its CPUs, in watts; 0 where unknown.
        tdp_source: how `tdp_w` was got.
        earlier_w: measured mean power of an earlier run.
        earlier_of: which run that was ("job 11, bert").
    """
    if earlier_w is not None:
        return Estimate(earlier_w, f"measured: {earlier_of}" if earlier_of else "measured: an earlier run")
    power_w, said = 0.0, []
    if need.gpus and gpu_limits_w:
        each = GPU_SHARE * max(gpu_limits_w)  # the job may get the largest
        power_w += need.gpus * each
        said.append(f"{need.gpus} x {each:.0f} W GPU ({GPU_SHARE:.0%} of its power limit)")
    elif need.gpus:
        said.append("GPU unknown, not counted")
    share = min(need.cpus / cpus, 1.0) if cpus else 0.0
    if tdp_w > 0 and share:
        each = CPU_SHARE * tdp_w * share
        power_w += each
        said.append(f"{share:.0%} of the TDP of {tdp_w:.0f} W, {tdp_source}")
    else:
        said.append("CPU unknown, not counted")
    return Estimate(power_w, "assumed: " + " + ".join(said))
