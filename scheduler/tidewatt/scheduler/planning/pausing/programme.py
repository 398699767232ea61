"""The cheapest stints of one job that may be interrupted."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.bound import least_g
from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.grid import Grid, grid_of, parts_for
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR, Ground, ground_of, time_for
from tidewatt.scheduler.planning.pausing.piece import TIE, pieces
from tidewatt.scheduler.planning.pausing.progress import Place, Programme, Rules
from tidewatt.scheduler.planning.pausing.relaxation import Reach, Relaxation
from tidewatt.scheduler.planning.pausing.tables import Overheads, Tables
from tidewatt.scheduler.planning.pausing.unwinding import Piece, unwound
from tidewatt.scheduler.planning.pausing.work import Ints, Stints, Work

WIDER = (3e-4, 2e-3, 1e-2, 5e-2, 0.3)  # of the bound


def best_stints(work: Work) -> Stints | None:
    """The cheapest stints that keep what `work` says; None where there are none.

    Without pauses neither a checkpoint nor a restart is charged: the first start has no restart, the last end
    no checkpoint. Of equally cheap plans the one without pauses, then the earliest.
    """
    if not work.tracks or work.work_ms <= 0:
        return None
    return in_one_place(work, ground_of(work))


def in_one_place(work: Work, ground: Ground) -> Stints | None:
    """The cheapest stints that all run in the same track."""
    whole = pieces(ground)
    best: Stints | None = None
    at = int(np.lexsort((whole.start_ms, whole.cost_g))[0])
    if whole.cost_g[at] < np.inf:
        start = int(whole.start_ms[at])
        best = Stints(((at, start, start + int(ground.need_ms[at])),), float(whole.cost_g[at]))
    if work.pausing.max_pauses == 0:
        return best
    least = least_g(ground, pauses=1)
    for index in np.argsort(least, kind="stable").tolist():
        below = np.inf if best is None else best.cost_g * (1 - TIE)
        if not least[index] < below:
            break
        best = paused(ground, index, below) or best
    return best


def paused(ground: Ground, index: int, below_g: float = np.inf) -> Stints | None:
    """The cheapest stints in one track that cost less than `below_g`; None where there are none."""
    work = ground.work
    grid = grid_of(ground, index, parts_for(ground, index))
    if grid is None:
        return None
    best: Stints | None = None
    for part, before, after in _variants(grid):
        found = _pieces(ground, index, part, before, after, below_g - float(ground.arrive_g[index]))
        if found is not None:
            parts = _with_overheads(work, index, found)
            cost = cost_of(work, parts)
            if cost < below_g:
                best, below_g = Stints(parts, cost), cost
    return best


def _pieces(
    ground: Ground, index: int, grid: Grid, before: int | None, after: int | None, below_g: float
) -> list[Piece] | None:
    """The pieces of the best plan on one grid."""
    work, slots = ground.work, len(grid.unit)
    place = Place(Tables(grid, overheads_of(work, index, grid.step_ms)), *_all_edges(slots))
    need = int(ground.need_ms[index])
    elapsed = (grid.edges_ms - grid.edges_ms[0]).astype(np.float64)
    reach = Relaxation([place], elapsed, need, before is not None, after is not None).reach()
    most = work.pausing.max_pauses
    for limit in _limits(reach, below_g):
        edges = None if reach is None else reach.within(limit, parted=True)
        places = [place] if edges is None else [replace(place, starts=edges[0][0], stops=edges[0][1])]
        for pauses in (None, most):
            programme = Programme(
                slots, grid.step_ms, places, _rules(ground, index, grid, pauses), before, after
            )
            programme.run()
            found = unwound(programme, grid.edges_ms)
            if found is None or most is None or len(found) - 1 <= most:
                break
        if found is not None and programme.end.grams <= limit:
            return found
    return None


def _limits(reach: Reach | None, below_g: float) -> Iterator[float]:
    """Ever higher costs up to which plans are looked for, none above `below_g`."""
    if reach is None:
        yield below_g
        return
    for share in WIDER:
        limit = reach.bound + share * abs(reach.bound) + 1e-12
        if limit >= below_g:
            break
        yield limit
    if reach.bound < below_g:
        yield below_g


def _all_edges(slots: int) -> tuple[Ints, Ints]:
    return np.arange(slots), np.arange(1, slots + 1)


def _variants(grid: Grid) -> Iterator[tuple[Grid, int | None, int | None]]:
    """The equal slots; with the shorter first one, with the shorter last one, with both: what they lack."""
    for before in (None, grid.head_ms)[: 1 + (grid.head_ms > 0)]:
        for after in (None, grid.tail_ms)[: 1 + (grid.tail_ms > 0)]:
            part = grid.part(before is not None or not grid.head_ms, after is not None or not grid.tail_ms)
            if len(part.unit) > 0:
                yield part, before, after


def overheads_of(work: Work, index: int, step_ms: int) -> Overheads:
    """What pausing takes in a track, with delays rounded up to whole steps."""
    pausing, usual = work.pausing, work.kw * work.tracks[index].power
    restart = -(-length_ms(pausing.restart) // step_ms) * step_ms
    checkpoint = -(-length_ms(pausing.checkpoint) // step_ms) * step_ms
    restart_kw, restart_kwh = _draw(pausing.restart_wh, restart, usual)
    checkpoint_kw, checkpoint_kwh = _draw(pausing.checkpoint_wh, checkpoint, usual)
    return Overheads(
        usual,
        restart,
        restart_kw,
        restart_kwh,
        checkpoint,
        checkpoint_kw,
        checkpoint_kwh,
        pausing.suspended_w / 1000,
    )


def _draw(wh: float | None, length: int, usual_kw: float) -> tuple[float, float]:
    """The kW of an overhead, and the kWh of one without length."""
    if wh is None:
        return usual_kw, 0.0
    if length:
        return wh / 1000 * MS_PER_HOUR / length, 0.0
    return 0.0, wh / 1000


def _rules(ground: Ground, index: int, grid: Grid, most: int | None) -> Rules:
    work, speed = ground.work, ground.work.tracks[index].speed
    marks = []
    for milestone in work.pausing.milestones:
        by, ran = floor_ms(milestone.by), time_for(milestone.share * work.work_ms, speed)
        if ran > 0 and by < grid.edges_ms[-1]:
            marks.append((int(np.searchsorted(grid.edges_ms, by, "right")) - 1, ran))
    return Rules(int(ground.need_ms[index]), length_ms(work.pausing.min_stint), most, tuple(marks))


def _with_overheads(work: Work, index: int, found: list[Piece]) -> tuple[tuple[int, int, int], ...]:
    """Pieces of running with the restart before and the checkpoint after each pause."""
    restart, checkpoint = length_ms(work.pausing.restart), length_ms(work.pausing.checkpoint)
    last = len(found) - 1
    return tuple(
        (index, start - restart * (i > 0), end + checkpoint * (i < last))
        for i, (_, start, end) in enumerate(found)
    )
