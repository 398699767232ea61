"""Keeps the plans of the queue at hand as they stand, so that a submission need not look at all jobs."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.replanning import LONGEST_LOOK, Queue, queue
from tidewatt.scheduler.daemon.site import Foreign, Site
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planning.options import Ground
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.standing import Standing, Steps, parts_of, since
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord

FRESH = timedelta(minutes=1)  # of the jobs' clock: forecasts may be newer then, as for the rounds
OFFERS_H = timedelta(hours=25)  # offers look at a day of slack beyond whatever else there is


class Vacancy:
    """What newcomers may take. Everything happens under the lock of the service."""

    def __init__(self, site: Site, store: Store, foreign: Callable[[], tuple[Foreign, ...]]) -> None:
        self._site, self._store, self._foreign = site, store, foreign
        self._standing: Standing | None = None
        self._seen: tuple[object, ...] = ()
        self._made: datetime | None = None
        self._compared: tuple[object, ...] = ()  # kept, so that nothing new has the identity of one of them
        self._lowest = 0  # priority of those that wait
        self._parts: dict[int, tuple[JobRecord, list[Booking]]] = {}

    def standing(self, newcomer: Ask, now: datetime) -> Standing | None:
        """The plans as they stand; None where the whole queue has to be looked at for this newcomer."""
        if self._made is None or not self._made <= now < self._made + FRESH or self._seen != self._sight():
            self._look(now)
        if self._standing is not None and _until(newcomer) > self._standing.until:
            self._look(now, _until(newcomer))
        return None if newcomer.priority > self._lowest else self._standing

    def took(self, before: int, after: int) -> None:
        """Newcomers were stored, with the events in between; they are among the plans already."""
        if self._seen and self._seen[0] == before:
            self._seen = after, *self._seen[1:]

    def forget(self) -> None:
        """Looks at the queue again the next time."""
        self._seen = ()

    def _sight(self) -> tuple[object, ...]:
        """What may not change meanwhile; compared by identity where that is enough."""
        board = self._site.board
        objects = self._site.regions, self._foreign(), board.settings, board.rules
        return self._store.newest(), *map(id, objects), board.unshifted

    def _look(self, now: datetime, until: datetime | None = None) -> None:
        site, self._seen = self._site, self._sight()
        self._compared = site.regions, self._foreign(), site.board.settings, site.board.rules
        found = queue(site, self._store, self._foreign(), now)
        self._made, self._standing = now, None
        self._lowest = min((job.priority for job in found.waiting), default=0)
        planned = all(job.plan is not None for job in found.planned)
        if not planned or not all(map(Steps.suits, site.regions)):
            return
        last = max(_horizon(found, site.settings.default_slack), until or now)
        outlooks, beside = (ahead(now, last) for ahead in (site.outlooks, site.beside))
        situation = Situation(
            site.regions, outlooks, found.bookings, now, site.policy, beside=beside, ends=found.ends
        )
        self._standing = Standing(situation, last)
        self._standing.put_all(self._booked(found, self._standing.grounds))

    def _booked(self, found: Queue, grounds: Mapping[str, Ground]) -> list[Booking]:
        """What the plans of waiting jobs book; of jobs that have not changed it is known."""
        known, self._parts = self._parts, {}
        for job in found.planned:
            before = known.get(job.id)
            if before is not None and before[0] is job:
                self._parts[job.id] = before
            elif job.plan is not None:
                self._parts[job.id] = job, list(parts_of(ask(job), job.plan, grounds))
        parts = (part for _, parts in self._parts.values() for part in parts)
        return [since(part, found.now) for part in parts if part.region in grounds]


def leaves_room(
    site: Site, found: Queue, plans: Mapping[int, Plan | Infeasible], newcomers: Iterable[JobRecord]
) -> bool:
    """Whether these plans of the others leave newcomers what their own plans book; False where in doubt."""
    if not all(map(Steps.suits, site.regions)):
        return False
    standing = Standing(Situation(site.regions, {}, found.bookings, found.now, site.policy), found.now)
    parts: list[Booking] = []
    for job in found.planned:
        made = plans.get(job.id)
        plan = made.earliest if isinstance(made, Infeasible) else made
        if plan is not None:
            parts += parts_of(ask(job), plan, standing.grounds)
    standing.put_all(since(part, found.now) for part in parts)
    for job in newcomers:
        if job.state is not JobState.WAITING:
            continue  # one that runs is among the bookings, one that is held books nothing
        if job.plan is None or job.array_limit or job.predecessors or not standing.holds(ask(job), job.plan):
            return False
        standing.put(ask(job), job.plan)
    return True


def _until(newcomer: Ask) -> datetime:
    """The last moment that the newcomer's plan, or an offer to it, may touch."""
    last = newcomer.submitted + LONGEST_LOOK
    ends = [newcomer.submitted, *(end for end in (newcomer.finish_by,) if end is not None)]
    if newcomer.start_by is not None:
        ends.append(newcomer.start_by + newcomer.duration)
    return min(max(ends) + newcomer.duration + OFFERS_H, last)


def _horizon(found: Queue, slack: timedelta | None) -> datetime:
    """As `Queue.horizon`, by the rows themselves."""
    jobs, now_ms = found.planned, round(found.now.timestamp() * 1000)
    busy = max((booking.window.end for booking in found.bookings), default=found.now)
    total_ms = sum(job.duration_ms for job in jobs)
    ends_ms = [now_ms, *(job.finish_by_ms for job in jobs if job.finish_by_ms is not None)]
    ends_ms += [job.start_by_ms + job.duration_ms for job in jobs if job.start_by_ms is not None]
    most = LONGEST_LOOK - OFFERS_H
    ends = [
        max(busy - found.now, timedelta(0)) + min(timedelta(milliseconds=total_ms), most),
        min(timedelta(milliseconds=max(ends_ms) - now_ms), most),
    ]
    if slack is not None:
        ends.append(min(slack + timedelta(milliseconds=max((j.duration_ms for j in jobs), default=0)), most))
    return found.now + min(max(ends), most) + OFFERS_H
