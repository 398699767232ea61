"""What plans by the average signal, by the marginal one, and by both do to each of the two ledgers.

    python benchmarks/two_ledgers.py [DATA] [--every HOURS]

Jobs of 1, 4 and 12 h with 24 h of slack, submitted every few hours, are planned by the production planner: in
their own region alone (time), and with the other regions of the row open (time and region). Each plan is then
settled on both ledgers with what really happened: the share of what starting at once at home would have
emitted that is saved, of all jobs together, negative where more was emitted. Beside it the share of jobs that
wait or move, and of those that `average` alone would move how many `both` leaves where they are.

Twice: with both signals known ahead, which shows the policies alone, and with forecasts that need no key: of
each signal the mean of the same hours of the last seven days.

California, 2019-06 to 2020-11: a real marginal signal (SGIP, built by WattTime, of two zones, 5 min; direct
CO2) beside the average intensity of US-CAL-CISO (hourly, lifecycle). There `both` is also taken with a
modelled marginal in place of the real one (the built-in kind of profile, and the one modelled from the mix of
the last days), and judged by the real one: is a model good enough to forbid a move? Elsewhere, 2021, the
marginal ledger itself is modelled from the mix, by a table made from 2019 and 2020. DATA holds
`production_mix_hourly_42zones_2019_2022.parquet` and `marginal_5min_california_2019_2020.parquet`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from tidewatt.forecasting.climatology import same_hours
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.mix import intensity
from tidewatt.forecasting.modelled_marginal import HOUR_MS, MarginalTable, series, usual
from tidewatt.forecasting.series import Intensities, Outlook, Rung, Segment, Steps, clip
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "forecasting"))
from scripts.modelled_marginals import Mix, mixes  # noqa: E402  # scripts are no part of the package

from benchmarks.results import Row, keep  # noqa: E402  # benchmarks are no package that is installed

REAL = "marginal_5min_california_2019_2020.parquet"
CALIFORNIA = "US-CAL-CISO"
JOBS_H = (1, 4, 12)
SLACK = timedelta(hours=24)
AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MODELLED = Kind(Signal.MARGINAL, Basis.LIFECYCLE, Boundary.PRODUCTION)
ESTIMATED = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
GROUPS = {
    "US: ERCO, PJM, MISO": ("US-TEX-ERCO", "US-MIDA-PJM", "US-MIDW-MISO"),
    "Europe: DE, NL, PL": ("DE", "NL", "PL"),
}
FIRST, LAST = datetime(2019, 6, 1, tzinfo=UTC), datetime(2020, 11, 25, tzinfo=UTC)
FIRST_MODELLED, LAST_MODELLED = datetime(2021, 1, 15, tzinfo=UTC), datetime(2021, 12, 15, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A region: both ledgers as they happened, and what a model says of the marginal one, if it is real."""

    name: str
    average: Steps
    marginal: Steps
    models: Mapping[str, Steps]

    @property
    def ledgers(self) -> tuple[Steps, Steps]:
        """Both of them."""
        return self.average, self.marginal


@dataclass(frozen=True, slots=True)
class Case:
    """Regions, each of which is home in turn, and the moments at which jobs are submitted."""

    name: str
    kind: Kind  # of the marginal ledger
    places: Sequence[Place]
    moments: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Decided:
    """How a policy decides: its signal, and where the marginal one that it looks at is from."""

    name: str
    signal: str
    model: str = ""  # "": the ledger's own


@dataclass(slots=True)
class Outcome:
    """Grams per kW of all jobs on both ledgers, theirs and those of starting at once, and who moved."""

    average: float = 0.0
    average_at_once: float = 0.0
    marginal: float = 0.0
    marginal_at_once: float = 0.0
    moved: list[bool] = field(default_factory=list)

    def saved(self) -> tuple[float, float]:
        """Shares saved by the average and by the marginal ledger."""
        return 1 - self.average / self.average_at_once, 1 - self.marginal / self.marginal_at_once


def california(mix: Mix, data: Path, every: timedelta) -> Case:
    """The two zones with a real marginal signal; their average intensity is the same."""
    frame = pd.read_parquet(data / REAL)
    average = _average(mix)
    table = _before(mix, pd.Timestamp(FIRST)).table()  # five months: all there is before
    assert table is not None, "California burns gas"
    models = {"profile": _usual(table, mix), "own model": series(table, mix.mw, mix.start_ms)}
    places = []
    for zone, rows in frame.groupby("zone", observed=True):
        found = rows.set_index("ts").gco2_per_kwh.astype("float64").sort_index().dropna()
        start = found.index.to_numpy("datetime64[ms]").astype(np.int64)
        steps = Steps(start, start + 300_000, _amounts(found))
        places.append(Place(str(zone), average, steps, models))
    return Case("California, real marginal", ESTIMATED, places, _moments(FIRST, LAST, every))


