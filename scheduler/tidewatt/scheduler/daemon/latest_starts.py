"""When each waiting job has to start at the latest; of jobs that have not changed it is remembered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.replanning import Queue
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning import guard
from tidewatt.scheduler.planning.kinds import ratios
from tidewatt.scheduler.planning.precedence import dues
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store.records import JobRecord

PORTION = 50  # new jobs between two rests


@dataclass(frozen=True, slots=True)
class _Known:
    job: JobRecord
    wait: timedelta
    at: datetime | None


class LatestStarts:
    """Of each job by itself or by those that follow it, at the speed at which it is to run.

    That is the planned one where a plan stands, for its start goes there first. Without a plan the job goes
    wherever there is room: then its start must be early enough for the slowest of those.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._regions: Sequence[Region] = ()
        self._margin = timedelta(0)
        self._known: dict[int, _Known] = {}

    def of(
        self, found: Queue, waits: Mapping[str, timedelta], rest: Callable[[], None] = lambda: None
    ) -> dict[int, datetime | None]:
        """By number, of all that can be planned; None without a deadline.

        `waits` say how long engines may let jobs wait, by region; "" is the longest of all. `rest` is called
        now and then where many are new.
        """
        regions, margin = self._site.regions, self._site.settings.margin
        if regions is not self._regions or margin != self._margin:
            self._known, self._regions, self._margin = {}, regions, margin
        speeds = Speeds(regions)
        before, self._known = self._known, {}
        tied = {number for job in found.planned for number in job.predecessors}
        tied |= {job.id for job in found.planned if job.predecessors}
        asks = {job.id: ask(job, found.not_ended) for job in found.planned if job.id in tied}
        ends = dues(list(asks.values()), speeds.fastest)
        count = 0
        for job in found.planned:
            wait, known = _wait(job, found, waits), before.get(job.id)
            if known is None or known.job is not job or known.wait != wait or job.id in tied:
                asked = asks.get(job.id) or ask(job, found.not_ended)
                deadline = replace(_deadline(asked, ends.get(job.id)), queue_wait=wait)
                at = guard.latest_start(self._at_speed(deadline, job, asked, speeds), margin)
                known = _Known(job, wait, at)
                count += 1
                if count % PORTION == 0:
                    rest()
            self._known[job.id] = known
        return {number: known.at for number, known in self._known.items()}

    def _at_speed(
        self, deadline: guard.Deadline, job: JobRecord, asked: Ask, speeds: Speeds
    ) -> guard.Deadline:
        planned = None if job.plan is None else _speed(asked, job.plan, self._regions)
        if planned is not None:
            return guard.at_speed(deadline, planned)
        since = max(asked.submitted, asked.release or asked.submitted)
        return guard.anywhere(deadline, speeds.of(asked), since, self._margin)


def _wait(job: JobRecord, found: Queue, waits: Mapping[str, timedelta]) -> timedelta:
    """How long its engine may let it wait: where it lies, else where it is planned, else anywhere."""
    if job.id in found.parked:
        return waits.get(found.parked[job.id].region, timedelta(0))
    return waits[""] if job.plan is None else waits.get(job.plan.region, timedelta(0))


def _speed(asked: Ask, plan: Plan, regions: Sequence[Region]) -> float | None:
    """The job's speed where it is planned; None where that place is gone."""
    region = next((each for each in regions if each.name == plan.region), None)
    if region is None or not asked.need.gpus:
        return None if region is None else 1.0
    pool = next((each for each in region.pools if each.name == plan.pool), None)
    fares = None if pool is None else ratios(asked, pool)
    return None if fares is None else fares[0]


def _deadline(asked: Ask, end_ms: int | None) -> guard.Deadline:
    longest = timedelta(days=3650)  # longer ones are no deadline that a date could hold
    ends = [
        each for each in (asked.finish_by, None if end_ms is None else moment(end_ms)) if each is not None
    ]
    return guard.Deadline(
        asked.job_id,
        min(asked.duration, longest),
        min(ends, default=None),
        asked.start_by,
        None if asked.guard_duration is None else min(asked.guard_duration, longest),
    )
