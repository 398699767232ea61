"""The hard capacity of a simulated site: which GPUs are free at this instant."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.barring import dear, frozen
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.kinds import Ratios, suitable
from tidewatt.scheduler.planning.policy import Link
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.region import Pool, Region


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a job may run, how fast (`speed` 2.0: in half the time) and with which share of its power.

    Its data take `journey_ms` and `journey_kwh` to come there from home.
    """

    region: str
    pool: str
    speed: float = 1.0
    power: float = 1.0
    journey_ms: int = 0
    journey_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What a running job occupies."""

    spot: Spot
    node: int
    gpus: int
    cpus: int
    mem_mb: int
    kw: float
    group: str


class Site:
    """All regions with what is free in them now. A job's GPUs are on one node, the fullest that has room."""

    def __init__(self, regions: Sequence[Region], link: Link | None = None) -> None:
        self.regions, self._link = tuple(regions), link or Link()
        self._region = {region.name: region for region in regions}
        self._timelines = [Timeline(region) for region in regions]
        self._nodes = {(region.name, pool.name): _nodes(pool) for region in regions for pool in region.pools}
        self._cpus = {region.name: region.cpus for region in regions}
        self._mem = {region.name: region.mem_mb for region in regions}
        self._kw = dict.fromkeys(self._region, 0.0)
        self._groups: dict[str, int] = {}
        self._holds: dict[int, Hold] = {}
        self._closed = {
            region.name: [(floor_ms(window.start), floor_ms(window.end)) for window in region.closed]
            for region in regions
        }
        ends = {end for windows in self._closed.values() for _, end in windows}
        ends |= {floor_ms(each.window.end) for region in regions for each in region.freezes}
        ends |= {step.end_ms for region in regions for step in region.prices}
        self._opens = sorted(ends)
        self._spots: dict[tuple[object, ...], tuple[Spot, ...]] = {}

    @property
    def gpus(self) -> int:
        """GPUs of all regions; CPUs where there is no GPU at all."""
        gpus = sum(pool.gpus for region in self.regions for pool in region.pools)
        return gpus or sum(region.cpus for region in self.regions)

    def spots(self, ask: Ask) -> tuple[Spot, ...]:
        """Everywhere where the job could ever run, home first, then in the order of the configuration."""
        key = (ask.need, ask.kinds, ask.regions, ask.exclude_regions, ask.home, ask.data_gb)
        if key not in self._spots:
            found = [
                spot
                for timeline in self._timelines
                if allowed(ask, timeline.region.name)
                for pool, fares in suitable(ask, timeline)
                if self._ever(ask, spot := self._spot(ask, timeline.region.name, pool, fares))
            ]
            self._spots[key] = tuple(sorted(found, key=lambda spot: spot.region != ask.home))
        return self._spots[key]

    def fits(self, ask: Ask, spot: Spot, start_ms: int, end_ms: int) -> bool:
        """True where the job's units are free now and the region is open until it is expected to end."""
        need, region = ask.need, self._region[spot.region]
        if need.gpus and max(self._nodes[spot.region, spot.pool]) < need.gpus:
            return False
        if self._cpus[spot.region] < need.cpus or (region.mem_mb and self._mem[spot.region] < need.mem_mb):
            return False
        if region.power_limit_kw and self._kw[spot.region] + _kw(ask, spot) > region.power_limit_kw + 1e-9:
            return False
        if ask.array_limit and self._groups.get(ask.array, 0) >= ask.array_limit:
            return False
        if any(a <= start_ms < b for a, b in frozen(ask, region)):
            return False
        urgent = ask.finish_by is not None or ask.start_by is not None  # then it starts however dear it is
        if not urgent and any(a < end_ms and start_ms < b for a, b in dear(ask, region)):
            return False
        return all(end_ms <= start or start_ms >= end for start, end in self._closed[spot.region])

    def full(self, spot: Spot) -> bool:
        """True where no GPU of a pool is free, or no CPU: nothing can start there."""
        nodes = self._nodes.get((spot.region, spot.pool), ())
        return self._cpus[spot.region] < 1 or (bool(spot.pool) and not any(nodes))

    def take(self, ask: Ask, spot: Spot) -> None:
        """Occupies what the job needs."""
        need, node = ask.need, -1
        if need.gpus:
            free = self._nodes[spot.region, spot.pool]
            node = min((i for i in range(len(free)) if free[i] >= need.gpus), key=free.__getitem__)
            free[node] -= need.gpus
        hold = Hold(spot, node, need.gpus, need.cpus, need.mem_mb, _kw(ask, spot), ask.array)
        self._holds[ask.job_id] = hold
        self._change(hold, 1)

    def give(self, job_id: int) -> None:
        """Frees what the job held."""
        hold = self._holds.pop(job_id)
        if hold.node >= 0:
            self._nodes[hold.spot.region, hold.spot.pool][hold.node] += hold.gpus
        self._change(hold, -1)

    def opens_ms(self, now_ms: int) -> int | None:
        """When the next closed window or freeze ends, or the price changes somewhere."""
        place = bisect_right(self._opens, now_ms)
        return self._opens[place] if place < len(self._opens) else None

    def pue(self, region: str) -> float:
        """Power usage effectiveness of a region."""
        return self._region[region].pue

    def _spot(self, ask: Ask, region: str, pool: str, fares: Ratios) -> Spot:
        journey = transfer_of(ask, region, self._link)
        return Spot(region, pool, *fares, journey.ms, journey.kwh)

    def _ever(self, ask: Ask, spot: Spot) -> bool:
        """False where one node, or the power limit, can never hold the job."""
        region = self._region[spot.region]
        pool = next((pool for pool in region.pools if pool.name == spot.pool), None)
        if pool is not None and pool.node_gpus and ask.need.gpus > pool.node_gpus:
            return False
        return not region.power_limit_kw or _kw(ask, spot) <= region.power_limit_kw

    def _change(self, hold: Hold, sign: int) -> None:
        region = hold.spot.region
        self._cpus[region] -= sign * hold.cpus
        self._mem[region] -= sign * hold.mem_mb
        self._kw[region] += sign * hold.kw
        if hold.group:
            self._groups[hold.group] = self._groups.get(hold.group, 0) + sign


def _nodes(pool: Pool) -> list[int]:
    """Free GPUs of each node; the last may be smaller."""
    if not 0 < pool.node_gpus < pool.gpus:
        return [pool.gpus]
    whole, rest = divmod(pool.gpus, pool.node_gpus)
    return [pool.node_gpus] * whole + [rest] * (rest > 0)


def _kw(ask: Ask, spot: Spot) -> float:
    return ask.power_w * spot.power / 1000
