"""Which waiting jobs must start now, whatever else is broken: no planner, no forecast, no arrays.

A job starts, or starts again, once `now >= finish_by - (rest + restart + queue wait + margin)`. Rest and wait
are such that 95 of 100 take no longer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_LONGEST = timedelta(days=3650)  # longer ones leave no deadline that a date could hold


@dataclass(frozen=True, slots=True)
class Deadline:
    """All that the guard needs to know of a waiting job, or of one that is paused.

    `guard_duration` is the run time that 95 of 100 such jobs do not exceed, None where `duration` is all that
    is known. `remaining` is the same of a paused job's rest, in place of both. `restart` is what a paused job
    takes until it makes progress again, `queue_wait` what the backend may let it wait before it starts.
    """

    job_id: int
    duration: timedelta
    finish_by: datetime | None = None
    start_by: datetime | None = None
    guard_duration: timedelta | None = None
    restart: timedelta = timedelta(0)
    queue_wait: timedelta = timedelta(0)
    remaining: timedelta | None = None

    @property
    def rest(self) -> timedelta:
        """How long the job may run from its start on."""
        if self.remaining is not None:
            return self.remaining
        return max(self.duration, self.guard_duration or self.duration)


def latest_start(deadline: Deadline, margin: timedelta) -> datetime | None:
    """The moment at which the job has to start, `margin` early; None where it has no deadline.

    It may lie in the past: a job whose longer run time leaves no slack starts at once.
    """
    limits = []
    if deadline.finish_by is not None:
        limits.append(_before(deadline.finish_by, deadline.rest, deadline.restart))
    if deadline.start_by is not None:
        limits.append(deadline.start_by)
    return _before(min(limits), deadline.queue_wait, margin) if limits else None


def at_speed(deadline: Deadline, speed: float) -> Deadline:
    """The same on hardware that is `speed` times as fast as the one that its estimates are of."""
    if speed == 1.0:
        return deadline
    guarded, rest = deadline.guard_duration, deadline.remaining
    return replace(
        deadline,
        duration=_at(speed, deadline.duration),
        guard_duration=None if guarded is None else _at(speed, guarded),
        remaining=None if rest is None else _at(speed, rest),
    )


def anywhere(deadline: Deadline, speeds: Sequence[float], since: datetime, margin: timedelta) -> Deadline:
    """The deadline as the slowest hardware can keep it that could from `since` on; else as the fastest can.

    A job that is started wherever there is room has to be started so early.
    """
    for speed in sorted(speeds):
        slower = at_speed(deadline, speed)
        latest = latest_start(slower, margin)
        if latest is None or latest >= since:
            return slower
    return at_speed(deadline, max(speeds, default=1.0))


def due(waiting: Iterable[Deadline], now: datetime, margin: timedelta) -> tuple[int, ...]:
    """Ids of the jobs that must start now, the most urgent first."""
    urgent = [
        (start, deadline.job_id)
        for deadline in waiting
        if (start := latest_start(deadline, margin)) is not None and start <= now
    ]
    return tuple(job_id for _, job_id in sorted(urgent))


def _at(speed: float, length: timedelta) -> timedelta:
    """How long work of that length takes, as far as a date goes."""
    return min(length, _LONGEST * min(speed, 1.0)) / speed


def _before(moment: datetime, *lengths: timedelta) -> datetime:
    """`moment` less the lengths, as far back as a date goes."""
    back = sum((min(length, _LONGEST) for length in lengths), timedelta(0))
    return moment - min(back, moment - datetime.min.replace(tzinfo=UTC))
