"""How long planning takes: one job in one and in fifty regions, and a queue of a hundred jobs.

Repeat with: .venv/bin/python benchmarks/planner_speed.py
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.intensity import curve_of
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import admit, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.PRODUCTION)
STEP_MS = 300_000


def outlook(seed: int, hours: int = 48, kind: Kind = KIND) -> Outlook:
    """A daily shape with noise, in 5-minute steps."""
    n = hours * 3_600_000 // STEP_MS
    starts = int(NOW.timestamp() * 1000) + STEP_MS * np.arange(n, dtype=np.int64)
    shape = 300 + 150 * np.sin(np.arange(n) * 2 * math.pi / 288 + seed)
    noise = np.random.default_rng(seed).normal(0, 20, n)
    steps = Steps(starts, starts + STEP_MS, np.maximum(shape + noise, 1.0))
    segment = Segment(NOW, NOW + timedelta(hours=hours), Rung.LIVE, "synthetic", NOW)
    return Outlook("DE", kind, steps, (segment,))


def region(index: int, gpus: int = 8) -> Region:
    """A region with one pool of GPUs."""
    return Region(f"r{index}", pools=(Pool("NVIDIA A100", gpus),), cpus=256, home=index == 0)


def job(job_id: int, hours: float = 4, slack_h: float = 44, gpus: int = 1) -> Ask:
    """A job with a deadline."""
    length = timedelta(hours=hours)
    finish_by = NOW + length + timedelta(hours=slack_h)
    return Ask(
        job_id, NOW, Need(gpus=gpus, cpus=4), length, "yours", 300.0, "given", finish_by=finish_by, home="r0"
    )


def median_ms(work: Callable[[], object], times: int) -> float:
    """Median wall time of `work`, in milliseconds, after one call to warm up."""
    work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def one_job(count: int, times: int) -> tuple[float, float]:
    """Median milliseconds of one job over `count` regions: with curves at hand, and with new forecasts."""
    regions = [region(i) for i in range(count)]
    outlooks = {place.name: outlook(i) for i, place in enumerate(regions)}
    ask = job(1)

    def plan(fresh: bool) -> None:
        seen = {name: Outlook(o.zone, o.kind, o.steps, o.segments) for name, o in outlooks.items()}
        board = Board(Situation(regions, seen if fresh else outlooks, (), NOW, Policy()))
        assert isinstance(board.place(ask), Plan)

    return median_ms(lambda: plan(False), times), median_ms(lambda: plan(True), times)


def all_weighed(count: int, hours: int, times: int) -> tuple[float, float]:
    """Median milliseconds over `hours` of 5-minute steps: by one signal, and by both on two kinds of GPU."""
    regions = [region(i) for i in range(count)]
    two = [
        replace(each, pools=(*each.pools, Pool("NVIDIA H100", 8, speed=1.8, power=1.4))) for each in regions
    ]
    average: dict[str, Outlook | None] = {each.name: outlook(i, hours) for i, each in enumerate(regions)}
    beside: dict[str, Outlook | None] = {
        each.name: outlook(i + 7, hours, MARGINAL) for i, each in enumerate(regions)
    }
    ask = job(1, 24, hours - 24)
    one = Situation(regions, average, (), NOW, Policy())
    both = Situation(two, average, (), NOW, Policy(signal="both"), beside=beside)
    return (
        median_ms(lambda: Board(one).place(ask), times),
        median_ms(lambda: Board(both).place(ask), times),
    )


def queue_of(count: int, asks: Sequence[Ask]) -> tuple[float, float, float]:
    """Median milliseconds: a queue planned anew, planned again with all plans kept, and one more job."""
    regions = [region(i) for i in range(count)]
    outlooks = {place.name: outlook(i, 96) for i, place in enumerate(regions)}
    anew = Situation(regions, outlooks, (), NOW, Policy(), asks)
    plans = plan_queue(anew)
    keep = {job_id: plan for job_id, plan in plans.items() if isinstance(plan, Plan)}
    kept = replace(anew, keep=keep)
    print(f"    {len(keep)} of {len(asks)} jobs keep their deadlines")
    return (
        median_ms(lambda: plan_queue(anew), 5),
        median_ms(lambda: plan_queue(kept), 5),
        median_ms(lambda: admit(job(len(asks) + 1), kept), 9),
    )


def main() -> None:
    """Prints the medians."""
    assert curve_of(None) is None
    for count, times, target in ((1, 500, 1), (50, 100, 10)):
        known, fresh = one_job(count, times)
        print(f"one 4 h job, 48 h of 5-minute steps, {count:2} region(s): {known:.3f} ms median", end=" ")
        print(f"({fresh:.3f} ms with a new forecast everywhere); target under {target} ms")
    one, both = all_weighed(50, 168, 20)
    print(f"one 24 h job, 7 days of 5-minute steps, 50 regions: {one:.2f} ms by one signal,", end=" ")
    print(f"{both:.1f} ms by both signals on two kinds of GPU each (medians)")
    for count in (6, 100):
        rng = np.random.default_rng(1)
        asks = [
            job(i + 1, float(rng.uniform(1, 8)), float(rng.uniform(6, 60)), int(rng.integers(1, 3)))
            for i in range(count)
        ]
        print(f"{count} waiting jobs x 2 regions of 8 GPUs:")
        anew, kept, one_more = queue_of(2, asks)
        print(f"    all anew {anew:.1f} ms, all kept {kept:.1f} ms, one more job {one_more:.1f} ms (medians)")


if __name__ == "__main__":
    main()
