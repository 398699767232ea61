"""What plans are worth when forecasts and durations are wrong.

    python benchmarks/planning_noise.py [--zones A,B] [--days 2] [--errors 10,20,30] [--data DATA]

Jobs of 1, 4, 12 and 24 h with 24 h of slack arrive every eight hours of two days in January, April, July
and October 2023 in twelve zones. Every hour a new forecast of 72 h is issued: the truth with a relative
error of 10, 20 or 30 % a day ahead, less before, alike at neighbouring hours (0.9 from one to the next).
Consistent vintages become truer as the hour comes nearer, independent ones draw all of their error anew.
Every hour the daemon's own planner plans all waiting jobs again on what the chain of sources says as of
then, shrunk by the skill that the source has shown in the 28 days before (`Shrinker`), or as told; the
guard starts what must start.

Every job comes twice: one takes exactly as long as estimated, the other a lognormal 0.3 longer or shorter,
of which the planner knows what it has learnt from 60 earlier runs. A miss is one that starting at once
would have met. Saved is shown as the share of what the same planner saves with a perfect forecast; both
without a least saving for which a job waits, but for the lines with the default of 2 %. Beside them the
plans made without any forecast, by the built-in profile and by observations alone. Grams are summed over
zones and days; the mean is that of the four lengths. Exits with 1 where a goal is missed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Forecast, Outlook, Series, Steps, instant, milliseconds
from tidewatt.forecasting.shrinkage import Outlooks, Shrinker
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning import guard
from tidewatt.scheduler.planning.learnt import AskedRun, Learnt, PastRun, learn
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results import Row, keep  # noqa: E402

Floats = NDArray[np.float64]

ZONES = ["DE", "DK", "ES", "GB", "IT", "NL", "PL", "AU-NSW", "JP"]
ZONES += ["US-CAL-CISO", "US-TEX-ERCO", "US-MIDW-MISO"]
STARTS = [datetime(2023, month, 9, tzinfo=UTC) for month in (1, 4, 7, 10)]
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.CONSUMPTION)
HOUR, HOUR_MS = timedelta(hours=1), 3_600_000
LEAD_H, TAIL_H = 24 * 37, 24 * 4  # before the first job, and after the last
REACH_H, ALIKE = 72, 0.9
LENGTHS_H, SLACK, EVERY_H = (1, 4, 12, 24), 24 * HOUR, 8
SPREAD, EARLIER_RUNS = 0.3, 60
GOALS = {10: 0.90, 20: 0.85, 30: 0.75}
MISSES = 0.01
FREELY = replace(Policy(), min_saving=0.0, min_wait=timedelta(0))
VINTAGES = ("consistent", "independent")
OWN = "observations"
PROFILE = "profile"
PERFECT = "perfect"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The hours of a zone from `start` on."""

    zone: str
    start: datetime
    gco2_per_kwh: Floats

    @property
    def steps(self) -> Steps:
        """Its hours as steps."""
        begin = milliseconds(self.start) + HOUR_MS * np.arange(len(self.gco2_per_kwh))
        return Steps(begin, begin + HOUR_MS, self.gco2_per_kwh)

    def grams(self, start: datetime, length: timedelta) -> float:
        """What 1 kW emits."""
        sums = np.append(0.0, np.cumsum(self.gco2_per_kwh))
        at = np.array([(start - self.start) / HOUR, (start + length - self.start) / HOUR])
        until = np.interp(at, np.arange(len(sums)), sums)
        return float(until[1] - until[0])


