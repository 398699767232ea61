"""The whole-queue planner: how quick, how near to the optimum (proved), how much memory.

`.venv/bin/python benchmarks/queue_planner.py` (about five minutes; `--quick`: one seed, no 100,000 jobs).
Recorded jobs and traces are looked for in `../shared/data`. Each case runs in a process of its own, on one
thread.

The instances. Lengths: jobs drawn from `jobs_ml_50k`. GPUs: 1, 2, 4, 8 for 70, 15, 10, 5 % of the jobs,
drawing 0.25 to 0.7 kW each. Grid: 50 of 121 zones and a week of 2021 to 2023, drawn; lifecycle average,
hourly, known beforehand. Allowed: half of the regions, one of 24 such sets a job; home is one of them. Slack:
lognormal, median 24 h, sigma 0.7, cut at the week's end. Sites `large`: 64 GPUs or more each, arrivals even
over the time in which the queue uses 30, 50 or 70 % of all GPUs (100,000 jobs: 50 %). Sites `small`: sized at
random so that a week's arrivals use as much.
"""

import argparse
import heapq
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.minima import Lots
from tidewatt.scheduler.planning.timetable.placing import Room
from tidewatt.scheduler.planning.timetable.prices import free_of_charge
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints, Jobs, Menus, Places, Problem
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.vacancies import cheapest
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.planning.timetable.windows import Ground, Sheet

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results import Row, keep  # noqa: E402

HOUR_MS = 3_600_000
WEEK_H, REGIONS, SETS, SITE_GPUS = 168, 50, 24, 64
GOAL_S = {1_000: 0.15, 10_000: 1.0, 100_000: 5.0}
GOAL_GAP, GOAL_CAPTURED, GOAL_MB = 0.03, 0.95, 1000


