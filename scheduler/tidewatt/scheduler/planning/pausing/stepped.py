"""Stints of a job whose draw changes while it runs.

A dynamic programme over time and progress: what a slot costs depends on how much has been done by then. The
plans that run are kept by their delay, the slots that they have lost so far: running on changes nothing but
the grams, which are summed up along each delay beforehand.

Exact where slots, work, delays, milestones and the steps' borders have a common part that the cells suffice
for: the constraints of such a plan are differences of two unknowns, so that one of the best plans lies on
that part's edges. Else slots are divided as finely as can be and lengths rounded up: sound then, but not
proved best. It stays in one place.
"""

from collections import defaultdict
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.planning.draw import legs_of
from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.grid import PARTS
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR, Ground, time_for
from tidewatt.scheduler.planning.pausing.stinting import overheads_of
from tidewatt.scheduler.planning.pausing.work import Amounts, Flags, Stints

NEVER = np.inf
MOST_CELLS = 2_000_000  # delay x progress: some 16 MB and a tenth of a second
FEW = 6  # pauses: counted from the first; else only where a plan has too many
Edges = NDArray[np.int32]
Pieces = list[tuple[int, int]]  # edges between which it runs


def stepped(ground: Ground, index: int, below_g: float = np.inf) -> Stints | None:
    """The cheapest stints with a pause in one track that cost less than `below_g`; None where none does."""
    cells = _Cells(ground, index)
    if cells.slots < cells.units + 1:
        return None
    most = ground.work.pausing.max_pauses
    for layers in (0, most) if most is None or most > FEW else (most,):
        found = _Programme(cells, layers or 0).run()
        if found is None or most is None or len(found) - 1 <= most:
            break
    if found is None:
        return None
    parts = cells.parts(found)
    grams = cost_of(ground.work, parts)
    return Stints(parts, grams) if len(parts) > 1 and grams < below_g else None


