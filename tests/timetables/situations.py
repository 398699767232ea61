"""Small situations: some regions, some waiting jobs, what runs already."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, GpuKind, Window
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0.02, min_wait=timedelta(0), margin=timedelta(0))


def outlook(values: Sequence[float], start: datetime = T0) -> Outlook:
    """Hourly intensity from `start` on."""
    starts = floor_ms(start) + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(start, start + len(values) * HOUR, Rung.LIVE, "file x.csv")
    return Outlook("DE", KIND, Steps(starts, starts + 3_600_000, np.array(values, float)), (segment,))


def ask(job_id: int, finish_h: float | None = 8, hours: float = 1, **changes: object) -> Ask:
    """A job of one GPU that was submitted at T0."""
    finish_by = None if finish_h is None else T0 + finish_h * HOUR
    submitted = T0 + job_id * timedelta(seconds=1) - HOUR
    usual = Ask(job_id, submitted, Need(gpus=1), hours * HOUR, "yours", 1000.0, "given", finish_by=finish_by)
    return replace(usual, **changes)  # type: ignore[arg-type]


def situation(
    asks: Sequence[Ask],
    values: Sequence[float] | None = (300.0,) * 3 + (100.0,) + (300.0,) * 44,
    regions: Sequence[Region] = (Region("local", pools=(Pool("A100", 1),), cpus=16),),
    **changes: object,
) -> Situation:
    """All regions on the same grid; None: nothing is known of it."""
    ahead = None if values is None else outlook(values)
    made = Situation(regions, dict.fromkeys((r.name for r in regions), ahead), (), T0, EXACT, asks)
    return replace(made, **changes)  # type: ignore[arg-type]


def drawn(seed: int, jobs: int = 6) -> Situation:
    """Two regions with closed hours, a power limit and several kinds; jobs with all that one can ask for."""
    rng = np.random.default_rng(seed)
    closed = (Window(T0 + 5 * HOUR, T0 + 6 * HOUR),) if seed % 2 else ()
    regions = (
        Region(
            "local", pools=(Pool("A100", 2), Pool("H100", 4, 2, 2.0, 1.5)), cpus=20, mem_mb=64_000, home=True
        ),
        Region("north", pools=(Pool("A100", 2),), cpus=8, pue=1.3, power_limit_kw=1.5, closed=closed),
    )
    asks = [_ask(i + 1, rng) for i in range(jobs)]
    ahead = {region.name: outlook(rng.uniform(50, 500, 60).tolist()) for region in regions}
    runs = Window(T0 - HOUR, T0 + float(rng.uniform(0.5, 5)) * HOUR)
    booked = Booking("local", "A100", runs, 1, 2, 1000, "job 99", 400.0, "")
    return Situation(regions, ahead, (booked,), T0, EXACT, asks, ends={99: runs.end})


def _ask(job_id: int, rng: np.random.Generator) -> Ask:
    hours = float(rng.uniform(0.3, 5))
    gpus = int(rng.integers(0, 3))
    kinds = (GpuKind("a100"), GpuKind("h100", 1.7, 1.2)) if gpus and rng.random() < 0.3 else ()
    earlier = rng.random() < 0.2
    return ask(
        job_id,
        None if rng.random() < 0.15 else float(np.round(hours / 0.9 + rng.uniform(0, 14), 3)),
        hours,
        need=Need(gpus=gpus, cpus=int(rng.integers(1, 5)), mem_mb=int(rng.integers(0, 20_000))),
        power_w=float(rng.uniform(100, 900)),
        release=T0 + float(rng.uniform(0, 3)) * HOUR if rng.random() < 0.2 else None,
        after=(int(rng.integers(1, job_id)) if job_id > 1 else 99,) if earlier else (),
        array="7" if job_id % 3 == 0 else "",
        array_limit=1 if job_id % 3 == 0 else 0,
        kinds=kinds,
        late=bool(rng.random() < 0.1),
        priority=int(rng.integers(0, 2)),
        data_gb=float(rng.choice([0.0, 40.0])),
    )
