"""Keeps the plans of waiting jobs true: new jobs, ends, overruns and new forecasts move them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.daemon.drained_gpus import drained
from tidewatt.scheduler.daemon.occupancy import ask, bookings, expected_end
from tidewatt.scheduler.daemon.predecessors import held_back
from tidewatt.scheduler.daemon.sharing import shares
from tidewatt.scheduler.daemon.site import Foreign, Site
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import latest_start_ms
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
Planner = Callable[[Situation], Mapping[int, Plan | Infeasible]]
LONGEST_LOOK = timedelta(days=31)  # no source says anything of later than its profile does


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue at one instant, as the planner takes it.

    Jobs that start after held ones wait too, but cannot be planned: `stuck` holds their numbers. A job that
    waits may be `parked` in its engine's queue with an attempt that has not begun: that is none of `live`,
    books nothing, and its job is planned on like any other.
    """

    now: datetime
    waiting: tuple[JobRecord, ...]
    live: tuple[AttemptRecord, ...]
    jobs: Mapping[int, JobRecord]  # those that run
    foreign: tuple[Foreign, ...]
    bookings: tuple[Booking, ...]
    not_ended: Mapping[int, JobRecord] = field(default_factory=dict)
    stuck: frozenset[int] = frozenset()
    shares: Mapping[str, float] = field(default_factory=dict)
    ends: Mapping[int, datetime] = field(default_factory=dict)  # of running jobs, as expected
    parked: Mapping[int, AttemptRecord] = field(default_factory=dict)  # by job, also of held ones

    @property
    def planned(self) -> tuple[JobRecord, ...]:
        """Jobs that can be planned."""
        return tuple(job for job in self.waiting if job.id not in self.stuck)

    @property
    def queued(self) -> tuple[AttemptRecord, ...]:
        """Parked ones that their engines may let begin: where tasks or jobs are limited they count."""
        jobs = ((self.not_ended.get(number), attempt) for number, attempt in self.parked.items())
        return tuple(each for job, each in jobs if job is not None and job.state is JobState.WAITING)

    @property
    def asks(self) -> list[Ask]:
        """What each of them asks for."""
        return [ask(job, self.not_ended) for job in self.planned]

    @property
    def plans(self) -> dict[int, Plan]:
        """The plans so far."""
        return {job.id: job.plan for job in self.planned if job.plan is not None}

    def situation(
        self,
        site: Site,
        outlooks: Mapping[str, Outlook | None],
        beside: Mapping[str, Outlook | None] | None = None,
    ) -> Situation:
        """What the planner makes plans from."""
        return Situation(
            site.regions,
            outlooks,
            self.bookings,
            self.now,
            site.policy,
            site.refusals.steered(
                site.board.asks(self.planned, self.asks), [region.name for region in site.regions]
            ),
            self.plans,
            beside or {},
            self.ends,
            self.shares,
        )

    def started(self, job: JobRecord, attempt: AttemptRecord, *, parked: bool = False) -> "Queue":
        """The queue after a job's start, or after it was parked with its engine."""
        if parked:
            return replace(self, parked={**self.parked, job.id: attempt})
        rest = tuple(each for each in self.waiting if each.id != job.id)
        return replace(self, waiting=rest, live=(*self.live, attempt), jobs={**self.jobs, job.id: job})

    def horizon(self, slack: timedelta | None, newcomers: Iterable[Ask] = ()) -> datetime:
        """The last moment that a plan may well touch; `slack` is what jobs without a deadline accept."""
        asks = [*self.asks, *newcomers]
        latest = self.now + LONGEST_LOOK  # sums below stay within what a date can hold
        # one after the other, after all that runs: nothing that starts as soon as it fits ends later
        last = max([self.now, *(booking.window.end for booking in self.bookings)])
        ends = [last + sum((each.duration for each in asks), timedelta())]
        ends += [each.finish_by for each in asks if each.finish_by is not None]
        ends += [min(each.start_by, latest) + each.duration for each in asks if each.start_by is not None]
        ends += [each.submitted + slack + each.duration for each in asks if slack is not None]
        return min(max(ends), latest)


