"""Days on which planners fail: no job misses a deadline that starting at once would have met.

Jobs come to two regions of two GPUs each. Each round of planning goes through the ladder, with planners that
raise, hang, or answer nonsense, with forecasts of NaN or none at all; the guard starts what has to start.
Every job accepted at submission has to end in time. Beside it: which jobs would have ended in time on the
same day first in, first out.

Repeat with: .venv/bin/python benchmarks/planner_faults.py
"""

import argparse
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning import guard, ladder
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import Certificate
from tidewatt.scheduler.region import Pool, Region

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.results import Row, keep  # a script finds its neighbours only by path

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = HOUR  # between two rounds of planning when nothing happens
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
POLICY = Policy(margin=timedelta(minutes=2))
REGIONS = (
    Region("home", pools=(Pool("a", 2),), cpus=64, home=True),
    Region("north", pools=(Pool("b", 2),), cpus=64),
)
PATIENCE_S = 0.1  # with planners of which one hangs
Answer = tuple[Mapping[int, Plan | Infeasible], Certificate | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: the ladder's planners, their patience, and what becomes of a forecast."""

    name: str
    rungs: Callable[[np.random.Generator], Sequence[ladder.Rung]]
    forecast: Callable[[np.random.Generator, np.ndarray], np.ndarray | None] = lambda _, values: values
    seconds: float = 60.0
    plans: bool = True  # False: no round of planning ever comes to an end


@dataclass(slots=True)
class Outcome:
    """How a day went: ids of jobs."""

    submitted: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    missed: set[int] = field(default_factory=set)
    at_once: set[int] = field(default_factory=set)  # in time if everything had started at once
    planners: dict[str, int] = field(default_factory=dict)

    @property
    def avoidable(self) -> set[int]:
        """Accepted, late, and in time had it started at once."""
        return self.missed & self.at_once


@dataclass(frozen=True, slots=True)
class _Running:
    ask: Ask
    region: str
    pool: str
    start: datetime

    @property
    def end(self) -> datetime:
        return self.start + self.ask.duration

    @property
    def booking(self) -> Booking:
        need = self.ask.need
        window = Window(self.start, self.end)
        return Booking(self.region, self.pool, window, need.gpus, need.cpus, holder=f"job {self.ask.job_id}")


class Day:
    """One day of jobs under one fault."""

    def __init__(self, seed: int, fault: Fault, jobs: int) -> None:
        self._fault = fault
        self._rng = np.random.default_rng(seed + 1)
        self._coming = _jobs(np.random.default_rng(seed), jobs)
        hour = np.arange(96)
        self._grid = {
            region.name: 300 + 150 * np.sin(hour / 24 * 2 * np.pi + 2 * i) + self._rng.normal(0, 25, 96)
            for i, region in enumerate(REGIONS)
        }
        self._waiting: dict[int, Ask] = {}
        self._plans: dict[int, Plan] = {}
        self._running: list[_Running] = []
        self._outcome = Outcome(at_once=_in_time_at_once(self._coming))

    def lived(self) -> Outcome:
        """What became of the day's jobs."""
        now = T0
        while self._coming or self._waiting:
            self._running = [each for each in self._running if each.end > now]
            while self._coming and self._coming[0].submitted <= now:
                self._submit(self._coming.pop(0), now)
            if self._fault.plans:
                self._plan(now)
            self._launch(now)
            self._guard(now)
            now = self._next(now)
        return self._outcome

    def _situation(self, now: datetime, asks: Sequence[Ask]) -> Situation:
        outlooks = {}
        for name, values in self._grid.items():
            ahead = self._fault.forecast(self._rng, values[int((now - T0) / HOUR) :].copy())
            outlooks[name] = None if ahead is None else _outlook(ahead, now)
        held = [each.booking for each in self._running]
        return Situation(REGIONS, outlooks, held, now, POLICY, asks, dict(self._plans))

    def _submit(self, ask: Ask, now: datetime) -> None:
        self._outcome.submitted.add(ask.job_id)
        try:
            admission = ladder.admit(ask, self._situation(now, list(self._waiting.values())))
        except SchedulerError:
            self._outcome.refused.add(ask.job_id)
            return
        self._plans |= admission.moved | {ask.job_id: admission.plan}
        self._waiting[ask.job_id] = ask

    def _plan(self, now: datetime) -> None:
        situation = self._situation(now, list(self._waiting.values()))
        made = ladder.plan(situation, self._fault.rungs(self._rng), self._fault.seconds)
        self._outcome.planners[made.planner] = self._outcome.planners.get(made.planner, 0) + 1
        for job_id, answer in made.plans.items():
            plan = answer.earliest if isinstance(answer, Infeasible) else answer
            if plan is not None:
                self._plans[job_id] = plan

    def _launch(self, now: datetime) -> None:
        due = [ask for ask in self._waiting.values() if self._plans[ask.job_id].window.start <= now]
        for ask in sorted(due, key=lambda ask: self._plans[ask.job_id].window.start):
            plan = self._plans[ask.job_id]
            self._start(ask, plan.region, plan.pool, now)

    def _guard(self, now: datetime) -> None:
        deadlines = [guard.Deadline(a.job_id, a.duration, a.finish_by) for a in self._waiting.values()]
        for job_id in guard.due(deadlines, now, POLICY.margin):
            ask, plan = self._waiting[job_id], self._plans[job_id]
            for region in sorted(REGIONS, key=lambda region: region.name != plan.region):
                if job_id in self._waiting:
                    self._start(ask, region.name, region.pools[0].name, now)

    def _start(self, ask: Ask, region: str, pool: str, now: datetime) -> None:
        """Starts a job where there is room at this instant."""
        size = next(each.pools[0].gpus for each in REGIONS if each.name == region)
        used = sum(each.ask.need.gpus for each in self._running if each.region == region and each.end > now)
        if used + ask.need.gpus > size:
            return
        run = _Running(ask, region, pool, now)
        self._running.append(run)
        del self._waiting[ask.job_id], self._plans[ask.job_id]
        if ask.finish_by is not None and run.end > ask.finish_by:
            self._outcome.missed.add(ask.job_id)

    def _next(self, now: datetime) -> datetime:
        """The next moment at which anything may happen."""
        moments = [T0 + ((now - T0) // TICK + 1) * TICK]
        moments += [ask.submitted for ask in self._coming[:1]]
        moments += [plan.window.start for plan in self._plans.values()]
        moments += [each.end for each in self._running]
        for ask in self._waiting.values():
            latest = guard.latest_start(
                guard.Deadline(ask.job_id, ask.duration, ask.finish_by), POLICY.margin
            )
            moments += [] if latest is None else [latest]
        return min(moment for moment in moments if moment > now)


def _jobs(rng: np.random.Generator, count: int) -> list[Ask]:
    """Jobs in the order of submission, within 18 hours."""
    arrivals = np.sort(rng.uniform(0, 18, count))
    found = []
    for i, arrival in enumerate(arrivals.tolist()):
        hours = float(np.clip(rng.lognormal(0.6, 0.7), 0.2, 9))
        submitted = T0 + timedelta(milliseconds=round(arrival * 3_600_000))
        length = timedelta(milliseconds=round(hours * 3_600_000))
        finish_by = submitted + length + float(rng.uniform(0.5, 14)) * HOUR
        need = Need(gpus=2 if rng.random() < 0.2 else 1)
        found.append(
            Ask(i + 1, submitted, need, length, "yours", 400.0, "given", finish_by=finish_by, home="home")
        )
    return found


def _outlook(values: np.ndarray, now: datetime) -> Outlook:
    start = now.replace(minute=0, second=0, microsecond=0)
    starts = floor_ms(start) + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(start, start + len(values) * HOUR, Rung.LIVE, "drawn", start)
    return Outlook("DE", KIND, Steps(starts, starts + 3_600_000, values), (segment,))


def _in_time_at_once(asks: Sequence[Ask]) -> set[int]:
    """Ids of the jobs that are in time first in, first out: each as soon as it fits, on what is left."""
    hurried = [replace(ask, release=ask.submitted, finish_by=None) for ask in asks]
    plans = plan_first_come(Situation(REGIONS, {}, (), T0, POLICY, hurried))
    found = set()
    for ask in asks:
        plan = plans[ask.job_id]
        if isinstance(plan, Plan) and ask.finish_by is not None and plan.window.end <= ask.finish_by:
            found.add(ask.job_id)
    return found


def _healthy(situation: Situation) -> Answer:
    return plan_queue(situation), None


def _raising(_: Situation) -> Answer:
    raise FloatingPointError("a planner that always raises")


def _hanging_on(gate: threading.Event) -> ladder.Planner:
    def planner(situation: Situation) -> Answer:
        gate.wait()
        return _healthy(situation)

    return planner


GATE = threading.Event()  # never opened: planners hang for good
_HANGING = _hanging_on(GATE)


def _lying(rng: np.random.Generator) -> ladder.Planner:
    """A planner whose answers are spoilt in a way drawn anew each time."""

    def planner(situation: Situation) -> Answer:
        plans: dict[int, Plan | Infeasible] = dict(plan_queue(situation))
        sound = [plan for plan in plans.values() if isinstance(plan, Plan)]
        if not sound:
            return {}, None
        plan = sound[int(rng.integers(len(sound)))]
        late = Window(plan.window.start + 30 * HOUR, plan.window.end + 30 * HOUR)
        spoilt: list[Callable[[], object]] = [
            lambda: plans.update({plan.job_id: replace(plan, window=late)}),
            lambda: plans.update({job_id: replace(plan, job_id=job_id) for job_id in plans}),
            lambda: plans.update({plan.job_id: replace(plan, expected_g=float("nan"))}),
            lambda: plans.update({plan.job_id: replace(plan, window=Window(late.end, late.start))}),
            lambda: plans.update({plan.job_id: replace(plan, region="atlantis")}),
            lambda: plans.update({job_id: Infeasible(job_id, "no", None) for job_id in plans}),
            lambda: plans.pop(plan.job_id),
            plans.clear,
        ]
        spoilt[int(rng.integers(len(spoilt)))]()
        return plans, None

    return planner


def _half_nan(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    values[rng.random(len(values)) < 0.5] = float(rng.choice([np.nan, np.inf, -np.inf, -1e300]))
    return values


def _all_nan(_: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return np.full(len(values), np.nan)


def _whole(_: np.random.Generator) -> Sequence[ladder.Rung]:
    return ladder.DEFAULT


def _quick(_: np.random.Generator) -> Sequence[ladder.Rung]:
    return [("one by one", _healthy)]


FAULTS = (
    Fault("nothing fails", _quick),
    Fault("both planners raise", lambda _: [("whole", _raising), ("one by one", _raising)]),
    Fault("the better planner hangs", lambda _: [("whole", _HANGING), ("one", _healthy)], seconds=PATIENCE_S),
    Fault("the only planner hangs", lambda _: [("one by one", _HANGING)], seconds=PATIENCE_S),
    Fault("both planners answer nonsense", lambda rng: [("whole", _lying(rng)), ("one", _lying(rng))]),
    Fault("half of each forecast is NaN, infinite or absurd", _quick, _half_nan),
    Fault("all of each forecast is NaN", _quick, _all_nan),
    Fault("the same, with the whole queue in view", _whole, _all_nan),
    Fault("no forecast at all", _quick, lambda *_: None),
    Fault("no round of planning ever ends", _quick, plans=False),
)


def main() -> None:
    """Prints a table and keeps it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=25)
    asked.add_argument("--jobs", type=int, default=30)
    given = asked.parse_args()
    rows = []
    print("| fault | jobs accepted of submitted | late of these | in time at once, yet late | answered by |")
    print("| --- | --- | --- | --- | --- |")
    for fault in FAULTS:
        days = [Day(seed, fault, given.jobs).lived() for seed in range(given.days)]
        submitted, refused, missed, avoidable = (
            sum(len(getattr(day, name)) for day in days)
            for name in ("submitted", "refused", "missed", "avoidable")
        )
        planners: dict[str, int] = {}
        for day in days:
            for name, times in day.planners.items():
                planners[name] = planners.get(name, 0) + times
        by = ", ".join(f"{name} {times}" for name, times in planners.items()) or "nobody"
        accepted = f"{submitted - refused} of {submitted}"
        print(f"| {fault.name} | {accepted} | {missed} | {avoidable} | {by} |", flush=True)
        reached = f"{avoidable} avoidable, {missed} late of {accepted} jobs"
        rows.append(
            Row(f"faults: {fault.name}", "first in, first out", "none avoidable", reached, not avoidable)
        )
    command = f".venv/bin/python benchmarks/planner_faults.py --days {given.days} --jobs {given.jobs}"
    keep("planner_faults", rows, command)


if __name__ == "__main__":
    main()
