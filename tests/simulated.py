"""Small sites, grids and jobs for tests of simulations."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Pausing
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.simulation.comparing import Scenario
from tidewatt.scheduler.simulation.setting import Pace, Site, scenario
from tidewatt.scheduler.simulation.submitted import Submitted, ordered, submitted

HOUR_MS = 3_600_000
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)  # grids begin here
START = BEGIN + timedelta(days=9)  # and jobs come here
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
DIRTY_DAYS = tuple(400.0 if 6 <= hour < 18 else 100.0 for hour in range(24))
CLEAN_DAYS = tuple(100.0 if 6 <= hour < 18 else 400.0 for hour in range(24))


def at(hours: float) -> datetime:
    """So many hours after the first job may come."""
    return START + timedelta(hours=hours)


def provider(days: Mapping[str, Sequence[float]], count: int = 40) -> FakeProvider:
    """Zones with the same day over and over."""
    first = round(BEGIN.timestamp() * 1000)
    start = first + np.arange(24 * count) * HOUR_MS
    series = [
        Series(zone, KIND, "recorded", Steps(start, start + HOUR_MS, np.tile(np.array(day, float), count)))
        for zone, day in days.items()
    ]
    return FakeProvider("recorded", series)


def region(zone: str, gpus: int, **more: object) -> Region:
    """A region named as its zone."""
    table: dict[str, object] = {
        "zones": {"average": zone},
        "pools": (Pool("GPU", gpus),),
        "cpus": 1000,
        **more,
    }
    return Region(zone, **table)  # type: ignore[arg-type]


def job(
    number: int,
    hours: float,
    *,
    comes: float = 0.0,
    slack: float = 24.0,
    gpus: int = 1,
    home: str = "DE",
    power_w: float = 1000.0,
    pausing: Pausing | None = None,
    real: float | None = None,
    **more: object,
) -> Submitted:
    """A job that takes `hours`, `real` hours in truth, and may be done `slack` hours later."""
    ask = Ask(
        job_id=number,
        submitted=at(comes),
        need=Need(gpus),
        duration=timedelta(hours=hours),
        duration_source="yours",
        power_w=power_w,
        power_source="test",
        finish_by=at(comes + hours + slack),
        home=home,
        pausing=pausing,
        **more,  # type: ignore[arg-type]
    )
    return submitted(ask, None if real is None else timedelta(hours=real))


def small(
    jobs: Sequence[Submitted],
    regions: Sequence[Region],
    days: Mapping[str, Sequence[float]] | None = None,
    **policy: object,
) -> Scenario:
    """A scenario of regions with dirty days, but for those that say otherwise."""
    known = {each.name: DIRTY_DAYS for each in regions} | dict(days or {})
    chain = Chain([provider(known)])
    pace = Pace(timedelta(hours=6), timedelta(days=5), timedelta(minutes=30))
    site = Site(tuple(regions), Policy(**policy))  # type: ignore[arg-type]
    return scenario(chain, site, ordered(jobs), pace)
