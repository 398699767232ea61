"""Small queues, improved by taking a few related jobs out and putting them back in another order.

Ruin and recreate, as of Schrimpf, Schneider, Stamm-Wilbrandt and Dueck (Journal of Computational Physics 159,
2000, section 2): jobs that compete for the same hours go together, and a change stays if it is no worse.
"""

from collections.abc import Callable

import numpy as np

from tidewatt.scheduler.planning.timetable.placing import Room, Spot
from tidewatt.scheduler.planning.timetable.problem import NOWHERE
from tidewatt.scheduler.planning.timetable.vacancies import cheapest
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, TIE, Sheet

SMALLEST, LARGEST = 2, 9  # jobs that are taken out at a time
FAR_H = 6.0  # what another place counts as, in hours between two starts


def recreate(
    room: Room, sheet: Sheet, random: np.random.Generator, rounds: int, stop: Callable[[], bool]
) -> int:
    """So many rounds of taking jobs out and putting them back; how many changed something for the better."""
    better = 0
    for _ in range(rounds):
        if stop():
            break
        better += _one_round(room, sheet, random)
    return better


def _one_round(room: Room, sheet: Sheet, random: np.random.Generator) -> bool:
    chosen = _related(room, random)
    if not chosen:
        return False
    before = sum(room.value(job, _spot(room, job), sheet) for job in chosen if room.place[job] != NOWHERE)
    held = {job: room.leave(job) for job in reversed(chosen) if room.place[job] != NOWHERE}
    after, placed = 0.0, []
    for job in _in_turn(room, chosen, random):
        spot = cheapest(room, job, sheet)
        if spot is not None:
            room.take(job, spot)
            placed.append(job)
            after += spot.value
    if len(placed) > len(held) or (len(placed) == len(held) and after <= before + TIE):
        return len(placed) > len(held) or after < before - TIE
    for job in placed:
        room.leave(job)
    for job, spot in held.items():
        room.take(job, spot)
    return False


def _related(room: Room, random: np.random.Generator) -> list[int]:
    """A few jobs near one another in time and place, and one that has no place if there is any."""
    placed = np.flatnonzero(room.place != NOWHERE)
    nowhere = np.flatnonzero(room.place == NOWHERE)
    lost = [int(random.choice(nowhere))] if len(nowhere) else []
    if len(placed) < SMALLEST:
        return lost
    middle = int(random.choice(placed))
    apart = np.abs(room.start_ms[placed] - room.start_ms[middle]) / HOUR_MS
    apart += FAR_H * (room.place[placed] != room.place[middle])
    count = int(random.integers(SMALLEST, LARGEST + 1))
    nearest = placed[np.argsort(apart * random.uniform(0.5, 1.5, len(apart)), kind="stable")[:count]]
    return [*nearest.tolist(), *lost]


def _in_turn(room: Room, jobs: list[int], random: np.random.Generator) -> list[int]:
    """Any order that has jobs after those that they wait for, higher priorities first."""
    drawn = random.permutation(jobs)
    rank, priority = room.ground.rank[drawn], room.ground.problem.jobs.priority[drawn]
    ordered: list[int] = drawn[np.lexsort((np.arange(len(drawn)), rank, -priority))].tolist()
    return ordered


def _spot(room: Room, job: int) -> Spot:
    return Spot(int(room.place[job]), int(room.start_ms[job]), int(room.end_ms[job]), 0.0)
