"""The queue: no GPU twice, no accepted job late, and no job refused that could have been accepted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.errors import Refused, SchedulerError
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import admit, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
POLICY = Policy(min_saving=0.02, min_wait=timedelta(minutes=5), margin=timedelta(0))
CAPACITY = {("home", "a"): 2, ("home", "b"): 1, ("north", "c"): 1}
REGIONS = (
    Region("home", pools=(Pool("a", 2), Pool("b", 1)), cpus=6, home=True),
    Region("north", pools=(Pool("c", 1),), cpus=3),
)


def outlook(values: list[float]) -> Outlook:
    starts = floor_ms(T0) + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * HOUR, Rung.LIVE, "drawn")
    return Outlook("DE", KIND, Steps(starts, starts + 3_600_000, np.array(values)), (segment,))


hourly = st.lists(st.sampled_from((50.0, 200.0, 210.0, 400.0)), min_size=30, max_size=30).map(outlook)


@st.composite
def asks(draw: st.DrawFn, job_id: int, now_h: int = 0) -> Ask:
    hours = draw(st.integers(1, 4))
    finish_h = now_h + hours + draw(st.integers(0, 8))
    need = Need(gpus=draw(st.integers(0, 2)), cpus=draw(st.integers(1, 3)))
    finish_by = T0 + finish_h * HOUR if draw(st.integers(0, 5)) else None
    return Ask(
        job_id,
        T0 + now_h * HOUR,
        need,
        hours * HOUR,
        "yours",
        500.0,
        "given",
        finish_by=finish_by,
        home="home",
    )


def assert_nothing_is_used_twice(booked: list[Booking]) -> None:
    instants = {booking.window.start for booking in booked}
    for at in instants:
        using = [booking for booking in booked if booking.window.start <= at < booking.window.end]
        for (name, pool), gpus in CAPACITY.items():
            assert sum(b.gpus for b in using if (b.region, b.pool) == (name, pool)) <= gpus
        for region in REGIONS:
            assert sum(b.cpus for b in using if b.region == region.name) <= region.cpus


def booking_of(ask: Ask, plan: Plan, now: datetime) -> Booking:
    start = max(plan.window.start, now)
    window = Window(start, start + ask.duration)
    return Booking(plan.region, plan.pool, window, ask.need.gpus, ask.need.cpus, holder=f"job {ask.job_id}")


class Day(RuleBasedStateMachine):
    """A day on which jobs come, start, end and overrun, and the forecast changes; every plan is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.waiting: dict[int, Ask] = {}
        self.plans: dict[int, Plan] = {}
        self.running: list[Booking] = []
        self.promised: set[int] = set()  # jobs whose deadline must be kept
        self.outlooks: dict[str, Outlook | None] = {}
        self.ids = 0

    @initialize(home=hourly, north=hourly)
    def forecast(self, home: Outlook, north: Outlook) -> None:
        self.outlooks = {"home": home, "north": north}

    def situation(self, queue: Sequence[Ask]) -> Situation:
        return Situation(REGIONS, self.outlooks, self.running, self.now, POLICY, queue, self.plans)

    @rule(home=hourly)
    def forecast_changes(self, home: Outlook) -> None:
        self.outlooks = self.outlooks | {"home": home}
        self.replan()

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        self.ids += 1
        ask = data.draw(asks(self.ids, round((self.now - T0) / HOUR)))
        queue = list(self.waiting.values())
        try:
            admission = admit(ask, self.situation(queue))
        except SchedulerError:
            return
        self.plans |= admission.moved | {ask.job_id: admission.plan}
        self.waiting[ask.job_id] = ask
        self.promised.add(ask.job_id)

    @rule()
    def an_hour_passes(self) -> None:
        self.now += HOUR
        for job_id, plan in list(self.plans.items()):
            if plan.window.start < self.now:  # started, at its minute
                ask = self.waiting.pop(job_id)
                self.running.append(booking_of(ask, self.plans.pop(job_id), T0))
                self.promised.discard(job_id)
        self.running = [booking for booking in self.running if booking.window.end > self.now]
        self.replan()

    @rule()
    def oldest_runs_an_hour_longer(self) -> None:
        if self.running:
            first = self.running[0]
            self.running[0] = replace(first, window=Window(first.window.start, first.window.end + HOUR))
            self.promised.clear()  # nobody can promise against an overrun
            self.replan()

    def replan(self) -> None:
        queue = list(self.waiting.values())
        planned = plan_queue(self.situation(queue))
        assert planned.keys() == self.waiting.keys()
        late = {job_id for job_id, plan in planned.items() if isinstance(plan, Infeasible)}
        assert not late & self.promised
        self.plans = {}
        for job_id, plan in planned.items():
            carried_out = plan.earliest if isinstance(plan, Infeasible) else plan
            assert carried_out is not None
            self.plans[job_id] = carried_out

    @invariant()
    def no_capacity_is_used_twice(self) -> None:
        planned = [booking_of(self.waiting[job_id], plan, self.now) for job_id, plan in self.plans.items()]
        assert_nothing_is_used_twice(self.running + planned)

    @invariant()
    def promised_deadlines_are_kept(self) -> None:
        for job_id in self.promised:
            finish_by = self.waiting[job_id].finish_by
            assert finish_by is None or self.plans[job_id].window.end <= finish_by


