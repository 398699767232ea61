"""The machine-learning project of "Let's Wait Awhile" (Wiesner et al., Middleware 2021, arXiv 2110.13234).

    python benchmarks/waiting_awhile.py [--jobs 3387] [--others 300] [--zones DE,FR] [--data DATA]

3,387 jobs of 2,036.6 W over 2020, that begin on workdays between 9 and 17 h local time. A job that would end
outside of working hours may end until 9 h of the next workday ("next workday"); or any job until 9 h of the
next Monday or Thursday ("semi-weekly"). Saved is the share of what they emit when each begins at once.

As far as it is known here: the number of jobs, their power and the mean length of 47 h. Assumed: lengths
spread evenly from 4 to 90 h in half hours, beginnings spread evenly over the half hours of working time;
holidays count as workdays. The intensities are hourly (theirs: half-hourly), of production with life-cycle
factors; Great Britain is not among them and taken from flow-traced hourly intensities of 2021. A forecast
with 5 % error has normal noise of 5 % of the zone's mean intensity on each hour.

Theirs: the lowest mean of all windows that begin on a half hour; interruptible, the cheapest half hours.
Ours: one piece exactly; interruptible exactly, without overheads; and with a restart of 10 min at full power
after each pause, which is charged to the plans of their rule too (its energy only: their jobs end in time all
the same).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.pausing.evaluation import Part, cost_of
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.work import Track, Work

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]
from benchmarks.results import Row, keep  # noqa: E402

Floats = NDArray[np.float64]
HOUR_MS, HALF_MS = 3_600_000, 1_800_000
JOBS, POWER_KW = 3387, 2.0366
SHORTEST_H, LONGEST_H = 4, 90
OPENS, CLOSES = 9, 17
ERROR = 0.05
RESTART = timedelta(minutes=10)
FREE, PAYING, WHOLE = Pausing(), Pausing(restart=RESTART), Pausing(max_pauses=0)
CONSTRAINTS = ("next workday", "semi-weekly")
# Their published figures, next workday, 5 % error: non-interruptible, interruptible (evaluation.ipynb).
PUBLISHED = {"DE": (5.91, 7.93), "GB": (6.56, 9.03), "FR": (4.77, 5.92), "CISO": (2.45, 5.71)}
NAMED = ("DE", "GB", "FR", "CISO")
TIMES = {
    **dict.fromkeys(("DE", "FR", "AT", "CH", "DK", "NL", "PL"), "Europe/Berlin"),
    **dict.fromkeys(("GB", "IE", "PT"), "Europe/London"),
    "RO": "Europe/Bucharest",
    **dict.fromkeys(("CISO", "BPAT", "LDWP", "NEVP", "PACW", "PSEI", "TIDC", "GRID"), "America/Los_Angeles"),
    **dict.fromkeys(("AZPS", "SRP", "WALC"), "America/Phoenix"),
    **dict.fromkeys(("EPE", "IPCO", "NWMT", "PACE", "PSCO", "WACM"), "America/Denver"),
    **dict.fromkeys(("AECI", "ERCO", "MISO", "SOCO", "SPA", "SWPP", "TVA"), "America/Chicago"),
}
EASTERN = "America/New_York"


@dataclass(frozen=True, slots=True)
class Job:
    """Unix milliseconds: begins, would end, and how late it may end by each constraint."""

    begins: int
    length: int
    due: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A zone's hours: what was forecast, what came."""

    start_ms: int
    forecast: Floats
    actual: Floats


