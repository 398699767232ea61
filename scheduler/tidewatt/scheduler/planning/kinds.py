"""Which pools of GPUs suit a job, and how it fares in each."""

from tidewatt.scheduler.plan import Ask, GpuKind
from tidewatt.scheduler.planning.capacity import Timeline, names
from tidewatt.scheduler.region import Pool

Ratios = tuple[float, float]  # speed, power
ALIKE: Ratios = (1.0, 1.0)


def ratios(ask: Ask, pool: Pool) -> Ratios | None:
    """Speed and power of the job in a pool, against what its estimates are of; None: not acceptable.

    The first kind that names the pool counts. One that says neither speed nor power (both are 1) leaves
    them to the pool's own, and so does a job that names no kind.
    """
    own = pool.speed, pool.power
    if not ask.kinds:
        return own
    kind = next((kind for kind in ask.kinds if names(kind.kind, pool.name)), None)
    if kind is None:
        return None
    return own if _unsaid(kind) else (kind.speed, kind.power)


def suitable(ask: Ask, timeline: Timeline) -> list[tuple[str, Ratios]]:
    """The pools of a region that could ever hold the job; "" where it needs no GPU."""
    open_to_it = timeline.pools_for(ask.need)
    if not ask.need.gpus:
        return [(pool, ALIKE) for pool in open_to_it]
    pools = {pool.name: pool for pool in timeline.region.pools}
    return [(name, fares) for name in open_to_it if (fares := ratios(ask, pools[name])) is not None]


def fastest(ask: Ask) -> float:
    """The highest speed that the job's own kinds promise; 1 where they say none."""
    return max((kind.speed for kind in ask.kinds), default=1.0)


def _unsaid(kind: GpuKind) -> bool:
    return (kind.speed, kind.power) == ALIKE
