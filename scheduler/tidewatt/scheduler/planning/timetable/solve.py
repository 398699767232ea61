"""The planner of whole queues: prices of congestion, priced placing, repair, reinsertion, and the proof."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import certified
from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.immediate import at_once
from tidewatt.scheduler.planning.timetable.placing import Room
from tidewatt.scheduler.planning.timetable.prices import found_prices
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Certificate, Ints, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reinsertion import make_room, reinsert
from tidewatt.scheduler.planning.timetable.windows import Ground, Prices, Sheet

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
    rooms = [_placed(ground, ground.sheet(prices), order) for order in _orders(ground)]
    rooms.append(_placed(ground, ground.sheet(prices), _by_deadline(ground), earliest=True))
    room = min(rooms, key=lambda each: _rank(ground, each))
    _improve(room, random, stop)
    timetable = room.timetable()
    return Solution(timetable, prices, certified(ground, timetable, prices, at_once(ground)))


def _limit(seconds: float | None) -> Callable[[], bool]:
    """Tells whether the time is up."""
    if seconds is None:
        return lambda: False
    until = monotonic() + seconds
    return lambda: monotonic() > until


def _orders(ground: Ground) -> list[Ints]:
    """Orders to place jobs in: the urgent first, and the big first."""
    jobs = ground.problem.jobs
    slack = ground.due_ms - ground.release_ms - ground.shortest_ms
    size = jobs.units * ground.shortest_ms
    return [np.lexsort((key, ground.rank, -jobs.priority)) for key in (slack, -size)]


def _by_deadline(ground: Ground) -> Ints:
    return np.lexsort((ground.due_ms, ground.rank, -ground.problem.jobs.priority))


def _placed(ground: Ground, sheet: Sheet, order: Ints, *, earliest: bool = False) -> Room:
    """Every job of the order where it is cheapest by then; at the `earliest` instead."""
    room = Room(ground)
    if earliest:
        rush = np.repeat(np.arange(ground.cells + 1.0)[None, :], len(ground.cost), axis=0) ** 2
        sheet = Sheet(rush, None)
    failed = []
    for job in order.tolist():
        spot = room.cheapest(job, sheet)
        if spot is None:
            failed.append(job)
        else:
            room.take(job, spot)
    for job in failed:
        make_room(room, sheet, job)
    return room


def _rank(ground: Ground, room: Room) -> tuple[int, float]:
    """How a timetable is compared with others: fewer jobs without a place, then less cost."""
    placed = np.flatnonzero(room.place != NOWHERE)
    cost = ground.costs_g(placed, room.place[placed], room.start_ms[placed])
    return len(room.place) - len(placed), float(cost.sum())


def _improve(room: Room, random: np.random.Generator, stop: Callable[[], bool]) -> None:
    """Sweeps of reinsertion at true costs while jobs still move."""
    sheet = room.ground.sheet(None)
    for _ in range(SWEEPS):
        for job in np.flatnonzero(room.place == NOWHERE).tolist():
            make_room(room, sheet, job)
        order: list[int] = random.permutation(len(room.place)).tolist()
        if stop() or not reinsert(room, sheet, order, stop):
            break
