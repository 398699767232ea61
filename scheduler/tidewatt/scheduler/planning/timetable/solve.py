"""The planner of whole queues: prices of congestion, priced placing, repair, reinsertion, and the proof."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import Tariff, certified
from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.immediate import at_once
from tidewatt.scheduler.planning.timetable.interruption import with_pauses
from tidewatt.scheduler.planning.timetable.minima import Lots
from tidewatt.scheduler.planning.timetable.placing import Room
from tidewatt.scheduler.planning.timetable.prices import HUNGRIER, LONGER, found_prices, free_of_charge
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Certificate,
    Flags,
    Ints,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.timetable.recreation import recreate
from tidewatt.scheduler.planning.timetable.reinsertion import make_room, reinsert
from tidewatt.scheduler.planning.timetable.vacancies import cheapest, near
from tidewatt.scheduler.planning.timetable.windows import Ground, Prices, Sheet

PARTS = 12  # of a big queue, each placed by aims of its own
ROUNDS = 2  # of aiming for each part
FULL = 0.5  # the share of a slot's cells that may be full for anybody to aim at it
RESCUED = 300  # jobs without room for which others are ejected, in one go
FEW, MANY = 150, 3000  # up to so many jobs all ways are tried; more than so many take the quick one
SHARES = (0.7, 0.0)  # of the prices that a few jobs are placed with as well
EASE_MS = 6 * 3_600_000  # added to the slack by which jobs are ordered
RECREATIONS, LEAST, EACH = 400, 100, 8  # rounds with few jobs: at most, at least, and for each job
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
    room = _first_room(ground, prices, random)
    _improve(room, prices, random, stop)
    timetable = with_pauses(problem, room.timetable(), stop)
    return Solution(timetable, prices, certified(ground, timetable, prices, at_once(ground)))


def _limit(seconds: float | None) -> Callable[[], bool]:
    """Tells whether the time is up."""
    if seconds is None:
        return lambda: False
    until = monotonic() + seconds
    return lambda: monotonic() > until


def _first_room(ground: Ground, prices: Prices, random: np.random.Generator) -> Room:
    """The best of a few ways to place everybody once: fewest jobs without a place, then least cost."""
    hard, urgent = _orders(ground)
    sheet, n = ground.sheet(prices), len(hard)
    if n > MANY:
        rooms = [_aimed(ground, prices, _by_draw(ground), random)]
    elif n > FEW:
        rooms = [_placed(ground, sheet, hard)]
    else:
        lower = [ground.sheet(Prices(prices.unit * share, prices.site * share)) for share in SHARES]
        rooms = [_placed(ground, each, order) for each in (sheet, *lower) for order in (hard, urgent)]
    if min(map(_unplaced, rooms)):
        if n > MANY:
            rooms += [_aimed(ground, prices, order, random) for order in (hard, urgent)]
        else:
            rooms.append(_placed(ground, sheet, urgent))
            rooms.append(_placed(ground, _rush(ground), _by_deadline(ground)))
    return min(rooms, key=_rank)


def _orders(ground: Ground) -> list[Ints]:
    """Orders to place jobs in: those first that are big for their slack, and the urgent first."""
    jobs = ground.problem.jobs
    slack = ground.due_ms - ground.release_ms - ground.shortest_ms
    hard = jobs.units * ground.shortest_ms / np.maximum(slack + EASE_MS, 1)
    return [np.lexsort((key, ground.rank, -jobs.priority)) for key in (-hard, slack)]


def _by_draw(ground: Ground) -> Ints:
    """An order by what clean hours are worth to a job: its draw per unit, squared, times its length."""
    jobs = ground.problem.jobs
    worth = (jobs.kw / np.maximum(jobs.units, 1)) ** 2 * ground.shortest_ms
    return np.lexsort((-worth, ground.rank, -jobs.priority))


def _by_deadline(ground: Ground) -> Ints:
    return np.lexsort((ground.due_ms, ground.rank, -ground.problem.jobs.priority))


def _rush(ground: Ground) -> Sheet:
    """Costs by which every job takes the first window that it can have."""
    return Sheet(np.repeat(np.arange(ground.cells + 1.0)[None, :], len(ground.cost), axis=0) ** 2, None)


def _placed(ground: Ground, sheet: Sheet, order: Ints) -> Room:
    """Every job of the order where it is cheapest by then."""
    room = Room(ground)
    _settle(room, sheet, order.tolist())
    return room


def _settle(room: Room, sheet: Sheet, order: list[int]) -> None:
    failed = []
    for job in order:
        spot = cheapest(room, job, sheet)
        if spot is None:
            failed.append(job)
        else:
            room.take(job, spot)
    for job in failed[:RESCUED]:
        make_room(room, sheet, job)


def _aimed(ground: Ground, prices: Prices, order: Ints, random: np.random.Generator) -> Room:
    """The same for many jobs: by parts of the order, each job near the window that prices make it aim at."""
    room, sheet = Room(ground), ground.sheet(prices)
    free = _unbound(room)
    left: list[int] = order[~free[order]].tolist()
    _settle(room, sheet, left)
    order = order[free[order]]
    for part in np.array_split(order, max(1, min(PARTS, len(order) // 100))):
        for _ in range(ROUNDS):
            part = _put_near(room, sheet, prices, part, random)
        _settle(room, sheet, part.tolist())
    return room


def _unbound(room: Room) -> Flags:
    """Jobs that are bound by nothing but their hours and free units."""
    ground, jobs = room.ground, room.ground.problem.jobs
    free = (jobs.group < 0) & ~ground.away & (jobs.delay_g_per_h <= 0)
    free[list(room.linked)] = False
    return free & (ground.second is None) & (room.kw is None) & (not room.nodes)


def _put_near(room: Room, sheet: Sheet, prices: Prices, jobs: Ints, random: np.random.Generator) -> Ints:
    """Puts jobs near what they aim at, given what is full already; returns those that found no room."""
    ground = room.ground
    if not len(jobs):
        return jobs
    units = int(np.median(ground.problem.jobs.units[jobs]))
    full = (room.free < units).reshape(len(ground.cost), ground.slots, ground.per_slot)
    shut = full.mean(axis=2) > FULL
    aims = Lots(ground, jobs, LONGER, HUNGRIER).cheapest(prices, shut, random)
    some = aims.place != NOWHERE
    duration = ground.durations_ms(jobs, aims.place)
    columns = (jobs[some], aims.place[some], duration[some], aims.start_ms[some])
    left = jobs[~some].tolist()
    for job, place, length, start in zip(*(each.tolist() for each in columns), strict=True):
        spot = near(room, job, place, length, start, sheet)
        if spot is None:
            left.append(job)
        else:
            room.take(job, spot)
    return np.array(left, np.int64)


def _unplaced(room: Room) -> int:
    return int((room.place == NOWHERE).sum())


def _rank(room: Room) -> tuple[int, float]:
    """How a timetable is compared with others: fewer jobs without a place, then less cost."""
    placed = np.flatnonzero(room.place != NOWHERE)
    cost = room.ground.costs_g(placed, room.place[placed], room.start_ms[placed])
    return _unplaced(room), float(cost.sum())


def _improve(room: Room, prices: Prices, random: np.random.Generator, stop: Callable[[], bool]) -> None:
    """Sweeps of reinsertion at true costs while jobs still move."""
    sheet, n = room.ground.sheet(None), len(room.place)
    for _ in range(SWEEPS if n <= FEW else 1 if n <= MANY else 0):
        for job in np.flatnonzero(room.place == NOWHERE).tolist()[:RESCUED]:
            make_room(room, sheet, job)
        order: list[int] = random.permutation(n).tolist()
        if stop() or not reinsert(room, sheet, order, stop):
            break
    if 1 < n <= FEW and not _cannot_be_better(room):
        recreate(room, prices, random, min(RECREATIONS, LEAST + EACH * n), stop)


def _cannot_be_better(room: Room) -> bool:
    """Whether every job is where it would be if it were alone."""
    ground = room.ground
    alone = Tariff(ground, free_of_charge(ground)).cheapest(range(len(room.place))).value
    unplaced, cost = _rank(room)
    return unplaced == 0 and cost <= float(alone.sum()) * (1 + 1e-9)