class _Cells:
    """One track cut into equal parts of slots, and the work cut likewise."""

    def __init__(self, ground: Ground, index: int) -> None:
        work, pausing = ground.work, ground.work.pausing
        self.ground, self.index = ground, index
        self._need = int(ground.need_ms[index])
        self.step = _part(ground, index)
        anchor = int(work.edges_ms[1])
        self._low = anchor - (anchor - int(ground.from_ms[index])) // self.step * self.step
        self.slots = max(0, (ground.until_ms - self._low) // self.step)
        self.units = -(-self._need // self.step)
        self._spare = self.units * self.step - self._need
        starts = self._low + self.step * np.arange(self.slots, dtype=np.int64)
        slot = np.searchsorted(work.edges_ms, starts, "right") - 1
        cost = work.tracks[index].cost[slot]
        self.known: Flags = np.isfinite(cost)
        self.usable: Flags = ground.usable[index][slot]
        self.unit: Amounts = np.where(self.known, cost, 0.0) / MS_PER_HOUR * self.step  # grams per kW
        self.over = overheads_of(work, index, self.step)
        self.restart, self.checkpoint = (
            self.over.restart_ms // self.step,
            self.over.checkpoint_ms // self.step,
        )
        self.least = max(1, -(-(length_ms(pausing.min_stint) + self._spare) // self.step))
        speed = work.tracks[index].speed
        self.marks = [
            (
                (floor_ms(each.by) - self._low) // self.step,
                -(-time_for(each.share * work.work_ms, speed) // self.step),
            )
            for each in pausing.milestones
            if floor_ms(each.by) < ground.until_ms
        ]
        self.ratio = self._ratios()

    def _ratios(self) -> Amounts:
        """(K,) the draw in each unit of progress, against the mean."""
        found, begins = np.zeros(self.units), self.step * np.arange(self.units)
        for begin, end, ratio in legs_of(self.ground.work.steps, self._need):
            inside = np.minimum(begins + self.step, end) - np.maximum(begins, begin)
            found += ratio * np.maximum(inside, 0) / self.step
        return found

    def parts(self, pieces: Pieces) -> tuple[tuple[int, int, int], ...]:
        """Pieces of running in milliseconds, with the restart before and the checkpoint after each pause.

        What the last unit has more than the work needs is left out at the end.
        """
        pausing, last = self.ground.work.pausing, len(pieces) - 1
        restart, checkpoint = length_ms(pausing.restart), length_ms(pausing.checkpoint)
        return tuple(
            (
                self.index,
                self._low + start * self.step - restart * (i > 0),
                self._low + end * self.step + (checkpoint if i < last else -self._spare),
            )
            for i, (start, end) in enumerate(pieces)
        )


class _Programme:
    """All plans with pauses over the cells; `most` 0: any number of them."""

    def __init__(self, cells: _Cells, most: int) -> None:
        self._cells, self._layers, self._counted = cells, max(1, most + 1), most > 0
        units, over = cells.units, cells.over
        self._delays = cells.slots - units + 1
        windows = np.lib.stride_tricks.sliding_window_view(cells.unit, units)
        self._ran = np.zeros((self._delays, units + 1))  # grams of running so far, by delay and progress
        np.cumsum(windows * (cells.ratio * over.usual_kw), axis=1, out=self._ran[:, 1:])
        self._sum = np.concatenate(([0.0], np.cumsum(cells.unit)))
        self._barred = np.concatenate(([0], np.cumsum(~cells.usable)))
        self._best = np.full((self._layers, self._delays), NEVER)  # less what running has cost
        self._since = np.zeros((self._layers, self._delays), np.int32)
        self._paused = np.full((self._layers, units + 1), NEVER)  # less what being suspended has cost
        self._stopped = np.zeros((self._layers, units + 1), np.int32)
        self._landings: defaultdict[int, list[tuple[int, Amounts]]] = defaultdict(list)
        self._arrivals: defaultdict[int, list[tuple[int, Amounts]]] = defaultdict(list)
        self._begun: dict[int, Edges] = {}  # by the edge of a stop: when that stint began to run
        self._origin: dict[int, Edges] = {}  # by the edge of a start: when it had stopped before
        self._end: tuple[float, int, int, int] = (NEVER, 0, 0, 0)  # grams, edge, its stint's start, layer

    def run(self) -> Pieces | None:
        """The cheapest plan; None where there is none."""
        cells = self._cells
        for edge in range(cells.slots + 1):
            if edge and not cells.usable[edge - 1]:
                self._best[:] = NEVER
            for start, grams in self._landings.pop(edge, ()):
                self._land(edge, start, grams)
            for by, needed in cells.marks:
                if by == edge:
                    self._best[:, max(0, edge - needed + 1) :] = NEVER
            self._stop(edge)
            if edge and cells.over.suspended_kw and not cells.known[edge - 1]:
                self._paused[:] = NEVER
            for stop, grams in self._arrivals.pop(edge, ()):
                lower = grams < self._paused
                self._paused[lower], self._stopped[lower] = grams[lower], stop
            for by, needed in cells.marks:
                if by == edge:
                    self._paused[:, : max(0, needed)] = NEVER
            self._start(edge)
        return None if self._end[0] == NEVER else self._unwound()

    def _idle(self, edge: int) -> float:
        return float(self._sum[edge]) * self._cells.over.suspended_kw

    def _start(self, edge: int) -> None:
        """What begins to run here for the first time, and what begins its restart here."""
        cells, over = self._cells, self._cells.over
        if edge < self._delays:
            first = np.full((self._layers, 1), NEVER)
            first[0] = cells.ground.arrive_g[cells.index]
            self._schedule(None, edge, first)
        begin = edge + cells.restart
        if begin >= cells.slots or self._barred[begin] > self._barred[edge]:
            return
        grams = over.restart_kw * float(self._sum[begin] - self._sum[edge])
        if not cells.restart:
            grams = float(cells.unit[edge]) / cells.step * MS_PER_HOUR * over.restart_kwh
        resumed = np.full(self._paused.shape, NEVER)
        if self._counted:
            resumed[1:] = self._paused[:-1]
        else:
            resumed[:] = self._paused
        resumed[:, -1] = NEVER
        if np.isfinite(resumed).any():
            origin = np.zeros(self._stopped.shape, np.int32)
            origin[self._counted :] = self._stopped[: self._layers - self._counted]
            self._origin[begin] = origin
            self._schedule(edge, begin, resumed + (grams + self._idle(edge)))

    def _schedule(self, resumed: int | None, begin: int, grams: Amounts) -> None:
        """Has stints that run from `begin` on be among those that may stop once they are long enough.

        `grams` are by progress. What was paused until `resumed` has kept the milestones up to then.
        """
        cells, landing = self._cells, begin + self._cells.least
        if landing > cells.slots or self._barred[landing] > self._barred[begin]:
            return
        for by, needed in cells.marks:
            if by <= landing and (resumed is None or by >= resumed):
                grams[:, : max(0, needed - max(0, by - begin))] = NEVER
        self._landings[landing].append((begin, grams))

    def _land(self, edge: int, begin: int, grams: Amounts) -> None:
        """Takes such stints in: by their delay, without what running up to there would have cost."""
        progress = np.arange(grams.shape[1])
        fits = (begin - progress >= 0) & (begin - progress < self._delays)
        fits &= progress + edge - begin <= self._cells.units
        progress = progress[fits]
        delay = begin - progress
        value = grams[:, fits] - self._ran[delay, progress]
        lower = value < self._best[:, delay]
        self._best[:, delay] = np.where(lower, value, self._best[:, delay])
        self._since[:, delay] = np.where(lower, begin, self._since[:, delay])

    def _stop(self, edge: int) -> None:
        """All that stops here: for good, or with a checkpoint after which it is paused."""
        cells, over, units = self._cells, self._cells.over, self._cells.units
        progress = np.arange(max(1, edge - self._delays + 1), min(units, edge) + 1)
        if not progress.size:
            return
        delay = edge - progress
        value = self._best[:, delay] + self._ran[delay, progress]
        if progress[-1] == units:
            layer = int(np.argmin(value[:, -1]))
            begun_at = int(self._since[layer, edge - units])
            self._end = min(self._end, (float(value[layer, -1]), edge, begun_at, layer))
            value[:, -1] = NEVER
        until = edge + cells.checkpoint
        if until > cells.slots or self._barred[until] > self._barred[edge] or not np.isfinite(value).any():
            return
        grams = over.checkpoint_kw * float(self._sum[until] - self._sum[edge])
        if not cells.checkpoint:
            grams = float(cells.unit[edge - 1]) / cells.step * MS_PER_HOUR * over.checkpoint_kwh
        begun = np.zeros(self._stopped.shape, np.int32)
        begun[:, progress] = self._since[:, delay]
        self._begun[edge] = begun
        stopped = np.full(self._paused.shape, NEVER)
        stopped[:, progress] = value + (grams - self._idle(until))
        for by, needed in cells.marks:
            if edge <= by <= until:
                stopped[:, : max(0, needed)] = NEVER
        self._arrivals[until].append((edge, stopped))

    def _unwound(self) -> Pieces:
        """The pieces of the cheapest plan, from its end."""
        _, edge, start, layer = self._end
        found, progress = [(start, edge)], self._cells.units - (edge - start)
        while progress:
            stop = int(self._origin[start][layer, progress])
            layer -= self._counted
            begun = int(self._begun[stop][layer, progress])
            progress -= stop - begun
            joins = stop == start  # a pause that takes no time and costs nothing is none
            found[-1:] = [(begun, found[-1][1])] if joins else [found[-1], (begun, stop)]
            start = begun
        return found[::-1]


def _part(ground: Ground, index: int) -> int:
    """The length of the cells: the common part of everything, else the finest that can be paid for."""
    work, pausing, need = ground.work, ground.work.pausing, int(ground.need_ms[index])
    anchor, speed = int(work.edges_ms[1]), work.tracks[index].speed
    lengths = [need, *(end for _, end, _ in legs_of(work.steps, need))]
    lengths += [length_ms(each) for each in (pausing.checkpoint, pausing.restart, pausing.min_stint)]
    lengths += [int(ground.from_ms[index]) - anchor, ground.until_ms - anchor]
    for milestone in pausing.milestones:
        lengths += [floor_ms(milestone.by) - anchor, time_for(milestone.share * work.work_ms, speed)]
    span = ground.until_ms - int(ground.from_ms[index])
    common = gcd(ground.slot_ms, *lengths)
    if _count(span, need, common) <= MOST_CELLS:
        return common
    finest = [ground.slot_ms // parts for parts in PARTS if ground.slot_ms % parts == 0]
    return min((each for each in finest if _count(span, need, each) <= MOST_CELLS), default=max(finest))


def _count(span: int, need: int, step: int) -> float:
    return max(span - need, step) / step * need / step
