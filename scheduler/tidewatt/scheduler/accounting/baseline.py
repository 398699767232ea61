"""When jobs would have started had nobody waited for clean power: the queue replayed, first in, first out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One job of the queue as it is replayed.

    `duration` is the productive running time, an estimate while not `ended`. Jobs that were cancelled before
    they ran, or are held, asked nothing of the queue: leave them out.
    """

    job_id: int
    submitted: datetime
    duration: timedelta
    need: Need
    ended: bool


def first_feasible(jobs: Sequence[ReplayJob], region: Region) -> dict[int, datetime]:
    """The start of each job in a first-in-first-out replay in `region`, by job id.

    A job starts at the first instant, not before its submission nor before the start of any job submitted
    earlier, at which its GPUs (of one pool), CPUs and memory are free. Jobs submitted together start in order
    of their ids. A job that the region could never hold is left out and holds up nobody.
    """
    occupancy = _Occupancy(region)
    pools_for = Timeline(region).pools_for
    starts: dict[int, datetime] = {}
    latest: datetime | None = None
    for job in sorted(jobs, key=_turn):
        if pools := pools_for(job.need):
            earliest = job.submitted if latest is None else max(job.submitted, latest)
            latest = starts[job.job_id] = occupancy.start(job, pools, earliest)
    return starts


def predecessors_ended(jobs: Sequence[ReplayJob], job_id: int) -> bool:
    """True where every job replayed before this one has ended, so that its feasible start moves no more."""
    turn = next((_turn(job) for job in jobs if job.job_id == job_id), None)
    return all(job.ended for job in jobs if turn is None or _turn(job) < turn)


def holds(region: Region, need: Need) -> bool:
    """True where the empty region has room for the need."""
    return bool(Timeline(region).pools_for(need))


def _turn(job: ReplayJob) -> tuple[datetime, int]:
    return job.submitted, job.job_id


class _Occupancy:
    """What is taken in a region while time moves forward only.

    Since no job starts before an earlier one, all that is booked after an instant has begun by then: room at
    an instant is room for good.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._free_gpus = Counter({pool.name: pool.gpus for pool in region.pools})
        self._free_cpus = region.cpus
        self._free_mem_mb = region.mem_mb
        self._running: list[tuple[datetime, int, str, Need]] = []  # a heap by end; ids keep it comparable

    def start(self, job: ReplayJob, pools: Sequence[str], earliest: datetime) -> datetime:
        """Books the job at the first instant from `earliest` at which it fits, and returns that."""
        moment = earliest
        self._free_until(moment)
        while (pool := self._room(job.need, pools)) is None:
            moment = max(moment, self._running[0][0])
            self._free_until(moment)
        self._take(job.need, pool, 1)
        heappush(self._running, (moment + job.duration, job.job_id, pool, job.need))
        return moment

    def _free_until(self, moment: datetime) -> None:
        while self._running and self._running[0][0] <= moment:
            _, _, pool, need = heappop(self._running)
            self._take(need, pool, -1)

    def _room(self, need: Need, pools: Sequence[str]) -> str | None:
        """The first of the pools in which the need fits now; None where it fits in none."""
        if need.cpus > self._free_cpus or (self._region.mem_mb and need.mem_mb > self._free_mem_mb):
            return None
        return next((pool for pool in pools if need.gpus <= self._free_gpus[pool]), None)

    def _take(self, need: Need, pool: str, times: int) -> None:
        self._free_cpus -= times * need.cpus
        self._free_mem_mb -= times * need.mem_mb
        self._free_gpus[pool] -= times * need.gpus
