"""One job: whether its plan is the best there is, and how long it takes to find.

    python benchmarks/job_planner.py [--cases 500] [--runs 15]

Exactness: five times `--cases` random small jobs against trying out everything (`benchmarks/brute_force.py`):
in one piece through the live planner, then interruptible in one place, with a choice of places, with moves,
and with a choice of places and a draw that changes. Partial slots, milestones, shortest stints, limits on
pauses, delays, closed slots and unknown hours are drawn in each. Speed: 50 regions, 7 days of 5-minute slots,
checkpoint 5 min and restart 10 min, work of 6, 24 and 72 h; the same programme without any pruning beside it.
CPU time: what else runs on the machine hardly counts. Exits with 1 where a goal is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Pausing, Plan, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.pausing.evaluation import faults_of
from tidewatt.scheduler.planning.pausing.ground import ground_of
from tidewatt.scheduler.planning.pausing.piece import pieces
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.stinting import paused
from tidewatt.scheduler.planning.pausing.work import Track, Work
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

sys.path[:0] = [str(Path(__file__).parents[1])]
from benchmarks.brute_force import MINUTE, MINUTE_MS, T0_MS, Trial, changing, drawn  # noqa: E402
from benchmarks.results import Row, keep  # noqa: E402

T0 = datetime.fromtimestamp(T0_MS / 1000, UTC)
EXACT = Policy(min_saving=0, min_wait=timedelta(0), margin=timedelta(0))
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
TOLERANCE = 1e-9
REGIONS, DAYS, SLOT_MS = 50, 7, 300_000
WORK_H = (6, 24, 72)
ONE_PIECE_MS, INTERRUPTIBLE_MS = 1.0, 5.0
STEPS = profile([(0, 1200), (0.25, 600), (0.5, 240)])[1]


def main() -> int:
    """Prints both parts, and keeps the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args()
    rows = [*exactness(asked.cases), *speed(asked.runs)]
    complete = asked.cases >= 500 and asked.runs >= 15
    keep("job_planner", rows, " ".join(["benchmarks/job_planner.py", *sys.argv[1:]]), complete=complete)
    print("\n| what | against | goal | reached |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row.on} | {row.against} | {row.goal} | {row.reached} |")
    return int(any(row.met is False for row in rows))


def exactness(cases: int) -> list[Row]:
    """How many plans differ from brute force."""
    kinds: list[tuple[str, Callable[[int], tuple[bool, int]]]] = [
        ("in one piece, live planner, up to 3 regions", one_piece),
        ("interruptible, one place", lambda seed: interruptible(seed, 1, moves=False)),
        ("interruptible, one of two places for all", lambda seed: interruptible(seed, 2, moves=False)),
        ("interruptible, moves between two places", lambda seed: interruptible(seed, 2, moves=True)),
        ("interruptible, of changing draw", lambda seed: interruptible(seed, 2, moves=False, changes=True)),
    ]
    found = []
    for name, tried in kinds:
        outcomes = [tried(10_000_000 + seed) for seed in range(cases)]
        wrong = sum(not right for right, _ in outcomes)
        pauses = sum(count > 0 for _, count in outcomes)
        print(f"{name}: {wrong} of {cases} differ; {pauses} of the best plans pause", flush=True)
        found.append((name, wrong))
    total = sum(wrong for _, wrong in found)
    parts = "; ".join(f"{name} {wrong} of {cases}" for name, wrong in found)
    return [
        Row(
            f"{len(kinds) * cases} random small jobs",
            "brute force",
            "none dearer or cheaper, none unsound",
            f"{total} differ ({parts})",
            total == 0,
        )
    ]


def interruptible(seed: int, places: int, *, moves: bool, changes: bool = False) -> tuple[bool, int]:
    """Whether the plan is sound and as cheap as any, and how often it pauses."""
    work = drawn(seed, places, moves=moves)
    work = changing(work, seed) if changes else work
    trial, found = Trial(work), best_stints(work)
    if found is None or not trial.spells:
        return found is None and not trial.spells, 0
    close = abs(found.cost_g - trial.least_g) <= TOLERANCE * max(1.0, trial.least_g)
    return close and not faults_of(work, found.parts), len(found.parts) - 1


def one_piece(seed: int) -> tuple[bool, int]:
    """The same of a job in one piece, by the planner that the daemon uses."""
    rng = np.random.default_rng(seed)
    step, count = int(rng.choice((1, 5, 15, 30, 60))), int(rng.integers(1, 4))
    outlooks: dict[str, Outlook | None] = {}
    regions, bookings = [], []
    for i in range(count):
        n = 240 // step
        values = rng.choice((0.0, 40.0, 90.0, 300.0, 700.0), n) if seed % 2 else rng.uniform(1, 700, n)
        starts = T0_MS + step * MINUTE_MS * np.arange(n, dtype=np.int64)
        segment = Segment(T0, T0 + 240 * MINUTE, Rung.LIVE, "drawn")
        steps = Steps(starts, starts + step * MINUTE_MS, values.astype(float))
        outlooks[f"r{i}"] = Outlook("DE", KIND, steps, (segment,))
        pue = float(rng.choice((1.0, 1.5)))
        regions.append(Region(f"r{i}", pools=(Pool("gpu", 1),), cpus=9, pue=pue, home=i == 0))
        for _ in range(int(rng.integers(0, 3))):
            start = int(rng.integers(0, 240))
            window = Window(T0 + start * MINUTE, T0 + (start + int(rng.integers(1, 60))) * MINUTE)
            bookings.append(Booking(f"r{i}", "gpu", window, 1, 1))
    length, by = int(rng.integers(1, 120)), int(rng.integers(60, 241))
    ask = Ask(
        1, T0, Need(gpus=1), length * MINUTE, "yours", 1000.0, "given", finish_by=T0 + by * MINUTE, home="r0"
    )
    placed = Board(Situation(regions, outlooks, bookings, T0, EXACT)).place(ask)
    least = min(_minute_by_minute(regions, outlooks, bookings, length, by), default=None)
    if least is None or not isinstance(placed, Plan):
        return least is None and not isinstance(placed, Plan), 0
    grams = placed.expected_g
    return grams is not None and abs(grams - least) <= 1e-6 * max(1.0, least), 0


