"""Stints from the programme: its grids, its limits, and the plan in milliseconds."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.borders import Place, Rules
from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.grid import Grid, grid_of, parts_for
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR, Ground, time_for
from tidewatt.scheduler.planning.pausing.progress import Programme
from tidewatt.scheduler.planning.pausing.relaxation import Reach, Relaxation
from tidewatt.scheduler.planning.pausing.tables import Overheads, Tables
from tidewatt.scheduler.planning.pausing.unwinding import Piece, unwound
from tidewatt.scheduler.planning.pausing.work import Stints, Work

WIDER = (40, 100, 250, 1000)  # edges that are looked at, step by step, until the plan is proved the best
FEW = 6  # pauses: counted from the first; else only where a plan has too many
FINEST_SPEED = 6  # ratios of speeds are fractions with at most this denominator


def paused(
    ground: Ground, indices: Sequence[int], below_g: float = np.inf, *, pruned: bool = True
) -> Stints | None:
    """The cheapest stints in one track, or with moves among several, that cost less than `below_g`.

    Without `pruned` all edges are looked at, which takes longer and finds the same.
    """
    work, parts = ground.work, parts_for(ground, indices)
    low = int(ground.from_ms[list(indices)].min())
    grids = [grid for index in indices if (grid := grid_of(ground, index, parts, low)) is not None]
    if len(grids) < len(indices):
        return None
    best: Stints | None = None
    for before, after in _variants(grids[0], mixed=len({work.tracks[i].speed for i in indices}) > 1):
        within = [each.part(before is not None, after is not None) for each in grids]
        if len(within[0].unit) == 0:
            continue
        found = _pieces(ground, indices, within, before, after, below_g, pruned)
        if found is not None:
            stints = _with_overheads(work, indices, found)
            cost = cost_of(work, stints)
            if cost < below_g:
                best, below_g = Stints(stints, cost), cost
    return best


def _variants(grid: Grid, *, mixed: bool) -> Iterator[tuple[int | None, int | None]]:
    """What is used of a shorter first and last slot: neither, one of them, both; what they lack.

    Places of different speeds have other needs in them: there they are not used.
    """
    for before in (None, grid.head_ms)[: 1 + (grid.head_ms > 0 and not mixed)]:
        for after in (None, grid.tail_ms)[: 1 + (grid.tail_ms > 0 and not mixed)]:
            yield before, after


def _pieces(
    ground: Ground,
    indices: Sequence[int],
    grids: Sequence[Grid],
    before: int | None,
    after: int | None,
    below_g: float,
    pruned: bool,
) -> list[Piece] | None:
    """The pieces of the best plan on grids with the same slots."""
    grid, most = grids[0], ground.work.pausing.max_pauses
    speeds, unit = _speeds([ground.work.tracks[index].speed for index in indices])
    places = [
        _place(ground, index, each, speed) for index, each, speed in zip(indices, grids, speeds, strict=True)
    ]
    elapsed = (grid.edges_ms - grid.edges_ms[0]).astype(np.float64)
    rules = _rules(ground, grid, unit)
    reach = None
    if pruned:
        fixed = before is not None, after is not None
        reach = Relaxation(places, elapsed, rules.need_ms, *fixed, most).reach()
    filled = rules.need_ms + (before or 0) + (after or 0)
    parted = filled % grid.step_ms > 0 or max(speeds) > 1
    for limit in _limits(reach, below_g):
        kept = places
        if reach is not None:
            edges = reach.within(limit, parted=parted)
            kept = [
                replace(place, starts=starts, stops=stops)
                for place, (starts, stops) in zip(places, edges, strict=True)
            ]
        for pauses in (None, most) if most is None or most > FEW else (most,):
            limited = replace(rules, max_pauses=pauses)
            programme = Programme(len(grid.unit), grid.step_ms, kept, limited, before, after)
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
    for limit in reach.limits(WIDER):
        if reach.bound < limit < below_g:
            yield limit
    if reach.bound < below_g:
        yield below_g


def _speeds(speeds: Sequence[float]) -> tuple[list[int], float]:
    """Speeds in whole units, rounded down, and the speed of one unit."""
    least = min(speeds)
    for parts in range(1, FINEST_SPEED + 1):
        units = [speed / least * parts for speed in speeds]
        if all(abs(each - round(each)) < 1e-9 for each in units):
            return [round(each) for each in units], least / parts
    return [int(each) for each in units], least / FINEST_SPEED


def _place(ground: Ground, index: int, grid: Grid, speed: int) -> Place:
    """A track as the programme sees it."""
    work, track = ground.work, ground.work.tracks[index]
    slots = len(grid.unit)
    regions = [each.region for each in work.tracks]
    return Place(
        Tables(grid, overheads_of(work, index, grid.step_ms)),
        np.arange(slots),
        np.arange(1, slots + 1),
        regions.index(track.region),
        speed,
        int(np.searchsorted(grid.edges_ms, ground.from_ms[index])),
        float(ground.arrive_g[index]),
        -(-track.arrive_ms // grid.step_ms),
        track.arrive_g,
    )


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


def _rules(ground: Ground, grid: Grid, unit: float) -> Rules:
    work, marks = ground.work, []
    for milestone in work.pausing.milestones:
        by, ran = floor_ms(milestone.by), time_for(milestone.share * work.work_ms, unit)
        if ran > 0 and by < grid.edges_ms[-1]:
            marks.append((int(np.searchsorted(grid.edges_ms, by, "right")) - 1, ran))
    return Rules(time_for(work.work_ms, unit), length_ms(work.pausing.min_stint), None, tuple(marks))


def _with_overheads(
    work: Work, indices: Sequence[int], found: Sequence[Piece]
) -> tuple[tuple[int, int, int], ...]:
    """Pieces of running with the restart before and the checkpoint after each pause."""
    restart, checkpoint = length_ms(work.pausing.restart), length_ms(work.pausing.checkpoint)
    last = len(found) - 1
    return tuple(
        (indices[place], start - restart * (i > 0), end + checkpoint * (i < last))
        for i, (place, start, end) in enumerate(found)
    )