@dataclass(frozen=True, slots=True)
class Case:
    """One instance: so many jobs, the mean use of all GPUs, `large` or `small` sites, a seed."""

    jobs: int
    use: float
    sites: str
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one case showed; seconds are CPU time of one thread, grams per gram of starting at once."""

    seconds: float
    gap: float
    captured: float
    unplaced: int
    faults: int
    memory_mb: float
    gpus: float
    ours: float
    earliest: float | None
    earliest_missed: float | None
    own_claimed: float
    own_had: float
    own_missed: float


def instance(case: Case, data: Path) -> Problem:
    """The problem of a case."""
    rng = np.random.default_rng(case.seed)
    length_h, release_h, due_h, units, gpus = _demand(case, data, rng)
    allowed = np.array([rng.permutation(REGIONS) < REGIONS // 2 for _ in range(SETS)])
    menu = rng.integers(0, SETS, case.jobs)
    home = np.array([rng.choice(np.flatnonzero(allowed[each])) for each in menu], np.int64)
    kw = units * rng.choice([0.25, 0.3, 0.4, 0.5, 0.7], case.jobs)
    edges = 1_700_000_400_000 // HOUR_MS * HOUR_MS + HOUR_MS * np.arange(WEEK_H + 1, dtype=np.int64)
    places = Places(
        names=tuple((f"region {index}", "gpu") for index in range(REGIONS)),
        edges_ms=edges,
        cost=grid(data, rng),
        units=np.repeat(gpus[:, None], WEEK_H, axis=1),
        node_units=np.zeros(REGIONS, np.int64),
        site=np.arange(REGIONS, dtype=np.int64),
        site_kw=np.full((REGIONS, WEEK_H), np.inf),
    )
    nothing, zeros = np.zeros(case.jobs), np.zeros(case.jobs, np.int64)
    jobs = Jobs(
        ids=np.arange(case.jobs, dtype=np.int64),
        release_ms=edges[0] + np.floor(release_h * HOUR_MS).astype(np.int64),
        due_ms=edges[0] + np.ceil(due_h * HOUR_MS).astype(np.int64),
        work_ms=np.floor(length_h * HOUR_MS).astype(np.int64),
        units=units,
        kw=kw,
        menu=menu,
        home=home,
        priority=zeros,
        moved_g=nothing,
        moved_ms=zeros,
        delay_g_per_h=nothing,
        before=np.zeros((0, 2), np.int64),
        group=zeros - 1,
        group_limit=np.zeros(0, np.int64),
    )
    return Problem(places, Menus(allowed, np.ones(allowed.shape), np.ones(allowed.shape)), jobs)


def grid(data: Path, rng: np.random.Generator) -> Amounts:
    """Grams per kWh in `REGIONS` zones over a week, (REGIONS, WEEK_H)."""
    frame = pd.read_parquet(
        data / "average_hourly_121zones_2021_2023.parquet", columns=["zone", "ts", "ci_lifecycle"]
    )
    wide = frame.pivot_table(index="ts", columns="zone", values="ci_lifecycle", observed=True)
    since = int(rng.integers(0, len(wide) - WEEK_H))
    week = wide.iloc[since : since + WEEK_H].dropna(axis=1).to_numpy(float)
    return week[:, rng.choice(week.shape[1], REGIONS, replace=False)].T.copy()


def _demand(case: Case, data: Path, rng: np.random.Generator) -> tuple[Amounts, Amounts, Amounts, Ints, Ints]:
    """Lengths, releases, dues (hours), GPUs of jobs and of sites."""
    drawn = pd.read_parquet(data / "jobs_ml_50k.parquet", columns=["duration_h"])["duration_h"].to_numpy(
        float
    )
    length = drawn[rng.integers(0, len(drawn), case.jobs)]
    units = rng.choice([1, 2, 4, 8], case.jobs, p=[0.7, 0.15, 0.1, 0.05]).astype(np.int64)
    demand = float((length * units).sum())
    if case.sites == "large":
        span = min(demand / case.use / REGIONS / SITE_GPUS, WEEK_H - 48.0)
        size = np.full(REGIONS, round(demand / case.use / REGIONS / span), np.int64)
    else:
        span = WEEK_H - 30.0
        mean = demand / case.use / REGIONS / WEEK_H
        size = np.maximum(8, np.round(mean * rng.lognormal(-0.125, 0.5, REGIONS))).astype(np.int64)
    release = np.sort(rng.uniform(0, span, case.jobs))
    due = np.minimum(release + length + rng.lognormal(np.log(24), 0.7, case.jobs), WEEK_H)
    return length, np.clip(np.minimum(release, due - length), 0, None), due, units, size


def measure(case: Case, data: Path) -> Found:
    """Plans one instance and compares."""
    problem = instance(case, data)
    solve(instance(Case(200, 0.5, "small", 0), data))  # so that imports and first calls are not timed
    before = process_time()
    solution = solve(problem)
    seconds = process_time() - before
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    proof = solution.certificate
    ground = ground_of(problem)
    first = proof.immediate_g
    soon, soon_missed = earliest(ground) if case.jobs <= 10_000 else (None, None)
    claimed, had, missed = own_windows(ground)
    return Found(
        seconds=seconds,
        gap=np.inf if proof.gap is None else proof.gap,
        captured=proof.captured or 0.0,
        unplaced=proof.unplaced,
        faults=len(faults(problem, solution.timetable, proof)),
        memory_mb=memory_mb,
        gpus=float(problem.places.units[:, 0].mean()),
        ours=proof.cost_g / first,
        earliest=None if soon is None else soon / first,
        earliest_missed=soon_missed,
        own_claimed=claimed / first,
        own_had=had / first,
        own_missed=missed,
    )


def earliest(ground: Ground) -> tuple[float, float]:
    """Grams, and the share without a place, if each job by order of deadlines starts as soon as it can."""
    room = Room(ground)
    rush = np.repeat(np.arange(ground.cells + 1.0)[None, :], len(ground.cost), axis=0) ** 2
    for job in np.argsort(ground.due_ms, kind="stable").tolist():
        spot = cheapest(room, job, Sheet(rush, None))
        if spot is not None:
            room.take(job, spot)
    placed = np.flatnonzero(room.place != NOWHERE)
    grams = ground.costs_g(placed, room.place[placed], room.start_ms[placed])
    return float(grams.sum()), 1 - len(placed) / len(room.place)


def own_windows(ground: Ground) -> tuple[float, float, float]:
    """Each job in its own cleanest window, whatever the others do: grams claimed, grams had, share late.

    At each place jobs queue in the order of the starts that they chose; after the week the same week again.
    """
    jobs = ground.problem.jobs
    everybody = np.arange(len(jobs.ids))
    chosen = Lots(ground, everybody, 1.03, 1.25).cheapest(free_of_charge(ground))
    start = np.zeros(len(everybody), np.int64)
    for place in np.unique(chosen.place).tolist():
        here = np.flatnonzero(chosen.place == place)
        start[here] = _queued(
            ground, place, here[np.argsort(chosen.start_ms[here], kind="stable")], chosen.start_ms
        )
    week = ground.last_ms - ground.first_ms
    wrapped = ground.first_ms + (start - ground.first_ms) % week
    over = np.maximum(wrapped + jobs.work_ms - ground.last_ms, 0)
    had = jobs.kw * (
        ground.integral(ground.total, chosen.place, wrapped, wrapped + jobs.work_ms - over)
        + ground.integral(
            ground.total, chosen.place, np.full(len(over), ground.first_ms), ground.first_ms + over
        )
    )
    late = start + jobs.work_ms > jobs.due_ms
    return float(chosen.value.sum()), float(had.sum()), float(late.mean())


def _queued(ground: Ground, place: int, order: Ints, wanted: Ints) -> Ints:
    """When jobs start at a place of equal GPUs if nobody overtakes; by the order's ascending index."""
    jobs = ground.problem.jobs
    ends: list[tuple[int, int]] = []
    free, now = int(ground.problem.places.units[place, 0]), 0
    started = {}
    for job in order.tolist():
        now = max(now, int(wanted[job]))
        while ends and (ends[0][0] <= now or free < jobs.units[job]):
            end, units = heapq.heappop(ends)
            now, free = max(now, end), free + units
        free -= int(jobs.units[job])
        heapq.heappush(ends, (now + int(jobs.work_ms[job]), int(jobs.units[job])))
        started[job] = now
    return np.array([started[job] for job in sorted(started)], np.int64)


