"""What starting at once would be: first in, first out, each job at home."""

import numpy as np

from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.placing import Room, Spot
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Ints, Problem, Timetable
from tidewatt.scheduler.planning.timetable.windows import Ground


def immediate(problem: Problem) -> Timetable:
    """First in, first out at home on the same capacities; elsewhere where home can never hold the job.

    Deadlines do not matter here, and nobody overtakes at a place. A job that does not fit before the hours
    that are planned end is nowhere.
    """
    return at_once(ground_of(problem))


def at_once(ground: Ground) -> Timetable:
    """The same of a digested problem."""
    problem = ground.problem
    jobs = problem.jobs
    room = Room(ground)
    turn = np.full(len(problem.places.names), ground.first_ms, np.int64)  # since when nobody waits there
    order = np.lexsort((jobs.ids, ground.rank, ground.release_ms))
    most = room.free.max(axis=1, initial=0)
    for job in order.tolist():
        spot = _first(room, job, turn, most)
        if spot is not None:
            room.take(job, spot)
            turn[spot.place] = spot.start_ms
    return room.timetable()


def _first(room: Room, job: int, turn: Ints, most: Ints) -> Spot | None:
    """The first window at home; at the place where it is soonest if home can never hold the job."""
    ground = room.ground
    problem = ground.problem
    home, menu = int(problem.jobs.home[job]), int(problem.jobs.menu[job])
    allowed = problem.menus.allowed[menu]
    if home != NOWHERE and allowed[home] and most[home] >= room.units[job]:
        return _soonest(room, job, home, int(turn[home]))
    found = [_soonest(room, job, place, int(turn[place])) for place in np.flatnonzero(allowed).tolist()]
    return min((spot for spot in found if spot is not None), key=lambda spot: spot.start_ms, default=None)


def _soonest(room: Room, job: int, place: int, since_ms: int) -> Spot | None:
    """The first window at a place in which the job's units are free all the time."""
    ground = room.ground
    jobs, menus = ground.problem.jobs, ground.problem.menus
    duration = ground.duration_ms(job, float(menus.speed[jobs.menu[job], place]))
    start = max(int(jobs.release_ms[job]), since_ms, ground.first_ms)
    if ground.moved_away(np.array([job]), np.array([place]))[0]:
        start = max(start, int(jobs.release_ms[job] + jobs.moved_ms[job]))
    earlier = room.linked.get(job, ([], []))[0]
    if any(room.place[first] == NOWHERE for first in earlier):
        return None
    start = max([start, *(int(room.end_ms[first]) for first in earlier)])
    while start + duration <= ground.last_ms:
        a, b = room.cells(start, start + duration)
        hindered = np.flatnonzero(room.hindered(job, place, a, b))
        if not len(hindered):
            return Spot(place, start, start + duration, 0.0)
        start = ground.edge_ms(a + int(hindered[-1]) + 1)
    return None
