"""Which waiting jobs must start now, whatever else is broken: no planner, no forecast, no arrays."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Deadline:
    """All that the guard needs to know of a waiting job."""

    job_id: int
    duration: timedelta
    finish_by: datetime | None = None
    start_by: datetime | None = None


def latest_start(deadline: Deadline, margin: timedelta) -> datetime | None:
    """The moment at which the job has to start, `margin` early; None where it has no deadline."""
    limits = []
    if deadline.finish_by is not None:
        limits.append(deadline.finish_by - deadline.duration)
    if deadline.start_by is not None:
        limits.append(deadline.start_by)
    return min(limits) - margin if limits else None


def due(waiting: Iterable[Deadline], now: datetime, margin: timedelta) -> tuple[int, ...]:
    """Ids of the jobs that must start now, the most urgent first."""
    urgent = [
        (start, deadline.job_id)
        for deadline in waiting
        if (start := latest_start(deadline, margin)) is not None and start <= now
    ]
    return tuple(job_id for _, job_id in sorted(urgent))