def main() -> int:
    """Prints the table and keeps the rows; 1 where ours saves less than theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument(
        "--others", type=int, default=300, help="jobs in each zone that has no published figure"
    )
    parser.add_argument("--zones", type=lambda text: text.split(","))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    rows: list[Row] = []
    print("| zone | constraint | forecast | one piece, theirs / ours | pauses free, theirs / ours", end="")
    print(" | 10 min restart, theirs / ours | published |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, series in zones(asked.data, asked.zones):
        count = asked.jobs if name in NAMED else asked.others
        for error in (0.0, ERROR):
            for constraint, saved in compared(name, series, count, error).items():
                rows.append(told(name, constraint, error, saved))
    complete = asked.zones is None and asked.jobs >= JOBS and asked.others >= 300
    command = " ".join(["benchmarks/waiting_awhile.py", *sys.argv[1:]])
    keep("waiting_awhile", rows, command, complete=complete)
    missed = [row.on for row in rows if row.met is False]
    print(
        f"\nours saves less than theirs in {len(missed)} of {len(rows)} lines: {', '.join(missed) or 'none'}"
    )
    return int(bool(missed))


def zones(data: Path, asked: Sequence[str] | None) -> Iterator[tuple[str, "pd.Series[float]"]]:
    """Hourly intensity of each zone over a year and some days, those with published figures first."""
    frame = pd.read_parquet(data / "production_mix_hourly_42zones_2019_2022.parquet")
    names = [*NAMED, *(name for name in sorted(frame.zone.unique()) if name not in NAMED)]
    for name in names if asked is None else asked:
        if name == "GB":
            flows = pd.read_parquet(data / "average_hourly_121zones_2021_2023.parquet")
            series = flows[flows.zone == "GB"].set_index("ts").ci_lifecycle.astype(float)
            yield name, series["2021-01-01":"2022-01-20"]
        else:
            series = frame[frame.zone == name].set_index("ts").ci_lifecycle.astype(float)
            yield name, series["2020-01-01":"2021-01-20"]


def compared(
    name: str, series: "pd.Series[float]", count: int, error: float
) -> dict[str, list[tuple[float, float]]]:
    """By constraint (theirs, ours) in per cent saved: one piece, free pauses, with restarts."""
    hours = series.asfreq("h").interpolate().sort_index()
    actual: Floats = np.asarray(hours, np.float64)
    noise = np.random.default_rng(2021).normal(0.0, 1.0, len(actual)) * error * actual.mean()
    grid = Grid(int(hours.index[0].timestamp() * 1000), np.maximum(actual + noise, 0.0), actual)
    jobs = project(ZoneInfo(TIMES.get(name, EASTERN)), hours.index[0].year, count)
    found = {}
    for number, constraint in enumerate(CONSTRAINTS):
        totals = np.array([outcomes(grid, job, job.due[number]) for job in jobs]).sum(axis=0)
        saved = 100 * (1 - totals[1:] / totals[0])
        found[constraint] = [(float(saved[i]), float(saved[i + 1])) for i in (0, 2, 4)]
    return found


def project(zone: ZoneInfo, year: int, count: int) -> list[Job]:
    """The jobs of one year."""
    rng = np.random.default_rng(0)
    days = [day for day in pd.date_range(f"{year}-01-01", f"{year}-12-31") if day.weekday() < 5]
    found = []
    for _ in range(count):
        day = days[int(rng.integers(len(days)))]
        begins = day + pd.Timedelta(minutes=OPENS * 60 + 30 * int(rng.integers(2 * (CLOSES - OPENS))))
        length = pd.Timedelta(minutes=30 * int(rng.integers(2 * SHORTEST_H, 2 * LONGEST_H + 1)))
        ends = begins + length
        due = [ends if _working(ends) else _next(ends, range(5)), _next(ends, (0, 3))]
        found.append(
            Job(
                _ms(begins, zone),
                int(length.total_seconds() * 1000),
                (
                    max(_ms(due[0], zone), _ms(begins, zone) + int(length.total_seconds() * 1000)),
                    max(_ms(due[1], zone), _ms(begins, zone) + int(length.total_seconds() * 1000)),
                ),
            )
        )
    return found


def _working(moment: pd.Timestamp) -> bool:
    return moment.weekday() < 5 and OPENS <= moment.hour + moment.minute / 60 < CLOSES


def _next(moment: pd.Timestamp, weekdays: Sequence[int]) -> pd.Timestamp:
    """9 h of the next day, today's included, that is one of these."""
    opens = moment.normalize() + pd.Timedelta(hours=OPENS)
    while opens < moment or opens.weekday() not in weekdays:
        opens += pd.Timedelta(days=1)
    return opens


def _ms(local: pd.Timestamp, zone: ZoneInfo) -> int:
    moment = local.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return int(moment.timestamp() * 1000)


