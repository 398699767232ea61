"""A simulated day of a site: jobs come, run, pause and end; whoever decides is asked at every such moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil
from typing import Protocol

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.instants import ceil_ms, length_ms
from tidewatt.scheduler.simulation.site import Site, Spot
from tidewatt.scheduler.simulation.submitted import Submitted

HOUR_MS = 3_600_000
LEAST_MORE_MS = 60_000
NO_COST = Pausing()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A job occupies its GPUs in a region over `[start_ms, end_ms)` and draws `kw`; 0 GPUs: suspended."""

    region: str
    start_ms: int
    end_ms: int
    kw: float
    gpus: int


@dataclass(slots=True, eq=False)
class Standing:
    """How far a job is. `left_ms` is work at speed 1, without what the current run has done.

    `spot`, `since_ms` and `until_ms` are of the current run; it pauses at `until_ms` unless it ends before.
    """

    job: Submitted
    left_ms: int
    estimate_ms: int  # of the work that is left, as far as anybody knows
    stretches: list[Stretch] = field(default_factory=list)
    first_ms: int | None = None
    ended_ms: int | None = None
    spot: Spot | None = None
    since_ms: int = 0
    until_ms: int | None = None
    ends_ms: int = 0

    @property
    def id(self) -> int:
        """The job's number."""
        return self.job.id

    @property
    def pausing(self) -> Pausing:
        """What a pause costs it; nothing for a job that does not say it."""
        return self.job.ask.pausing or NO_COST

    @property
    def restart_ms(self) -> int:
        """What the next start costs in time: nothing where it is the first one."""
        return 0 if self.first_ms is None else length_ms(self.pausing.restart)

    @property
    def checkpoint_ms(self) -> int:
        """What the next pause costs in time."""
        return length_ms(self.pausing.checkpoint)

    def expected_end_ms(self, now_ms: int) -> int:
        """When the current run should be over; one that overran is given a twentieth of its estimate more."""
        if self.until_ms is not None and self.until_ms > now_ms:
            return self.until_ms
        assert self.spot is not None  # noqa: S101 - asked of running jobs only
        planned = self.since_ms + self.restart_ms + round(self.estimate_ms / self.spot.speed)
        return max(planned, now_ms + max(self.estimate_ms // 20, LEAST_MORE_MS))


class Contender(Protocol):
    """Somebody who decides when and where jobs run."""

    @property
    def name(self) -> str:
        """For people: `immediate`, `own window`."""
        ...

    def turn(self, world: "World") -> None:
        """Starts what shall start now. `world.new` and `world.ended` say what has changed."""
        ...

    def wake_ms(self, world: "World") -> int | None:
        """When to be asked again though nothing happens; None: not."""
        ...


class World:
    """The site and its queue at `now_ms`."""

    def __init__(self, jobs: Sequence[Submitted], site: Site) -> None:
        self.site = site
        self.now_ms = jobs[0].submitted_ms if jobs else 0
        self.waiting: dict[int, Standing] = {}  # paused ones among them
        self.running: dict[int, Standing] = {}
        self.done: dict[int, Standing] = {}
        self.new: list[Standing] = []  # since the last turn
        self.ended: list[Standing] = []  # since the last turn: done, or paused
        self.coming = jobs
        self._next = 0
        self._ends: list[tuple[int, int]] = []
        self._releases: list[int] = []  # of jobs that have come, ahead

    def run(self, contender: Contender) -> None:
        """Lets the contender decide until every job has ended.

        Raises:
            SchedulerError: jobs wait, and nothing will ever happen again.
        """
        wake: int | None = None
        while self._next < len(self.coming) or self.waiting or self.running:
            self._advance(contender, wake)
            contender.turn(self)
            self.new, self.ended = [], []
            wake = contender.wake_ms(self)

    def ready(self, standing: Standing) -> bool:
        """True where all jobs that it waits for have ended, and its release has come."""
        ask = standing.job.ask
        if any(other not in self.done for other in ask.after):
            return False
        return ask.release is None or ceil_ms(ask.release) <= self.now_ms

    def start(self, standing: Standing, spot: Spot, until_ms: int | None = None) -> bool:
        """Starts a waiting job, to be paused at `until_ms`; False, and nothing is done, without room."""
        work_ms = standing.restart_ms + ceil(standing.left_ms / spot.speed)
        expected = self.now_ms + standing.restart_ms + round(standing.estimate_ms / spot.speed)
        arrives_ms = _released_ms(standing.job) + spot.journey_ms
        if (
            self.now_ms < arrives_ms
            or not self.ready(standing)
            or not self.site.fits(standing.job.ask, spot, self.now_ms, expected)
        ):
            return False
        del self.waiting[standing.id]
        self.running[standing.id] = standing
        self.site.take(standing.job.ask, spot)
        self._suspended(standing)
        self._journey(standing, spot)
        standing.spot, standing.since_ms, standing.until_ms = spot, self.now_ms, until_ms
        standing.ends_ms = self.now_ms + work_ms
        self._schedule(standing)
        return True

    def extend(self, standing: Standing, until_ms: int | None) -> None:
        """Lets a running job go on until another moment than was said; None: to its end."""
        standing.until_ms = until_ms
        self._schedule(standing)

    def _schedule(self, standing: Standing) -> None:
        until = standing.until_ms
        heappush(
            self._ends, (standing.ends_ms if until is None else min(until, standing.ends_ms), standing.id)
        )

    def _advance(self, contender: Contender, wake: int | None) -> None:
        """Moves the clock to the next moment at which something happens, and lets it happen."""
        moments = [self.coming[self._next].submitted_ms] if self._next < len(self.coming) else []
        moments += [self._ends[0][0]] if self._ends else []
        moments += [max(wake, self.now_ms + 1)] if wake is not None else []
        while self._releases and self._releases[0] <= self.now_ms:
            heappop(self._releases)
        moments += self._releases[:1]
        opens = self.site.opens_ms(self.now_ms)
        moments += [opens] if opens is not None else []
        if not moments:
            stuck = ", ".join(str(job_id) for job_id in list(self.waiting)[:5])
            raise SchedulerError(f"{contender.name}: jobs {stuck} can never start; give them fitting regions")
        self.now_ms = max(self.now_ms, min(moments))
        while self._ends and self._ends[0][0] <= self.now_ms:
            self._end(*heappop(self._ends))
        while self._next < len(self.coming) and self.coming[self._next].submitted_ms <= self.now_ms:
            job = self.coming[self._next]
            estimate = length_ms(job.ask.duration)
            standing = self.waiting[job.id] = Standing(job, job.work_ms, max(estimate, 1))
            self.new.append(standing)
            self._note_releases(job)
            self._next += 1

    def _note_releases(self, job: Submitted) -> None:
        """Notes when the job may start at home, and when elsewhere, its data having come there."""
        first = _released_ms(job)
        journeys = {spot.journey_ms for spot in self.site.spots(job.ask)}
        for moment in {first + journey for journey in journeys} | {first}:
            if moment > self.now_ms:
                heappush(self._releases, moment)

    def _journey(self, standing: Standing, spot: Spot) -> None:
        """Notes what moving the data drew, half at either end, without PUE, just before the first start."""
        if standing.first_ms is None and spot.journey_kwh:
            length = max(spot.journey_ms, 1)
            for region in (standing.job.ask.home, spot.region):
                kw = spot.journey_kwh / 2 * HOUR_MS / length / self.site.pue(region)
                standing.stretches.append(Stretch(region, self.now_ms - length, self.now_ms, kw, 0))

    def _end(self, at_ms: int, job_id: int) -> None:
        """Ends or pauses a run; an end that was put off since is passed over."""
        standing = self.running.get(job_id)
        if standing is None or standing.spot is None:
            return
        until, over = standing.until_ms, standing.ends_ms
        if at_ms != (over if until is None else min(until, over)):
            return
        spot = standing.spot
        done = at_ms == over
        progress_ms = self._charge(standing, at_ms, paused=not done)
        self.site.give(job_id)
        del self.running[job_id]
        standing.spot, standing.until_ms = None, None
        self.ended.append(standing)
        if done:
            standing.left_ms, standing.ended_ms = 0, at_ms
            self.done[job_id] = standing
            return
        worked = max(round(progress_ms * spot.speed), 0)
        standing.left_ms -= worked
        standing.estimate_ms = max(standing.estimate_ms - worked, standing.estimate_ms // 20, LEAST_MORE_MS)
        self.waiting[job_id] = standing

    def _charge(self, standing: Standing, at_ms: int, *, paused: bool) -> int:
        """Notes what the run that ends has drawn; milliseconds of it in which it made progress come back."""
        spot, ask = standing.spot, standing.job.ask
        assert spot is not None  # noqa: S101 - it runs
        kw, cost = ask.power_w * spot.power / 1000, standing.pausing
        first = standing.since_ms
        start = min(first + standing.restart_ms, at_ms)
        end = max(at_ms - standing.checkpoint_ms, start) if paused else at_ms
        parts = (
            (first, start, cost.restart_wh),
            (start, end, None),
            (end, at_ms, cost.checkpoint_wh),
        )
        for begin, finish, energy_wh in parts:
            if finish > begin:
                draw = kw if energy_wh is None else energy_wh * 3600 / (finish - begin)
                standing.stretches.append(Stretch(spot.region, begin, finish, draw, max(ask.need.gpus, 1)))
        if standing.first_ms is None:
            standing.first_ms = first
        return end - start

    def _suspended(self, standing: Standing) -> None:
        """Notes what the job drew since its last run."""
        if standing.stretches and standing.pausing.suspended_w:
            last = standing.stretches[-1]
            if self.now_ms > last.end_ms:
                kw = standing.pausing.suspended_w / 1000
                standing.stretches.append(Stretch(last.region, last.end_ms, self.now_ms, kw, 0))


def _released_ms(job: Submitted) -> int:
    """The first moment at which the job may start, others that it waits for aside."""
    release = job.ask.release
    return job.submitted_ms if release is None else max(job.submitted_ms, ceil_ms(release))