def apart(case: Case, data: Path) -> Found:
    """The same in a process of its own, so that memory is this case's."""
    command = [sys.executable, __file__, "--data", str(data), "--case", json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Found(**json.loads(done.stdout))


def table(groups: dict[tuple[int, float, str], list[Found]]) -> str:
    """The results in Markdown: the worst of the seeds for seconds, gap, share and memory, else the mean."""
    lines = [
        "| jobs x regions | use | GPUs a site | CPU s | proved gap | captured | MB | no place in time "
        "| emissions (at once = 100 %) | by deadline, soonest | own windows: claimed, had, late |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (jobs, use, _), found in groups.items():
        mean = {name: np.mean([getattr(each, name) for each in found]) for name in ("gpus", "ours")}
        own = [
            np.mean([getattr(each, name) for each in found])
            for name in ("own_claimed", "own_had", "own_missed")
        ]
        seconds = max(each.seconds for each in found)
        soon = [each.earliest for each in found if each.earliest is not None]
        lines.append(
            f"| {jobs:,} x {REGIONS} | {use:.0%} | {mean['gpus']:.0f} | {seconds:.2f} "
            f"| {max(each.gap for each in found):.1%} | {min(each.captured for each in found):.1%} "
            f"| {max(each.memory_mb for each in found):.0f} | {sum(each.unplaced for each in found)} "
            f"| {mean['ours']:.1%} | {f'{np.mean(soon):.1%}' if soon else 'not run'} "
            f"| {own[0]:.1%}, {own[1]:.1%}, {own[2]:.0%} |"
        )
    return "\n".join(lines)


def rows(groups: dict[tuple[int, float, str], list[Found]]) -> list[Row]:
    """Rows for the documents: large sites, all uses and seeds together."""
    made = []
    for jobs, goal_s in GOAL_S.items():
        found = [
            each for (n, _, sites), some in groups.items() if n == jobs and sites == "large" for each in some
        ]
        if not found:
            continue
        seconds, gap = max(each.seconds for each in found), max(each.gap for each in found)
        captured, memory = min(each.captured for each in found), max(each.memory_mb for each in found)
        valid = all(each.faults == 0 for each in found)
        met = seconds <= goal_s and memory < GOAL_MB and valid
        goal = f"{goal_s:g} s"
        if jobs >= 10_000:
            met = met and gap <= GOAL_GAP and captured >= GOAL_CAPTURED
            goal += f", gap {GOAL_GAP:.0%}, {GOAL_CAPTURED:.0%} captured, under 1 GB"
        worst = f"{seconds:.2f} s, gap {gap:.1%}, {captured:.1%} captured, {memory:.0f} MB"
        reached = f"{worst} (worst of {len(found)})"
        made.append(Row(f"{jobs:,} jobs x {REGIONS} regions, hourly, one core", "-", goal, reached, met))
    return made


def main() -> None:
    """Runs all cases, prints the table and keeps the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="one seed, no 100,000 jobs")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(asdict(measure(Case(**json.loads(asked.case)), asked.data))))
        return
    groups: dict[tuple[int, float, str], list[Found]] = {}
    for jobs in list(GOAL_S)[: 2 if asked.quick else 3]:
        for sites, uses in (("large", (0.3, 0.5, 0.7) if jobs < 100_000 else (0.5,)), ("small", (0.5,))):
            for use in uses if jobs < 100_000 or sites == "large" else ():
                seeds = range(1 if asked.quick else 3)
                groups[jobs, use, sites] = [apart(Case(jobs, use, sites, seed), asked.data) for seed in seeds]
                print(f"{jobs} {use} {sites}: {groups[jobs, use, sites]}", file=sys.stderr)
    print(table(groups))
    keep("queue_planner", rows(groups), "benchmarks/queue_planner.py", complete=not asked.quick)


if __name__ == "__main__":
    main()