def modelled(name: str, group: Sequence[Mix], every: timedelta) -> Case:
    """Zones whose marginal ledger is modelled, by a table of the two years before."""
    places = []
    for mix in group:
        table = _before(mix, pd.Timestamp(2021, 1, 1, tz="UTC")).table()
        assert table is not None, f"{mix.zone} burns something"
        own = series(table, mix.mw, mix.start_ms)
        places.append(Place(mix.zone, _average(mix), own, {"profile": _usual(table, mix)}))
    return Case(name, MODELLED, places, _moments(FIRST_MODELLED, LAST_MODELLED, every))


def judged(case: Case, decided: Decided, hours: int, ahead: bool, *, move: bool) -> Outcome:
    """What plans of a policy do to both ledgers, each region in turn being home; `move` opens the others."""
    length = timedelta(hours=hours)
    found = Outcome()
    for home, now in product(case.places, case.moments):
        until = now + length + SLACK
        if not all(_whole(ledger, now, until) for each in case.places for ledger in each.ledgers):
            continue
        others = [each for each in case.places if move and each is not home]
        plan = _plan(case, decided, [home, *others], now, until, length, ahead)
        there = next(each for each in case.places if each.name == plan.region)
        start, end = plan.window.start, plan.window.end
        found.average += _grams(there.average, start, end)
        found.marginal += _grams(there.marginal, start, end)
        found.average_at_once += _grams(home.average, now, now + length)
        found.marginal_at_once += _grams(home.marginal, now, now + length)
        found.moved.append(start > now or there is not home)
    return found


def _plan(
    case: Case,
    decided: Decided,
    places: Sequence[Place],
    now: datetime,
    until: datetime,
    length: timedelta,
    ahead: bool,
) -> Plan:
    """The production planner's plan of one job of 1 kW."""
    average = {p.name: _outlook(p.average, AVERAGE, now, until, ahead) for p in places}
    kind = MODELLED if decided.model else case.kind
    known = {p.name: p.models[decided.model] if decided.model else p.marginal for p in places}
    sure = ahead or decided.model == "profile"
    marginal = {name: _outlook(steps, kind, now, until, sure) for name, steps in known.items()}
    regions = [Region(p.name, pools=(Pool("GPU", 8),), cpus=64, home=p is places[0]) for p in places]
    ask = Ask(1, now, Need(gpus=1), length, "yours", 1000.0, "given", finish_by=until, home=places[0].name)
    own, other = (marginal, average) if decided.signal == "marginal" else (average, marginal)
    situation = Situation(
        regions,
        own,
        (),
        now,
        Policy(signal=decided.signal, margin=timedelta(0)),
        (ask,),
        beside=other if decided.signal == "both" else {},
    )
    plan = plan_queue(situation)[1]
    assert isinstance(plan, Plan)
    return plan


def _outlook(steps: Steps, kind: Kind, now: datetime, until: datetime, ahead: bool) -> Outlook:
    """What is known at `now`: all that will happen, or the mean of the same hours."""
    if ahead:
        said, source, rung = clip(steps, now, until), "known ahead", Rung.HINDSIGHT
    else:
        past = clip(steps, now - timedelta(days=8), now)
        plain = same_hours(past, now, until)
        assert plain is not None
        said, source, rung = plain.steps, plain.label, Rung.OWN
    return Outlook("", kind, said, (Segment(now, until, rung, source),))


@dataclass(frozen=True, slots=True)
class Line:
    """What one policy did to jobs of one length, in words."""

    grid: str
    known: str
    job: str
    policy: str
    said: str


