"""Small queues, improved by taking a few related jobs out and putting them back in another order.

Ruin and recreate, as of Schrimpf, Schneider, Stamm-Wilbrandt and Dueck (Journal of Computational Physics 159,
2000, section 2): jobs that compete for the same hours go together, and a change stays if it is no worse.
Mostly they are put where they are cheapest at prices of congestion that are drawn: whoever is put back first
would else always take the very cleanest hours, though two jobs that share these may cost less together.
"""

from collections.abc import Callable

import numpy as np

from tidewatt.scheduler.planning.timetable.placing import Room, Spot
from tidewatt.scheduler.planning.timetable.problem import NOWHERE
from tidewatt.scheduler.planning.timetable.vacancies import cheapest
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, TIE, Ground, Prices, Sheet

SMALLEST, LARGEST = 2, 9  # jobs that are taken out at a time
GREEDY = 0.3  # of the rounds: at true costs
SHEETS = 16  # of prices drawn for the others
NOISE = 1.0  # of how far costs vary: by so much drawn prices do
BLOCKS_H = (0.5, 1.0, 2.0, 4.0)  # for so long a drawn price is the same
FAR_H = 6.0  # what another place counts as, in hours between two starts


def recreate(
    room: Room, prices: Prices, random: np.random.Generator, rounds: int, stop: Callable[[], bool]
) -> int:
    """So many rounds of taking jobs out and putting them back; how many changed something for the better."""
    better, ground = 0, room.ground
    true = ground.sheet(None)
    priced = [ground.sheet(_varied(ground, prices, random)) for _ in range(SHEETS)]
    for _ in range(rounds):
        if stop():
            break
        aims = true if random.random() < GREEDY else priced[int(random.integers(len(priced)))]
        better += _one_round(room, true, aims, random)
    return better


def _varied(ground: Ground, prices: Prices, random: np.random.Generator) -> Prices:
    """A share of the prices, and in each block of slots some more."""
    share = float(random.uniform())
    rows, columns = prices.unit.shape
    length = max(1, round(float(random.choice(BLOCKS_H)) * HOUR_MS / ground.slot_ms))
    drawn = random.uniform(0.0, NOISE * share * _usual(ground), (rows, columns // length + 2))
    noise = np.repeat(drawn, length, axis=1)[:, int(random.integers(length)) :][:, :columns]
    return Prices(prices.unit * share + noise, prices.site * share)


def _one_round(room: Room, sheet: Sheet, aims: Sheet, random: np.random.Generator) -> bool:
    """Jobs put back where they are cheapest by `aims`; that stays if it costs no more by `sheet`."""
    chosen = _related(room, random)
    if not chosen:
        return False
    before = sum(room.value(job, _spot(room, job), sheet) for job in chosen if room.place[job] != NOWHERE)
    held = {job: room.leave(job) for job in reversed(chosen) if room.place[job] != NOWHERE}
    after, placed = 0.0, []
    for job in _in_turn(room, chosen, random):
        spot = cheapest(room, job, aims)
        if spot is not None:
            room.take(job, spot)
            placed.append(job)
            after += room.value(job, spot, sheet)
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


def _usual(ground: Ground) -> float:
    """How far costs vary, per unit: grams an hour."""
    jobs = ground.problem.jobs
    if not ground.open.any():
        return 0.0
    return float(ground.cost[ground.open].std()) * float(jobs.kw.mean() / max(float(jobs.units.mean()), 1.0))
