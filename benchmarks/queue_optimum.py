"""How far plans of small, contended queues are from the best possible: at once, and after 30 s of polish.

Queues of 10 to 60 jobs over five regions drawn from 121 zones (hourly traces of 2023, from an hour drawn at
random); lengths of real machine-learning jobs (of at least 1 h, in whole hours, so that the optimum over
hourly starts is that over all starts); 1, 2 or 4 GPUs (60, 25, 15 %); each job may run in its home and about
half of the other regions; released within a day, 24 h median slack (lognormal, sigma 0.5). Each region has as
many GPUs as make the jobs' GPU hours half of what there is within the day and the median slack.

The optimum is HiGHS's, of the whole problem, with no limit on quality and two minutes of time. Where it was
not proved in that time, the gap is against the best lower bound, and the queue is counted as not proved.

Repeat with: .venv/bin/python benchmarks/queue_optimum.py
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tidewatt.scheduler.planning.timetable.exact import optimum
from tidewatt.scheduler.planning.timetable.improvement import improve
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Jobs, Menus, Places, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import grams
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.validator import faults

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.results import ROOT, Row, keep  # a script finds its neighbours only by path

DATA = ROOT / ".." / "shared" / "data"
GRID, LENGTHS = "average_hourly_121zones_2021_2023.parquet", "jobs_ml_50k.parquet"
SIZES = (10, 20, 40, 60)
REGIONS, HOUR_MS = 5, 3_600_000
POLISH_S, PROOF_S = 30.0, 120.0
USE = 0.5  # of the GPU hours of a day and the median slack


@dataclass(frozen=True, slots=True)
class Traces:
    """Hourly intensities, `(zones, hours)`, and lengths of jobs in hours."""

    zones: list[str]
    values: np.ndarray
    lengths_h: np.ndarray


@dataclass(frozen=True, slots=True)
class Gaps:
    """One queue: gaps to the optimum in percent, seconds taken, whether the optimum is proved."""

    at_once: float
    polished: float
    proved: bool
    solve_s: float
    fewer: int  # jobs that the plan at once did not place, though the optimum does
    polish_cpu_s: float  # on a machine that others use too, less than its time


def traces(data: Path) -> Traces:
    """The recorded data; exits where they are not at hand."""
    if not (data / GRID).exists():
        sys.exit(f"the recorded traces are not in {data}: see benchmarks/README.md")
    frame = pd.read_parquet(data / GRID, columns=["zone", "ts", "ci_lifecycle"])
    frame = frame[frame.ts >= "2023-01-01"]
    wide = frame.pivot(index="ts", columns="zone", values="ci_lifecycle").dropna(axis=1)
    lengths = pd.read_parquet(data / LENGTHS, columns=["duration_h"]).duration_h.to_numpy(float)
    real = np.ceil(lengths[(lengths >= 1) & (lengths <= 24)])
    return Traces([str(zone) for zone in wide.columns], wide.to_numpy(float).T, real)


def queue(known: Traces, jobs: int, seed: int) -> Problem:
    """A contended queue drawn from the traces."""
    rng = np.random.default_rng([seed, jobs])
    hours = rng.choice(known.lengths_h, jobs)
    units = rng.choice([1, 2, 4], jobs, p=[0.6, 0.25, 0.15])
    release = np.sort(rng.integers(0, 24, jobs))
    slack = np.ceil(24 * rng.lognormal(0, 0.5, jobs))
    due = (release + hours + slack).astype(int)
    slots = int(due.max())
    first = int(rng.integers(0, known.values.shape[1] - slots))
    chosen = rng.choice(len(known.zones), REGIONS, replace=False)
    capacity = max(4, round(float((hours * units).sum()) / USE / 48 / REGIONS))
    home = rng.integers(0, REGIONS, jobs)
    allowed = rng.random((jobs, REGIONS)) < 0.5
    allowed[np.arange(jobs), home] = True
    start = 1_672_531_200_000 + first * HOUR_MS
    places = Places(
        names=tuple((known.zones[zone], "gpu") for zone in chosen),
        edges_ms=start + HOUR_MS * np.arange(slots + 1, dtype=np.int64),
        cost=known.values[chosen, first : first + slots],
        units=np.full((REGIONS, slots), capacity, np.int64),
        node_units=np.zeros(REGIONS, np.int64),
        site=np.zeros(REGIONS, np.int64),
        site_kw=np.full((1, slots), np.inf),
    )
    ones, nothing = np.ones((jobs, REGIONS)), np.zeros(jobs, np.int64)
    return Problem(
        places,
        Menus(allowed, ones, ones),
        Jobs(
            ids=np.arange(1, jobs + 1, dtype=np.int64),
            release_ms=start + HOUR_MS * release.astype(np.int64),
            due_ms=start + HOUR_MS * due.astype(np.int64),
            work_ms=(HOUR_MS * hours).astype(np.int64),
            units=units.astype(np.int64),
            kw=0.4 * units,
            menu=np.arange(jobs, dtype=np.int64),
            home=home.astype(np.int64),
            priority=nothing,
            moved_g=np.zeros(jobs),
            moved_ms=nothing,
            delay_g_per_h=np.zeros(jobs),
            before=np.empty((0, 2), np.int64),
            group=np.full(jobs, -1, np.int64),
            group_limit=np.empty(0, np.int64),
        ),
    )


def measured(problem: Problem, polish_s: float) -> Gaps:
    """The gaps of one queue; every timetable is checked."""
    begun = time.perf_counter()
    first = solve(problem).timetable
    solve_s = time.perf_counter() - begun
    cpu = time.process_time()
    polished = improve(problem, first, polish_s)
    cpu = time.process_time() - cpu
    best, bound, proved = optimum(problem, PROOF_S, polished)
    for table in (first, polished, *([] if best is None else [best])):
        assert not faults(problem, table), faults(problem, table)
    best = polished if best is None or _total(problem, best) > _total(problem, polished) else best
    least = _total(problem, best) if proved else bound
    fewer = int((first.place == NOWHERE).sum() - (best.place == NOWHERE).sum())
    gaps = [100 * (_total(problem, table) / least - 1) for table in (first, polished)]
    return Gaps(gaps[0], gaps[1], proved, solve_s, fewer, cpu)


def _total(problem: Problem, table: Timetable) -> float:
    return float(grams(problem, table).sum())


def rows(
    known: Traces, sizes: Sequence[int], seeds: int, polish_s: float
) -> Iterator[tuple[int, list[Gaps]]]:
    """Size by size."""
    for size in sizes:
        yield size, [measured(queue(known, size, seed), polish_s) for seed in range(seeds)]


def main() -> None:
    """Prints the table and keeps its rows."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    asked.add_argument("--polish", type=float, default=POLISH_S, help="seconds")
    asked.add_argument("--data", type=Path, default=DATA)
    given = asked.parse_args()
    known = traces(given.data)
    later = f"after {given.polish:g} s"
    columns = ("jobs", "queues", "at once: mean (highest) gap", "s", f"{later}: mean (highest) gap")
    print(f"| {' | '.join((*columns, 'CPU s', 'proved'))} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: list[Gaps] = []
    for size, gaps in rows(known, given.sizes, given.seeds, given.polish):
        found += gaps
        print(f"| {size} | {len(gaps)} | {_said(gaps)} |", flush=True)
    print(f"| all | {len(found)} | {_said(found)} |")
    at_once = float(np.mean([each.at_once for each in found]))
    polished = float(np.mean([each.polished for each in found]))
    command = f".venv/bin/python benchmarks/queue_optimum.py --seeds {given.seeds} --polish {given.polish:g}"
    against = f"HiGHS's optimum, proved for {sum(each.proved for each in found)} of {len(found)} queues"
    keep(
        "queue_optimum",
        [
            Row("up to 60 jobs, at once", against, "mean gap 0.2 %", f"{at_once:.2f} %", at_once <= 0.2),
            Row(f"up to 60 jobs, {later}", against, "mean gap 0", f"{polished:.3f} %", polished < 0.0005),
        ],
        command,
        complete=given.seeds >= 5 and given.polish == POLISH_S and given.sizes == list(SIZES),
    )


def _said(gaps: list[Gaps]) -> str:
    once, later = [each.at_once for each in gaps], [each.polished for each in gaps]
    seconds = np.mean([each.solve_s for each in gaps])
    fewer = sum(each.fewer for each in gaps)
    unplaced = f", {fewer} jobs not placed" if fewer else ""
    proved = f"{sum(each.proved for each in gaps)} of {len(gaps)}"
    return (
        f"{np.mean(once):.3f} % ({np.max(once):.2f} %){unplaced} | {seconds:.2f}"
        f" | {np.mean(later):.4f} % ({np.max(later):.3f} %)"
        f" | {np.mean([each.polish_cpu_s for each in gaps]):.1f} | {proved}"
    )


if __name__ == "__main__":
    main()
