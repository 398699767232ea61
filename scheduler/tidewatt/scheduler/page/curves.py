"""The grid as curves over time, and when jobs run in it; numbers for charts and their tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.wording import title
from tidewatt.scheduler.schemas import JobView
from tidewatt.scheduler.status_schema import StatusView

BACK = timedelta(hours=6)
AHEAD_H = 36.0
MOST_LANES = 40
OPEN = ("running", "paused", "waiting")


@dataclass(frozen=True, slots=True)
class Point:
    """One step; `low` and `high` are the 10th and 90th percentile, None where there are none."""

    start: datetime
    end: datetime
    gco2_per_kwh: float
    low: float | None = None
    high: float | None = None
    observed: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A zone by one signal. `label` names the regions in it, `told` the sources or why there is nothing."""

    zone: str
    signal: str
    label: str
    points: tuple[Point, ...]
    told: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch in which a job ran, runs or is to run."""

    key: str
    name: str
    state: str
    region: str
    start: datetime
    end: datetime


def curves(desk: Desk, status: StatusView, hours: float = AHEAD_H, back: timedelta = BACK) -> list[Curve]:
    """A curve for each zone and signal that a region decides by."""
    places: dict[tuple[str, str], list[str]] = {}
    for region in status.regions:
        if region.zone:
            signal = region.signal or status.signal
            signal = signal if signal in ("average", "marginal") else "average"
            places.setdefault((region.zone, signal), []).append(region.name)
    return [
        curve(desk, zone, signal, ", ".join(names), status.now, hours, back)
        for (zone, signal), names in places.items()
    ]


def curve(
    desk: Desk, zone: str, signal: str, label: str, now: datetime, hours: float, back: timedelta
) -> Curve:
    """What was observed of it, then what is ahead; without points where nothing is known."""
    points: list[Point] = []
    try:
        for start_ms, value in desk.observed(zone, signal, now - back, now):
            start = datetime.fromtimestamp(start_ms / 1000, now.tzinfo)
            points.append(Point(start, start + timedelta(hours=1), value, observed=True))
        ahead = desk.forecast(zone, signal, hours)
    except (SchedulerError, ForecastError) as error:
        return Curve(zone, signal, label, tuple(points), str(error))
    seam = max((each.end for each in points), default=now - back)
    points += [
        Point(step.start, step.end, step.gco2_per_kwh, step.p10, step.p90)
        for step in ahead.steps
        if step.start >= seam
    ]
    told = "; ".join(dict.fromkeys(f"{each.source} ({each.rung})" for each in ahead.segments))
    return Curve(ahead.zone, signal, label, tuple(points), f"{told}. {ahead.note}" if ahead.note else told)


def bars(jobs: Sequence[JobView], now: datetime) -> list[Bar]:
    """What ran and what is planned, a bar for each stretch."""
    found: list[Bar] = []
    for job in jobs:
        found += _ran(job, now)
        found += _planned(job, now)
    return found


def _ran(job: JobView, now: datetime) -> Iterator[Bar]:
    for each in job.attempts:
        if each.started is not None:
            yield Bar(job.key, title(job), "ran", each.region, each.started, each.ended or now)


def _planned(job: JobView, now: datetime) -> Iterator[Bar]:
    plan = job.plan
    if plan is None or job.state not in OPEN:
        return
    stints = [(each.region, each.start, each.end) for each in plan.stints]
    for region, start, end in stints or [(plan.region, plan.start, plan.end)]:
        start = max(start, now) if job.state == "running" else start
        if end > start:
            yield Bar(job.key, title(job), job.state, region, start, end)


def picture(found: Sequence[Curve], lanes: Sequence[Bar], now: datetime) -> dict[str, Any]:
    """Both as JSON for the charts; times are in seconds."""
    return {
        "now": now.timestamp(),
        "curves": [
            {
                "label": f"{each.label}: {each.zone}, {each.signal}",
                "points": [
                    [point.start.timestamp(), point.end.timestamp(), round(point.gco2_per_kwh, 2)]
                    + [None if value is None else round(value, 2) for value in (point.low, point.high)]
                    for point in each.points
                ],
            }
            for each in found
            if each.points
        ],
        "bars": [
            {
                "key": each.key,
                "name": each.name,
                "state": each.state,
                "region": each.region,
                "start": each.start.timestamp(),
                "end": each.end.timestamp(),
            }
            for each in lanes
        ],
    }
