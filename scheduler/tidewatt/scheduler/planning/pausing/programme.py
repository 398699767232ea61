"""The cheapest stints of one job that may be interrupted."""

from collections.abc import Iterator

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.bound import least_g
from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.grid import Grid, grid_of, parts_for
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR, Ground, ground_of, time_for
from tidewatt.scheduler.planning.pausing.piece import TIE, pieces
from tidewatt.scheduler.planning.pausing.progress import Piece, Programme, Rules
from tidewatt.scheduler.planning.pausing.tables import Overheads
from tidewatt.scheduler.planning.pausing.work import Stints, Work


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
        if not least[index] < (np.inf if best is None else best.cost_g * (1 - TIE)):
            break
        found = paused(ground, index)
        if found is not None and (best is None or found.cost_g < best.cost_g * (1 - TIE)):
            best = found
    return best


def paused(ground: Ground, index: int) -> Stints | None:
    """The cheapest stints in one track; None where the programme finds none."""
    work = ground.work
    grid = grid_of(ground, index, parts_for(ground, index))
    if grid is None:
        return None
    most = work.pausing.max_pauses
    best: Stints | None = None
    for variant, starts_now, ends_last in _variants(grid):
        overheads = overheads_of(work, index, grid.step_ms)
        found = Programme(variant, overheads, _rules(ground, index, None), starts_now, ends_last).best()
        if found is not None and most is not None and len(found) - 1 > most:
            found = Programme(variant, overheads, _rules(ground, index, most), starts_now, ends_last).best()
        if found is None:
            continue
        parts = _with_overheads(work, index, found)
        cost = cost_of(work, parts)
        if best is None or cost < best.cost_g:
            best = Stints(parts, cost)
    return best


def _variants(grid: Grid) -> Iterator[tuple[Grid, bool, bool]]:
    """The equal slots; with the shorter first one, with the shorter last one, with both."""
    short_first, short_last = grid.head_ms > 0, grid.tail_ms > 0
    for first in (False, True)[: 1 + short_first]:
        for last in (False, True)[: 1 + short_last]:
            part = grid.part(first or not short_first, last or not short_last)
            if len(part.unit) > 0:
                yield part, first, last


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


def _rules(ground: Ground, index: int, most: int | None) -> Rules:
    work = ground.work
    speed = work.tracks[index].speed
    milestones = tuple(
        (floor_ms(milestone.by), time_for(milestone.share * work.work_ms, speed))
        for milestone in work.pausing.milestones
    )
    return Rules(int(ground.need_ms[index]), length_ms(work.pausing.min_stint), most, milestones)


def _with_overheads(work: Work, index: int, found: list[Piece]) -> tuple[tuple[int, int, int], ...]:
    """Pieces of running with the restart before and the checkpoint after each pause."""
    restart, checkpoint = length_ms(work.pausing.restart), length_ms(work.pausing.checkpoint)
    last = len(found) - 1
    return tuple(
        (index, start - restart * (i > 0), end + checkpoint * (i < last))
        for i, (start, end) in enumerate(found)
    )