def _minute_by_minute(
    regions: Sequence[Region],
    outlooks: dict[str, Outlook | None],
    bookings: Sequence[Booking],
    length: int,
    by: int,
) -> list[float]:
    """Grams of every start on a whole minute."""
    found = []
    for region in regions:
        outlook = outlooks[region.name]
        assert outlook is not None
        step = int(outlook.steps.end_ms[0] - outlook.steps.start_ms[0]) // MINUTE_MS
        busy = {
            minute
            for booking in bookings
            if booking.region == region.name
            for minute in range((booking.window.start - T0) // MINUTE, (booking.window.end - T0) // MINUTE)
        }
        for start in range(by - length + 1):
            minutes = range(start, start + length)
            if busy.isdisjoint(minutes):
                values = [float(outlook.steps.gco2_per_kwh[minute // step]) for minute in minutes]
                found.append(region.pue * sum(values) / 60)
    return found


def speed(runs: int) -> list[Row]:
    """Milliseconds of one job over all regions."""
    rows = []
    _unpruned(_work(runs, max(WORK_H)))  # warm: a process that has run for a while holds on to its memory
    for hours in WORK_H:
        works = [_work(seed, hours) for seed in range(runs)]
        piece = _times([partial(_in_one_piece, work) for work in works])
        exact = _times([partial(best_stints, work) for work in works])
        slow = _times([partial(_unpruned, work) for work in works[:1]])
        changing_works = [replace(work, steps=STEPS) for work in works]
        shaped = _times([partial(_in_one_piece, work) for work in changing_works])
        alone = _times(
            [partial(best_stints, replace(work, tracks=work.tracks[:1])) for work in changing_works]
        )
        rows += [
            Row(
                f"one piece of {hours} h, {REGIONS} regions, {DAYS} days of 5-minute slots",
                "",
                f"{ONE_PIECE_MS:.0f} ms (median)",
                f"{statistics.median(piece):.2f} ms, p95 {_p95(piece):.2f} ms",
                statistics.median(piece) <= ONE_PIECE_MS,
            ),
            Row(
                f"interruptible, {hours} h, the same",
                f"the programme unpruned: {statistics.median(slow):.0f} ms"
                f" ({statistics.median(slow) / statistics.median(exact):.0f} times)",
                f"{INTERRUPTIBLE_MS:.0f} ms (median)",
                f"{statistics.median(exact):.2f} ms, p95 {_p95(exact):.2f} ms",
                statistics.median(exact) <= INTERRUPTIBLE_MS,
            ),
            Row(
                f"{hours} h of a draw that changes twice: one piece, 50 regions; interruptible, 1 region",
                "",
                "",
                f"{statistics.median(shaped):.2f} ms; {statistics.median(alone):.0f} ms (medians)",
                None,
            ),
        ]
        print(
            rows[-3].reached, "|", rows[-2].reached, "|", rows[-2].against, "|", rows[-1].reached, flush=True
        )
    return rows


def _work(seed: int, hours: int) -> Work:
    """A day's shape at another level, with weather and noise, in each region."""
    rng, n = np.random.default_rng(seed), DAYS * 86_400_000 // SLOT_MS
    day = np.arange(n) * 2 * np.pi * SLOT_MS / 86_400_000
    tracks = []
    for i in range(REGIONS):
        level = rng.uniform(100, 500)
        depth = rng.uniform(0.2, 0.5) * np.repeat(rng.uniform(0.5, 1.0, DAYS + 1), 288)[:n]
        noise = np.convolve(rng.normal(0, 20, n + 20), np.ones(21) / 5, "valid")[:n]
        cost = np.maximum(level * (1 + depth * np.sin(day + rng.uniform(0, 6))) + noise, 1.0)
        tracks.append(Track(f"r{i}", "", cost, np.ones(n, np.bool_)))
    edges = T0_MS + SLOT_MS * np.arange(n + 1, dtype=np.int64)
    pausing = Pausing(timedelta(minutes=5), timedelta(minutes=10))
    return Work(edges, tracks, hours * 3_600_000, 1.0, T0_MS, int(edges[-1]), pausing)


def _in_one_piece(work: Work) -> None:
    pieces(ground_of(work))


def _unpruned(work: Work) -> None:
    """The best of all regions, each by the programme over all edges: as cheap as with pruning."""
    ground = ground_of(work)
    found = [paused(ground, [index], pruned=False) for index in range(len(work.tracks))]
    best, exact = min(each.cost_g for each in found if each is not None), best_stints(work)
    assert exact is not None
    assert abs(exact.cost_g - best) <= TOLERANCE * best, "pruning changed the plan"


def _times(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Milliseconds of CPU time of each call, the least of three: what else runs here does not count."""
    found = []
    for call in calls:
        taken = []
        for _ in range(3 if len(calls) > 2 else 1):
            begun = time.thread_time()
            call()
            taken.append(1000 * (time.thread_time() - begun))
        found.append(min(taken))
    return found


def _p95(times: Sequence[float]) -> float:
    return float(np.percentile(times, 95))


if __name__ == "__main__":
    sys.exit(main())