def queue(site: Site, store: Store, foreign: tuple[Foreign, ...], now: datetime) -> Queue:
    """The queue as it is stored now."""
    attempts = store.live_attempts()
    moving = store.jobs([JobState.WAITING, JobState.HELD, JobState.RUNNING, JobState.PAUSED])
    running = {job.id: job for job in moving if job.state in (JobState.RUNNING, JobState.PAUSED)}
    live = tuple(attempt for attempt in attempts if attempt.job_id in running)
    parked = {attempt.job_id: attempt for attempt in attempts if attempt.job_id not in running}
    waiting = tuple(
        site.board.steered(job)
        for job in moving
        if job.state is JobState.WAITING and not (job.stopping and job.id in parked)
    )
    return Queue(
        now,
        waiting,
        live,
        running,
        foreign,
        (*bookings(live, running, foreign, site, now), *drained(live, running, site, now)),
        {job.id: job for job in moving},
        frozenset(held_back(waiting, (job.id for job in moving if job.state is JobState.HELD))),
        shares(store, site.board.settings.shares, now),
        {each.job_id: expected_end(running[each.job_id], each, site, now) for each in live},
        parked,
    )


def replan(store: Store, found: Queue, situation: Situation, planner: Planner, causes: str) -> None:
    """Plans all waiting jobs again and stores the plans that moved, with what moved them."""
    store_plans(store, found, planner(situation) if found.planned else {}, causes)


def store_plans(store: Store, found: Queue, plans: Mapping[int, Plan | Infeasible], causes: str) -> None:
    """Stores the plans that moved, with what moved them."""
    _tend_stuck(store, found)
    # Where every planner has failed there are no plans: those of before stay, and the guard stands.
    answered = [(job, plans[job.id]) for job in found.planned if job.id in plans]
    changes = [(job, plan) for job, plan in answered if _differs(job, plan)]
    if not changes:
        return
    now_ms = time_ms(found.now)
    with store.transaction() as transaction:
        for job, plan in changes:
            risk = plan.reason if isinstance(plan, Infeasible) else ""
            if bool(risk) != bool(job.at_risk):
                transaction.append(
                    now_ms, "at risk" if risk else "no longer at risk", job_id=job.id, reason=risk
                )
                transaction.change_job(job.id, at_risk=risk)
            new = plan.earliest if isinstance(plan, Infeasible) else plan
            if new is None and job.plan is not None:  # its regions are drained or forbidden by now
                transaction.append(now_ms, "plan void", job_id=job.id, reason=risk)
                transaction.change_job(job.id, plan=None)
            if new is not None and not _same(new, job.plan):
                transaction.set_plan(job.id, new, now_ms, causes)
                log.info(
                    "job.planned",
                    job=job.id,
                    region=new.region,
                    start=str(new.window.start),
                    why=str(new.why),
                )


def _tend_stuck(store: Store, found: Queue) -> None:
    """Takes the plans of jobs that now wait for held ones, and tells when one is late for that."""
    stuck = [job for job in found.waiting if job.id in found.stuck]
    void = [job for job in stuck if job.plan is not None]
    late = [job for job in stuck if not job.at_risk and _is_due(job, found.now)]
    if not void and not late:
        return
    now_ms = time_ms(found.now)
    with store.transaction() as transaction:
        for job in void:
            reason = "a job before it is held: it is planned again when that is released"
            transaction.append(now_ms, "plan void", job_id=job.id, reason=reason)
            transaction.change_job(job.id, plan=None)
        for job in late:
            reason = "its latest start has come, but a job before it is held"
            transaction.append(now_ms, "at risk", job_id=job.id, reason=reason)
            transaction.change_job(job.id, at_risk=reason)


def _is_due(job: JobRecord, now: datetime) -> bool:
    latest_ms = latest_start_ms(ask(job))
    return latest_ms is not None and latest_ms <= time_ms(now)


def _differs(job: JobRecord, plan: Plan | Infeasible) -> bool:
    if isinstance(plan, Infeasible):
        old, new = job.plan, plan.earliest
        return job.at_risk != plan.reason or (old is not None if new is None else not _same(new, old))
    return job.at_risk != "" or not _same(plan, job.plan)


def _same(new: Plan, old: Plan | None) -> bool:
    """True where a plan says nothing new: another expected gram of the same window is not told."""
    return (
        old is not None
        and (new.region, new.pool, new.why, new.stints) == (old.region, old.pool, old.why, old.stints)
        and (
            time_ms(new.window.start),
            time_ms(new.window.end),
        )
        == (time_ms(old.window.start), time_ms(old.window.end))
    )