def outcomes(grid: Grid, job: Job, due: int) -> list[float]:
    """Grams that really came: at once; in one piece by their rule and ours; with pauses; with restarts."""
    first = (job.begins - grid.start_ms) // HOUR_MS
    last = min(-(-(due - grid.start_ms) // HOUR_MS), len(grid.actual))
    hours = slice(first, max(last, first + 2))
    edges = grid.start_ms + HOUR_MS * np.arange(hours.start, hours.stop + 1, dtype=np.int64)
    seen, real = (
        Work(
            edges,
            (Track("here", "", values[hours], np.ones(hours.stop - hours.start, np.bool_)),),
            job.length,
            POWER_KW,
            job.begins,
            due,
            FREE,
        )
        for values in (grid.forecast, grid.actual)
    )
    at_once: tuple[Part, ...] = ((0, job.begins, job.begins + job.length),)
    window, slots = lowest_window(seen), cheapest_halves(seen)
    whole, free, paying = (best_stints(replace(seen, pausing=pausing)) for pausing in (WHOLE, FREE, PAYING))
    assert whole is not None
    assert free is not None
    assert paying is not None
    return [
        cost_of(real, at_once),
        cost_of(real, window),
        cost_of(real, whole.parts),
        cost_of(real, slots),
        cost_of(real, free.parts),
        cost_of(real, slots) + restarts_g(real, slots),
        cost_of(replace(real, pausing=PAYING), paying.parts),
    ]


def lowest_window(work: Work) -> tuple[Part, ...]:
    """Their rule for jobs that cannot be interrupted: the lowest mean of the windows on half hours."""
    halves = _halves(work)
    n = work.work_ms // HALF_MS
    sums = np.concatenate(([0.0], np.cumsum(halves)))
    start = int(np.argmin(sums[n:] - sums[:-n]))
    begins = work.release_ms + start * HALF_MS
    return ((0, begins, begins + work.work_ms),)


def cheapest_halves(work: Work) -> tuple[Part, ...]:
    """Their rule for jobs that can: the cheapest half hours."""
    chosen = np.sort(np.argsort(_halves(work), kind="stable")[: work.work_ms // HALF_MS])
    breaks = np.flatnonzero(np.diff(chosen) > 1) + 1
    return tuple(
        (0, work.release_ms + int(run[0]) * HALF_MS, work.release_ms + (int(run[-1]) + 1) * HALF_MS)
        for run in np.split(chosen, breaks)
    )


def _halves(work: Work) -> Floats:
    count = (work.due_ms - work.release_ms) // HALF_MS
    middles = work.release_ms + HALF_MS * np.arange(count) + HALF_MS // 2
    found: Floats = work.tracks[0].cost[np.searchsorted(work.edges_ms, middles) - 1]
    return found


def restarts_g(work: Work, parts: Sequence[Part]) -> float:
    """Grams of a restart at the beginning of each stint but the first."""
    length = RESTART / timedelta(hours=1)
    slots = [int(np.searchsorted(work.edges_ms, start, "right")) - 1 for _, start, _ in parts[1:]]
    return POWER_KW * length * float(work.tracks[0].cost[slots].sum())


def told(name: str, constraint: str, error: float, saved: Sequence[tuple[float, float]]) -> Row:
    """One line of the table."""
    least = all(ours >= theirs - 1e-9 for theirs, ours in saved)
    forecast = f"{error:.0%} error" if error else "perfect"
    published = ""
    if name in PUBLISHED and constraint == CONSTRAINTS[0] and error:
        published = "{} / {}".format(*PUBLISHED[name])
    pairs = [f"{theirs:.2f} / {ours:.2f}" for theirs, ours in saved]
    print(f"| {name} | {constraint} | {forecast} | {' | '.join(pairs)} | {published} |", flush=True)
    return Row(
        f"{name}, {constraint}, {forecast}",
        "their rule: " + ", ".join(f"{theirs:.2f} %" for theirs, _ in saved),
        "at least as high",
        ", ".join(f"{ours:.2f} %" for _, ours in saved),
        least,
    )


if __name__ == "__main__":
    sys.exit(main())
