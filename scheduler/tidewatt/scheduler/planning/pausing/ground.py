"""All tracks of a job as arrays, with what each means for it: when it can be there, and for how long."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.pausing.work import Amounts, Flags, Ints, Work

MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """`R` tracks over `T` slots.

    `rate` is grams per millisecond of running, 0 where the slot cannot be used. `from_ms` is the first
    instant at which the job can start in a track, its data's journey from home included, and `latest_ms` the
    last at which one piece can; `need_ms` is how long all of its work takes there.
    """

    work: Work
    slot_ms: int  # of all slots but the first
    rate: Amounts  # (R, T)
    usable: Flags  # (R, T)
    from_ms: Ints  # (R,)
    need_ms: Ints  # (R,)
    latest_ms: Ints  # (R,)
    arrive_g: Amounts  # (R,)
    until_ms: int  # nothing runs from here on


def ground_of(work: Work) -> Ground:
    """The arrays of a work that has at least one track."""
    edges, tracks = work.edges_ms, work.tracks
    cost = np.array([track.cost for track in tracks], np.float64)
    usable = np.isfinite(cost) & np.array([track.free for track in tracks], np.bool_)
    scale = np.array([work.kw * track.power / MS_PER_HOUR for track in tracks])
    if not usable.all():
        cost[~usable] = 0.0
    rate = np.multiply(cost, scale[:, None], out=cost)
    away = [bool(work.home) and track.region != work.home for track in tracks]
    from_ms = np.array(
        [
            max(work.release_ms + track.arrive_ms * far, int(edges[0]))
            for track, far in zip(tracks, away, strict=True)
        ],
        np.int64,
    )
    arrive_g = np.array([track.arrive_g * far for track, far in zip(tracks, away, strict=True)])
    need_ms = np.array([time_for(work.work_ms, track.speed) for track in tracks], np.int64)
    until = min(work.due_ms, int(edges[-1]))
    latest = until - need_ms
    for milestone in work.pausing.milestones:
        ahead = [time_for(milestone.share * work.work_ms, track.speed) for track in tracks]
        latest = np.minimum(latest, floor_ms(milestone.by) - np.array(ahead, np.int64))
    slot_ms = int(edges[-1] - edges[-2])
    return Ground(work, slot_ms, rate, usable, from_ms, need_ms, latest, arrive_g, until)


def time_for(work_ms: float, speed: float) -> int:
    """Whole milliseconds in which so much work is done at a speed; the rounding of the ratio is let pass."""
    return int(np.ceil(work_ms / speed - 1e-6))


def overhead_g(ground: Ground) -> Amounts:
    """(R,) the least that the watt hours of one pause cost in each track, in its best slot."""
    work, pausing = ground.work, ground.work.pausing
    total = np.zeros(len(work.tracks))
    least = np.where(ground.usable, ground.rate, np.inf).min(axis=1)
    least[~np.isfinite(least)] = 0.0  # a track that can never be used
    usual = np.array([work.kw * track.power for track in work.tracks])
    for wh in (pausing.checkpoint_wh, pausing.restart_wh):
        if wh:
            unit = np.divide(least, usual, out=np.zeros_like(least), where=usual > 0)
            total += unit * wh / 1000 * MS_PER_HOUR
    return total
