"""Jobs taken out and put back where they cost less, and room made for those that found none."""

from collections.abc import Callable, Sequence

import numpy as np

from tidewatt.scheduler.planning.timetable.placing import Room, Spot
from tidewatt.scheduler.planning.timetable.problem import NOWHERE
from tidewatt.scheduler.planning.timetable.vacancies import cheapest
from tidewatt.scheduler.planning.timetable.windows import TIE, Sheet

WINDOWS = 12  # tried to make room in, for each job without a place
EJECTED = 8  # jobs at most that make room for one


def reinsert(room: Room, sheet: Sheet, order: Sequence[int], stop: Callable[[], bool]) -> int:
    """Takes each job out and puts it where it is cheapest; how many moved."""
    moved = 0
    for job in order:
        if room.place[job] == NOWHERE:
            continue
        was = room.leave(job)
        spot = cheapest(room, job, sheet)
        better = spot is not None and spot.value < room.value(job, was, sheet) - TIE
        room.take(job, spot if spot is not None and better else was)
        moved += better
        if stop():
            break
    return moved


def make_room(room: Room, sheet: Sheet, job: int) -> bool:
    """Places a job by ejecting others that find room elsewhere; everything stays as it is if they do not."""
    span = room.span(job)
    if span is None:
        return False
    return any(_eject_for(room, sheet, job, spot) for spot in _tight_spots(room, job, *span))


def _tight_spots(room: Room, job: int, low: int, high: int) -> list[Spot]:
    """Windows that lack the fewest units, a few of each place at most, best first."""
    ground = room.ground
    jobs = ground.problem.jobs
    arrival = int(jobs.release_ms[job] + jobs.moved_ms[job])
    most = ground.problem.places.units.max(axis=1)
    found: list[tuple[float, Spot]] = []
    for choice in ground.choices[ground.problem.jobs.menu[job]]:
        duration = ground.duration_ms(job, choice.speed)
        first = -((ground.origin_ms - low) // ground.cell_ms)
        last = (high - duration - ground.origin_ms) // ground.cell_ms
        starts = [
            low,
            *(ground.edge_ms(cell) for cell in range(first, last + 1, max(1, (last - first) // 24))),
        ]
        for place in choice.rows.tolist():
            for start in starts:
                a, b = room.cells(start, start + duration)
                if start + duration > high or not ground.open_throughout(place, a, b):
                    continue
                early = start < arrival and ground.moved_away(np.array([job]), np.array([place]))[0]
                if early or most[place] < room.units[job] or not ground.no_worse(job, place, start):
                    continue
                lack = float(np.maximum(room.units[job] - room.free[place, a:b], 0).sum())
                found.append((lack, Spot(place, start, start + duration, 0.0)))
    found.sort(key=lambda each: each[0])
    return [spot for _, spot in found[:WINDOWS]]


def _eject_for(room: Room, sheet: Sheet, job: int, spot: Spot) -> bool:
    """Tries one window: out with those who have most slack, in with the job, and all of them back."""
    problem, ground = room.ground.problem, room.ground
    there = (room.place == spot.place) & (room.start_ms < spot.end_ms) & (room.end_ms > spot.start_ms)
    there &= problem.jobs.priority <= problem.jobs.priority[job]
    inside = np.flatnonzero(there)
    slack = ground.due_ms[inside] - ground.release_ms[inside] - ground.shortest_ms[inside]
    out: list[tuple[int, Spot]] = []
    a, b = room.cells(spot.start_ms, spot.end_ms)
    for other in inside[np.argsort(-slack, kind="stable")].tolist():
        if not room.hindered(job, spot.place, a, b).any() or len(out) == EJECTED:
            break
        if other not in room.linked:
            out.append((other, room.leave(other)))
    back: list[int] = []
    if not room.hindered(job, spot.place, a, b).any():
        room.take(job, spot)
        for other, _ in sorted(out, key=lambda each: -room.ground.shortest_ms[each[0]] * room.units[each[0]]):
            new = cheapest(room, other, sheet)
            if new is None:
                break
            room.take(other, new)
            back.append(other)
        if len(back) == len(out):
            return True
        room.leave(job)
    for other in back:
        room.leave(other)
    for other, was in out:
        room.take(other, was)
    return False