class Vintages:
    """A provider of observations, and of hourly forecasts where there are any."""

    def __init__(self, grid: Grid, forecasts: Floats | None, *, hindsight: bool = False) -> None:
        self.name, self.hindsight = "noisy", hindsight
        self._grid, self._forecasts, self._steps = grid, forecasts, grid.steps

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """One kind, of its zone."""
        return (KIND,) if zone == self._grid.zone else ()

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """The hours that had ended."""
        first, last = (self._hour(each) for each in (start, min(end, now)))
        part = slice(max(first, 0), max(last, 0))
        steps = self._steps
        cut = Steps(steps.start_ms[part], steps.end_ms[part], steps.gco2_per_kwh[part])
        return Series(zone, kind, self.name, cut)

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """That of this hour."""
        hour = self._hour(now)
        if self._forecasts is None or not 0 <= hour < len(self._forecasts):
            return None
        begin = self._steps.start_ms[0] + HOUR_MS * (hour + np.arange(REACH_H))
        steps = Steps(begin, begin + HOUR_MS, self._forecasts[hour])
        return Forecast(zone, kind, self.name, instant(int(begin[0])), steps)

    def version(self, zone: str, now: datetime) -> int:
        """Its hour."""
        return self._hour(now)

    def _hour(self, moment: datetime) -> int:
        return (moment - self._grid.start) // HOUR


@dataclass(slots=True)
class Job:
    """A job, how long it will really take, and what was learnt of such jobs."""

    ask: Ask
    hours: int
    actual: timedelta
    started: datetime | None = None

    @property
    def missed(self) -> bool:
        """True where it ends late though it would not have, started at once."""
        limit = self.ask.finish_by
        if limit is None or self.started is None:
            return True
        return self.started + self.actual > limit >= self.ask.submitted + self.actual

    def count(self, before: Plan | None, after: Plan | None) -> None:
        """Counts a start that was moved later."""
        if before is not None and after is not None and after.window.start > before.window.start:
            self.ask = replace(self.ask, postponed=self.ask.postponed + 1)


@dataclass(slots=True)
class Tally:
    """Grams for 1 kW of all jobs of a length, and how many there were and missed."""

    planned_g: float = 0.0
    immediate_g: float = 0.0
    jobs: int = 0
    missed: int = 0

    def add(self, other: "Tally") -> None:
        """Both together."""
        self.planned_g += other.planned_g
        self.immediate_g += other.immediate_g
        self.jobs += other.jobs
        self.missed += other.missed


@dataclass(frozen=True, slots=True)
class Way:
    """One way of planning: `error` in percent and vintages of the forecasts, None for none."""

    name: str
    error: int | None = None
    vintages: str = ""
    shrinks: bool = True
    policy: Policy = FREELY

    def chain(self, grid: Grid, forecasts: Callable[[int, str], Floats]) -> Outlooks:
        """The sources to ask."""
        if self.name == PROFILE:
            return Chain()
        made = None if self.error is None else forecasts(self.error, self.vintages)
        plain = Chain([Vintages(grid, made, hindsight=self.name == PERFECT)])
        return Shrinker(plain) if self.shrinks else plain


def vintages(grid: Grid, error: float, vintage: str, seed: int) -> Floats:
    """A forecast of each hour: the truth times 1 + an error that grows as the root of the lead to 24 h."""
    random = np.random.default_rng(seed)
    issues = len(grid.gco2_per_kwh) - REACH_H
    growth = np.minimum((np.arange(REACH_H) + 1) / 24, 1.0)

    def field_of(many: int) -> Floats:
        fresh = random.standard_normal((many, REACH_H))
        made = fresh.copy()
        for lead in range(1, REACH_H):
            made[:, lead] = ALIKE * made[:, lead - 1] + np.sqrt(1 - ALIKE**2) * fresh[:, lead]
        return made

    if vintage == "independent":
        off = np.sqrt(growth) * field_of(issues)
    else:  # what each later issue takes back of the error, summed up from the last issue on
        taken = field_of(issues) * np.sqrt(np.diff(growth, prepend=0.0))
        off, later = np.zeros((issues, REACH_H)), np.zeros(REACH_H)
        for issue in range(issues - 1, -1, -1):
            later = taken[issue] + np.append(0.0, later[:-1])
            off[issue] = later
    truth = np.lib.stride_tricks.sliding_window_view(grid.gco2_per_kwh, REACH_H)[:issues]
    return np.asarray(np.maximum(truth * (1 + error * off), 0.0))