TestDay = Day.TestCase
TestDay.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)


@dataclass(frozen=True)
class Small:
    """A job on a small integer time grid: `latest` is its latest start."""

    gpus: int
    hours: int
    latest: int


smalls = st.builds(Small, st.integers(1, 2), st.integers(1, 3), st.integers(0, 5))


def some_schedule_exists(jobs: list[Small], gpus: int, busy_until: int) -> bool:
    """True where starts on the grid exist at which all are in time; tries them all."""
    for starts in product(*(range(job.latest + 1) for job in jobs)):
        use = [1 if hour < busy_until else 0 for hour in range(9)]
        for job, start in zip(jobs, starts, strict=True):
            for hour in range(start, start + job.hours):
                use[hour] += job.gpus
        if max(use) <= gpus:
            return True
    return False


@settings(max_examples=100, deadline=None)
@given(st.lists(smalls, min_size=1, max_size=4), st.integers(2, 3), st.integers(0, 2), hourly)
def test_job_is_refused_only_where_no_schedule_exists(
    jobs: list[Small], gpus: int, busy_until: int, ahead: Outlook
) -> None:
    region = Region("home", pools=(Pool("gpu", gpus),), cpus=99)
    running = [Booking("home", "gpu", Window(T0, T0 + busy_until * HOUR), 1, 1)] if busy_until else []
    accepted: list[tuple[Small, Ask]] = []
    plans: dict[int, Plan] = {}
    for job_id, job in enumerate(jobs, 1):
        finish_by = T0 + (job.latest + job.hours) * HOUR
        ask = Ask(
            job_id, T0, Need(gpus=job.gpus), job.hours * HOUR, "yours", 1.0, "given", finish_by, home="home"
        )
        possible = some_schedule_exists([*(small for small, _ in accepted), job], gpus, busy_until)
        queue = [waiting for _, waiting in accepted]
        try:
            admission = admit(ask, Situation((region,), {"home": ahead}, running, T0, POLICY, queue, plans))
        except Refused:
            assert not possible
            continue
        assert possible
        accepted.append((job, ask))
        plans |= admission.moved | {job_id: admission.plan}
        for _, waiting in accepted:
            assert waiting.finish_by is not None
            assert plans[waiting.job_id].window.end <= waiting.finish_by
        assert all(plan.window.start >= T0 for plan in plans.values())
        for hour_start in {plan.window.start for plan in plans.values()}:
            using = [
                w
                for _, w in accepted
                if plans[w.job_id].window.start <= hour_start < plans[w.job_id].window.end
            ]
            busy = 1 if running and hour_start < running[0].window.end else 0
            assert sum(w.need.gpus for w in using) + busy <= gpus
