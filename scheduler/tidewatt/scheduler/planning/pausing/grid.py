"""The slots of one track as the programme sees them: equal, but for a shorter first and last one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR, Ground, time_for
from tidewatt.scheduler.planning.pausing.work import Amounts, Flags, Ints

PARTS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)  # a slot may be divided into so many
MOST_CELLS = 40_000_000  # progress x waiting: some 30 ms


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """`n` slots of one track in which the job may be there: all `step_ms` long but the first and last.

    `unit` is grams per millisecond of 1 kW, 0 where it is not known.
    """

    step_ms: int
    edges_ms: Ints  # (n+1,)
    unit: Amounts  # (n,)
    usable: Flags  # (n,)
    known: Flags  # (n,)

    @property
    def head_ms(self) -> int:
        """How much the first slot lacks."""
        return self.step_ms - int(self.edges_ms[1] - self.edges_ms[0])

    @property
    def tail_ms(self) -> int:
        """How much the last slot lacks."""
        return self.step_ms - int(self.edges_ms[-1] - self.edges_ms[-2])

    def part(self, first: bool, last: bool) -> "Grid":
        """The same without a shorter first or last slot, where they are not wanted."""
        begin = int(self.head_ms > 0 and not first)
        end = len(self.unit) - int(self.tail_ms > 0 and not last)
        return Grid(
            self.step_ms,
            self.edges_ms[begin : end + 1],
            self.unit[begin:end],
            self.usable[begin:end],
            self.known[begin:end],
        )


def grid_of(ground: Ground, index: int, parts: int, low: int) -> Grid | None:
    """The grid of a track from an instant on, each slot divided into `parts`; None where nothing is left."""
    high = ground.until_ms
    if high <= low:
        return None
    edges, step = ground.work.edges_ms, ground.slot_ms // parts
    after = int(edges[1]) + (-(-(low + 1 - int(edges[1])) // step)) * step
    cuts = np.concatenate(([low], np.arange(after, high, step, dtype=np.int64), [high]))
    slots = np.searchsorted(edges, cuts[:-1], "right") - 1
    cost = ground.work.tracks[index].cost[slots]
    known = np.isfinite(cost)
    unit = np.where(known, cost, 0.0) / MS_PER_HOUR
    return Grid(step, cuts, unit, ground.usable[index][slots], known)


def parts_for(ground: Ground, indices: Sequence[int]) -> int:
    """Into how many parts slots are divided, so that all delays are whole parts, and more where it matters.

    Milestones and a shortest stint may bind next to the first and last instant: these are made whole parts
    too, where that does not take too many cells.
    """
    pausing, anchor = ground.work.pausing, int(ground.work.edges_ms[1])
    tracks = [ground.work.tracks[index] for index in indices]
    delays = [length_ms(length) for length in (pausing.checkpoint, pausing.restart, pausing.min_stint)]
    marks = [floor_ms(milestone.by) - anchor for milestone in pausing.milestones]
    for milestone in pausing.milestones:
        marks += [time_for(milestone.share * ground.work.work_ms, track.speed) for track in tracks]
    borders = [ground.until_ms - anchor] if pausing.min_stint or marks else []
    if borders or len(indices) > 1:
        borders += [int(ground.from_ms[index]) - anchor for index in indices]
    borders += [int(ground.need_ms[index]) for index in indices] if marks else []
    if len(indices) > 1:
        delays += [track.arrive_ms for track in tracks]
    slots = max(ground.until_ms - int(ground.from_ms.min()), 1) / ground.slot_ms
    used = float(ground.need_ms[list(indices)].min()) / ground.slot_ms
    cells = max(used * (slots - used), slots, used) * len(indices)
    possible = [
        parts
        for parts in PARTS
        if ground.slot_ms % parts == 0 and (parts == 1 or cells * parts * parts <= MOST_CELLS)
    ]
    for lengths in (delays + marks + borders, delays + marks, delays):
        for parts in possible:
            if all(length % (ground.slot_ms // parts) == 0 for length in lengths):
                return parts
    return possible[-1]