def table(case: Case, ahead: bool) -> Iterator[tuple[str, str, str]]:
    """For each length and freedom: job, policy, and what it does to both ledgers."""
    names = case.places[0].models
    models = [Decided(f"both, {name}", "both", name) for name in names] if case.kind is ESTIMATED else []
    policies = [Decided(name, name) for name in ("average", "marginal", "both")] + models
    for move, hours in product((False, True), JOBS_H):
        found = {each.name: judged(case, each, hours, ahead, move=move) for each in policies}
        freedom = f"time and {len(case.places)} regions" if move else "time"
        by_average = found["average"].moved
        for name, outcome in found.items():
            average, marginal = outcome.saved()
            stayed = sum(was and not now for was, now in zip(by_average, outcome.moved, strict=True))
            declined = stayed / max(sum(by_average), 1)
            stay = f", {declined:.0%} stay" if name.startswith("both") else ""
            said = f"{average:+.1%} / {marginal:+.1%} ({np.mean(outcome.moved):.0%}{stay})"
            yield f"{hours} h, {freedom}", name, said


def main(data: Path, every: timedelta) -> int:
    """Prints the table, and keeps it."""
    wanted = {CALIFORNIA, *(zone for group in GROUPS.values() for zone in group)}
    found = {mix.zone: mix for mix in mixes(data) if mix.zone in wanted}
    cases = [california(found[CALIFORNIA], data, every)]
    cases += [modelled(name, [found[zone] for zone in group], every) for name, group in GROUPS.items()]
    rows = []
    for ahead in (True, False):
        known = "known ahead" if ahead else "same hours"
        for case in cases:
            rows += [Line(case.name, known, *cells) for cells in table(case, ahead)]
            print(f"{case.name}, {known}: done", file=sys.stderr, flush=True)
    hours = every / timedelta(hours=1)
    print(f"Jobs submitted every {hours:g} h with {SLACK / timedelta(hours=1):g} h of slack. Saved by the")
    print("average / by the marginal ledger against starting at once at home; in brackets the share of jobs")
    print("that wait or move, and of those that `average` would move how many stay.\n")
    _show(rows)
    command = f"benchmarks/two_ledgers.py --every {hours:g}"
    keep(
        "two_ledgers",
        [
            Row(f"{each.grid}, {each.job}, {each.known}", each.policy, "for information", each.said, None)
            for each in rows
        ],
        command,
    )
    return 0


def _show(rows: Sequence[Line]) -> None:
    """One line for each grid, knowledge and job, a column for each policy."""
    policies = list(dict.fromkeys(each.policy for each in rows))
    print(f"| grid | signals | job | {' | '.join(policies)} |")
    print(f"| --- | --- | --- |{' --- |' * len(policies)}")
    for grid, known, job in dict.fromkeys((each.grid, each.known, each.job) for each in rows):
        cells = {
            each.policy: each.said for each in rows if (each.grid, each.known, each.job) == (grid, known, job)
        }
        print(f"| {grid} | {known} | {job} | {' | '.join(cells.get(name, '') for name in policies)} |")


def _before(mix: Mix, moment: pd.Timestamp) -> Mix:
    return mix.part(0, mix.hours_to(moment))


def _amounts(values: "pd.Series[float]") -> Intensities:
    found: Intensities = np.array(values.tolist(), float)
    return found


def _average(mix: Mix) -> Steps:
    values = intensity(mix.mw, Basis.LIFECYCLE)
    start = mix.start_ms + HOUR_MS * np.arange(len(values), dtype=np.int64)
    good = np.isfinite(values)
    return Steps(start[good], start[good] + HOUR_MS, values[good])


def _usual(found: MarginalTable, mix: Mix) -> Steps:
    """What the table's profile says of every hour of the mix."""
    hours = len(next(iter(mix.mw.values())))
    start = mix.start_ms + HOUR_MS * np.arange(hours, dtype=np.int64)
    return Steps(start, start + HOUR_MS, usual(found.usual, start, found.timezone))


def _moments(first: datetime, last: datetime, every: timedelta) -> list[datetime]:
    return [first + n * every for n in range((last - first) // every)]


def _whole(steps: Steps, start: datetime, end: datetime) -> bool:
    """True where nothing is missing between the week before `start` and `end`."""
    part = clip(steps, start, end)
    covered = int((part.end_ms - part.start_ms).sum())
    before = clip(steps, start - timedelta(days=2), start)
    return timedelta(milliseconds=covered) == end - start and len(before.start_ms) > 0


def _grams(steps: Steps, start: datetime, end: datetime) -> float:
    part = clip(steps, start, end)
    return float((part.end_ms - part.start_ms) @ part.gco2_per_kwh) / HOUR_MS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--every", type=float, default=31.0, metavar="HOURS")
    asked = parser.parse_args()
    sys.exit(main(asked.data, timedelta(hours=asked.every)))