def jobs(start: datetime, days: int, seed: int, *, noisy: bool) -> list[Job]:
    """Jobs of all lengths, with the durations that were learnt where these are noisy."""
    random = np.random.default_rng(seed)
    known = {hours: _learnt(hours, random) for hours in LENGTHS_H} if noisy else {}
    made = []
    for number, late_h in enumerate(range(0, 24 * days, EVERY_H)):
        submitted = start + late_h * HOUR
        for hours in LENGTHS_H:
            length = hours * HOUR
            learnt = known.get(hours)
            ask = Ask(
                10 * number + LENGTHS_H.index(hours) + (5 if noisy else 0),
                submitted,
                Need(),
                learnt.duration if learnt else length,
                "learnt" if learnt else "yours",
                1000.0,
                "given",
                finish_by=submitted + length + SLACK,
                guard_duration=learnt.guard_duration if learnt else None,
            )
            actual = length * float(np.exp(random.normal(0, SPREAD))) if noisy else length
            made.append(Job(ask, hours, actual))
    return made


def _learnt(hours: int, random: np.random.Generator) -> Learnt:
    """From runs of the same kind, whose user estimates them by their median."""
    estimate_s = 3600.0 * hours
    runs = [
        PastRun(float(each), estimate_s, 1000.0, "ann", "", "job", "python train.py", 0, "", number)
        for number, each in enumerate(estimate_s * np.exp(random.normal(0, SPREAD, EARLIER_RUNS)))
    ]
    learnt = learn(runs, AskedRun("ann", "", "job", "python train.py", 0, "", estimate_s))
    assert learnt is not None  # sixty runs are enough
    return learnt


def run(way: Way, grid: Grid, chain: Outlooks, waiting: list[Job], start: datetime) -> None:
    """Plans every hour until all jobs have started."""
    region = Region("local", zones={"average": grid.zone}, cpus=1_000_000, home=True)
    coming, now = list(waiting), start
    open_jobs: list[Job] = []
    plans: dict[int, Plan] = {}
    while coming or open_jobs:
        open_jobs += [job for job in coming if job.ask.submitted <= now]
        coming = [job for job in coming if job.ask.submitted > now]
        outlook = chain.outlook(grid.zone, Signal.AVERAGE, now, now + REACH_H * HOUR)
        made = _planned(way, region, outlook, open_jobs, plans, now)
        for job in open_jobs:
            job.count(plans.get(job.ask.job_id), made.get(job.ask.job_id))
        plans = made
        for job in open_jobs:
            start_at = _start(job, plans.get(job.ask.job_id), way.policy, now)
            if start_at < now + HOUR:
                job.started = start_at
        open_jobs = [job for job in open_jobs if job.started is None]
        now += HOUR


def _planned(
    way: Way,
    region: Region,
    outlook: Outlook | None,
    open_jobs: list[Job],
    keep: dict[int, Plan],
    now: datetime,
) -> dict[int, Plan]:
    asks = [job.ask for job in open_jobs]
    ids = {ask.job_id for ask in asks}
    held = {job_id: plan for job_id, plan in keep.items() if job_id in ids}
    made = plan_queue(Situation([region], {"local": outlook}, (), now, way.policy, asks, held))
    plans = {job_id: each.earliest if isinstance(each, Infeasible) else each for job_id, each in made.items()}
    return {job_id: plan for job_id, plan in plans.items() if plan is not None}


def _start(job: Job, plan: Plan | None, policy: Policy, now: datetime) -> datetime:
    """When it starts if nothing is planned anew: as planned, or when the guard says so."""
    ask = job.ask
    deadline = guard.Deadline(ask.job_id, ask.duration, ask.finish_by, guard_duration=ask.guard_duration)
    latest = guard.latest_start(deadline, policy.margin)
    times = [latest] if latest is not None else []
    times += [plan.window.start] if plan is not None else []
    return max(min(times, default=now), now)


