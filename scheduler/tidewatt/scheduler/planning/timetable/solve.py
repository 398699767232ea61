"""The planner of whole queues: prices of congestion, priced placing, repair, reinsertion, and the proof."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import Minima, certified
from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.immediate import at_once
from tidewatt.scheduler.planning.timetable.minima import Lots
from tidewatt.scheduler.planning.timetable.placing import Room
from tidewatt.scheduler.planning.timetable.prices import HUNGRIER, LONGER, found_prices
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Certificate, Ints, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reinsertion import make_room, reinsert
from tidewatt.scheduler.planning.timetable.vacancies import cheapest, near
from tidewatt.scheduler.planning.timetable.windows import SMALL, Ground, Prices, Sheet

SWEEPS = 6  # of reinsertion at most


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A timetable, the prices that led to it, and how good it is, proved."""

    timetable: Timetable
    prices: Prices
    certificate: Certificate


def solve(problem: Problem, *, seed: int = 0, seconds: float | None = None) -> Solution:
    """The best timetable found: deadlines first, then cost. After `seconds` improvement ends."""
    ground = ground_of(problem)
    stop = _limit(seconds)
    random = np.random.default_rng(seed)
    prices = found_prices(ground, random, stop)
    room = _first_room(ground, prices)
    _improve(room, random, stop)
    timetable = room.timetable()
    return Solution(timetable, prices, certified(ground, timetable, prices, at_once(ground)))


def _limit(seconds: float | None) -> Callable[[], bool]:
    """Tells whether the time is up."""
    if seconds is None:
        return lambda: False
    until = monotonic() + seconds
    return lambda: monotonic() > until


def _first_room(ground: Ground, prices: Prices) -> Room:
    """The best of a few ways to place everybody once: fewest jobs without a place, then least cost."""
    sheet = ground.sheet(prices)
    aims = Lots(ground, np.arange(len(ground.release_ms)), LONGER, HUNGRIER).cheapest(prices)
    big, urgent = _orders(ground)
    rooms = [_placed(ground, sheet, big, aims)]
    if len(big) <= SMALL:
        rooms.append(_placed(ground, sheet, urgent, None))
    best = min(rooms, key=_rank)
    if _unplaced(best):
        rooms += [
            _placed(ground, sheet, urgent, aims),
            _placed(ground, _rush(ground), _by_deadline(ground), None),
        ]
    return min(rooms, key=_rank)


def _orders(ground: Ground) -> list[Ints]:
    """Orders to place jobs in: the big first, and the urgent first."""
    jobs = ground.problem.jobs
    slack = ground.due_ms - ground.release_ms - ground.shortest_ms
    size = jobs.units * ground.shortest_ms
    return [np.lexsort((key, ground.rank, -jobs.priority)) for key in (-size, slack)]


def _by_deadline(ground: Ground) -> Ints:
    return np.lexsort((ground.due_ms, ground.rank, -ground.problem.jobs.priority))


def _rush(ground: Ground) -> Sheet:
    """Costs by which every job takes the first window that it can have."""
    return Sheet(np.repeat(np.arange(ground.cells + 1.0)[None, :], len(ground.cost), axis=0) ** 2, None)


def _placed(ground: Ground, sheet: Sheet, order: Ints, aims: Minima | None) -> Room:
    """Every job of the order where it is cheapest by then, near its aim if that is hardly dearer."""
    room = Room(ground)
    failed = []
    aimed = _aimed(room, aims)
    for job in order.tolist():
        spot = near(room, job, *aimed[job], sheet) if job in aimed else None
        if spot is None:
            spot = cheapest(room, job, sheet)
        if spot is None:
            failed.append(job)
        else:
            room.take(job, spot)
    for job in failed:
        make_room(room, sheet, job)
    return room


def _aimed(room: Room, aims: Minima | None) -> dict[int, tuple[int, int, int]]:
    """Place, duration and start that jobs aim at, of those that may be put near it without further ado."""
    ground, jobs = room.ground, room.ground.problem.jobs
    if aims is None or len(jobs.ids) <= SMALL or ground.second is not None or room.kw is not None:
        return {}
    free = (aims.place != NOWHERE) & (jobs.group < 0) & ~ground.away & (jobs.delay_g_per_h <= 0)
    free[list(room.linked)] = False
    free &= ground.problem.places.node_units[aims.place] == 0
    which = np.flatnonzero(free)
    duration = ground.durations_ms(which, aims.place[which])
    columns = (aims.place[which].tolist(), duration.tolist(), aims.start_ms[which].tolist())
    return dict(zip(which.tolist(), zip(*columns, strict=True), strict=True))


def _unplaced(room: Room) -> int:
    return int((room.place == NOWHERE).sum())


def _rank(room: Room) -> tuple[int, float]:
    """How a timetable is compared with others: fewer jobs without a place, then less cost."""
    placed = np.flatnonzero(room.place != NOWHERE)
    cost = room.ground.costs_g(placed, room.place[placed], room.start_ms[placed])
    return _unplaced(room), float(cost.sum())


def _improve(room: Room, random: np.random.Generator, stop: Callable[[], bool]) -> None:
    """Sweeps of reinsertion at true costs while jobs still move."""
    sheet, n = room.ground.sheet(None), len(room.place)
    for _ in range(SWEEPS if n <= SMALL else 1 if n <= 2000 else 0):
        for job in np.flatnonzero(room.place == NOWHERE).tolist():
            make_room(room, sheet, job)
        order: list[int] = random.permutation(n).tolist()
        if stop() or not reinsert(room, sheet, order, stop):
            break