def tallied(grid: Grid, done: list[Job]) -> dict[int, Tally]:
    """What became of jobs, by length."""
    found = {hours: Tally() for hours in LENGTHS_H}
    for job in done:
        assert job.started is not None  # the loop ends when all have
        found[job.hours].add(
            Tally(
                grid.grams(job.started, job.actual),
                grid.grams(job.ask.submitted, job.actual),
                1,
                int(job.missed),
            )
        )
    return found


def ways(errors: list[int]) -> list[Way]:
    """The perfect forecast first, then what needs none, then the forecasts."""
    made = [Way(PERFECT), Way(PROFILE), Way(OWN)]
    for error in errors:
        for vintage in VINTAGES:
            made += [
                Way(f"{error} % {vintage}, as told", error, vintage, shrinks=False),
                Way(f"{error} % {vintage}, shrunk", error, vintage),
            ]
    made += [
        Way(f"{errors[-1]} % {vintage}, shrunk, least saving 2 %", errors[-1], vintage, policy=Policy())
        for vintage in VINTAGES
    ]
    return made


def grids(data: Path, zones: list[str], days: int) -> Iterator[tuple[int, datetime, Grid]]:
    """The weeks of each zone, with what was before and comes after."""
    frame = pd.read_parquet(
        data / "average_hourly_121zones_2021_2023.parquet", columns=["zone", "ts", "ci_lifecycle"]
    )
    hourly = {
        zone: frame[frame.zone == zone].set_index("ts").ci_lifecycle.astype("float64") for zone in zones
    }
    for number, start in enumerate(STARTS):
        first = start - LEAD_H * HOUR
        hours = pd.date_range(first, periods=LEAD_H + 24 * days + TAIL_H + REACH_H, freq="h")
        for zone, series in hourly.items():
            value = np.array(series.reindex(hours), np.float64)
            if np.isnan(value).any():
                raise SystemExit(f"{zone} has holes in what is judged")
            yield number, start, Grid(zone, first, value)


@dataclass(slots=True)
class Found:
    """Tallies by way, by whether durations are noisy, and by length."""

    tallies: dict[tuple[str, bool, int], Tally] = field(default_factory=dict)

    def add(self, way: str, noisy: bool, found: dict[int, Tally]) -> None:
        """Counts them in."""
        for hours, tally in found.items():
            self.tallies.setdefault((way, noisy, hours), Tally()).add(tally)

    def share(self, way: str, noisy: bool, hours: tuple[int, ...] = LENGTHS_H) -> float:
        """The share of the perfect forecast's saving, mean over lengths."""
        shares = []
        for each in hours:
            mine, best = self.tallies[way, noisy, each], self.tallies[PERFECT, noisy, each]
            shares.append((mine.immediate_g - mine.planned_g) / (best.immediate_g - best.planned_g))
        return float(np.mean(shares))

    def pooled(self, way: str) -> float:
        """The same of all jobs whose durations are known together, so that long ones count more."""
        found = [(self.tallies[way, False, each], self.tallies[PERFECT, False, each]) for each in LENGTHS_H]
        mine = sum(each.immediate_g - each.planned_g for each, _ in found)
        return mine / sum(best.immediate_g - best.planned_g for _, best in found)

    def saved(self, way: str, noisy: bool, hours: int) -> float:
        """The share of immediate emissions that is saved."""
        mine = self.tallies[way, noisy, hours]
        return 1 - mine.planned_g / mine.immediate_g

    def missed(self, way: str) -> tuple[int, int]:
        """Misses that starting at once would not have made, of noisy durations, and jobs."""
        mine = [self.tallies[way, True, hours] for hours in LENGTHS_H]
        return sum(each.missed for each in mine), sum(each.jobs for each in mine)


def _kept(made: dict[tuple[int, str], Floats], grid: Grid, seed: int, error: int, vintage: str) -> Floats:
    """The forecasts of one error and vintage, made once for all ways that use them."""
    if (error, vintage) not in made:
        made[error, vintage] = vintages(grid, error / 100, vintage, seed)
    return made[error, vintage]


def measure(data: Path, zones: list[str], days: int, errors: list[int]) -> Found:
    """All ways on all zones and weeks."""
    found = Found()
    for number, start, grid in grids(data, zones, days):
        seed = 100 * (ZONES.index(grid.zone) if grid.zone in ZONES else 99) + number
        forecasts = partial(_kept, {}, grid, seed)
        for way in ways(errors):
            done = [*jobs(start, days, seed, noisy=False), *jobs(start, days, seed, noisy=True)]
            run(way, grid, way.chain(grid, forecasts), done, start)
            for noisy in (False, True):
                found.add(
                    way.name,
                    noisy,
                    tallied(grid, [job for job in done if (job.ask.job_id % 10 >= 5) is noisy]),
                )
        print(f"{grid.zone} {start:%B} done", file=sys.stderr, flush=True)
        if grid.zone == zones[-1]:
            print("so far:", *table(found, errors), sep="\n", file=sys.stderr, flush=True)
    return found


def table(found: Found, errors: list[int]) -> list[str]:
    """The table in Markdown."""
    head = [
        "forecast",
        *(f"{hours} h" for hours in LENGTHS_H),
        "mean",
        "all grams",
        "mean, noisy durations",
        "missed",
    ]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for way in ways(errors):
        if way.name == PERFECT:
            cells = [f"saves {found.saved(PERFECT, False, hours):.1%}" for hours in LENGTHS_H] + ["100 %"] * 3
        else:
            cells = [f"{100 * found.share(way.name, False, (hours,)):.0f} %" for hours in LENGTHS_H]
            shares = found.share(way.name, False), found.pooled(way.name), found.share(way.name, True)
            cells += [f"{100 * share:.1f} %" for share in shares]
        missed, many = found.missed(way.name)
        lines.append(f"| {' | '.join([way.name, *cells, f'{100 * missed / many:.2f} % of {many}'])} |")
    return lines


def rows(found: Found, zones: list[str], errors: list[int]) -> list[Row]:
    """What the documents quote."""
    plain = max(found.share(PROFILE, False), 0.0)
    made = []
    for error in errors:
        for vintage in VINTAGES:
            shrunk, told = (f"{error} % {vintage}, {each}" for each in ("shrunk", "as told"))
            share, missed = found.share(shrunk, False), found.missed(shrunk)
            made.append(
                Row(
                    f"{len(zones)} zones, 24 h of slack, forecasts with {error} % error, {vintage} vintages",
                    f"the same as told: {found.share(told, False):.1%}; profile {plain:.1%}",
                    f"{GOALS[error]:.0%} of the saving of a perfect forecast, {MISSES:.0%} missed at most",
                    f"{share:.1%}; with durations that vary {found.share(shrunk, True):.1%},"
                    f" missed by the plan {missed[0] / missed[1]:.2%}",
                    share >= max(GOALS[error], plain) and missed[0] / missed[1] <= MISSES,
                )
            )
    return made


def main() -> int:
    """Prints the table and keeps the rows; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--zones", default=",".join(ZONES))
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--errors", default="10,20,30")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    zones, errors = given.zones.split(","), [int(each) for each in given.errors.split(",")]
    found = measure(given.data, zones, given.days, errors)
    print("\n".join(table(found, errors)))
    reached = rows(found, zones, errors)
    whole = zones == ZONES and errors == list(GOALS) and given.days == 2
    keep("planning_noise", reached, "benchmarks/planning_noise.py", complete=whole)
    return int(not all(row.met for row in reached))


if __name__ == "__main__":
    sys.exit(main())
