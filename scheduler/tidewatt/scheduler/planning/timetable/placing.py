"""What is taken of each place over time, and the cheapest window that is still free for a job."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Timetable
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, TIE, Ground, Sheet


@dataclass(frozen=True, slots=True)
class Spot:
    """Where and when a job may run, and at which (priced) cost in grams."""

    place: int
    start_ms: int
    end_ms: int
    value: float
    node: int = NOWHERE  # of a place with nodes: whichever fits best


class Room:
    """What is still free, cell by cell, and who is where. `take` and `leave` keep it."""

    def __init__(self, ground: Ground) -> None:
        problem = ground.problem
        places, jobs = problem.places, problem.jobs
        n = len(jobs.ids)
        self.ground = ground
        units = np.where(ground.open, np.maximum(places.units, 0), 0).astype(np.int64)
        self.free = np.repeat(units, ground.per_slot, axis=1).astype(np.int32)
        self.place = np.full(n, NOWHERE, np.int64)
        self.start_ms = np.zeros(n, np.int64)
        self.end_ms = np.zeros(n, np.int64)
        self.units: list[int] = jobs.units.tolist()
        self.nodes = _nodes(ground, units)
        for place, nodes in self.nodes.items():
            self.free[place] = nodes.max(axis=0)
        self.node = np.full(n, NOWHERE, np.int64)
        self.kw: Amounts | None = None
        if ground.limited.any():
            self.kw = np.repeat(places.site_kw, ground.per_slot, axis=1)
        self.running: dict[int, Ints] = {}
        self.grouped = bool((jobs.group >= 0).any())
        self.linked = _links(jobs.before.reshape(-1, 2))

    def cells(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The cells that a window touches, half-open."""
        ground = self.ground
        return (start_ms - ground.origin_ms) // ground.cell_ms, -(
            (ground.origin_ms - end_ms) // ground.cell_ms
        )

    def take(self, job: int, spot: Spot) -> None:
        """Occupies what the job needs there."""
        nodes = self.nodes.get(spot.place)
        if nodes is not None:
            a, b = self.cells(spot.start_ms, spot.end_ms)
            fitting = nodes[:, a:b].min(axis=1)
            self.node[job] = spot.node if spot.node != NOWHERE else _tightest(fitting, self.units[job])
        self._change(job, spot.place, spot.start_ms, spot.end_ms, 1)
        self.place[job], self.start_ms[job], self.end_ms[job] = spot.place, spot.start_ms, spot.end_ms

    def leave(self, job: int) -> Spot:
        """Frees what the job held, and returns where it was."""
        was = Spot(
            int(self.place[job]), int(self.start_ms[job]), int(self.end_ms[job]), 0.0, int(self.node[job])
        )
        self._change(job, was.place, was.start_ms, was.end_ms, -1)
        self.place[job] = NOWHERE
        return was

    def _change(self, job: int, place: int, start_ms: int, end_ms: int, sign: int) -> None:
        jobs, menus = self.ground.problem.jobs, self.ground.problem.menus
        a, b = self.cells(start_ms, end_ms)
        units = self.units[job]
        nodes = self.nodes.get(place)
        if nodes is None:
            self.free[place, a:b] -= sign * units
        else:
            nodes[self.node[job], a:b] -= sign * units
            self.free[place, a:b] = nodes[:, a:b].max(axis=0)
        if self.kw is not None:
            power = float(jobs.kw[job] * menus.power[jobs.menu[job], place])
            self.kw[self.ground.problem.places.site[place], a:b] -= sign * power
        if self.grouped and jobs.group[job] >= 0:
            self._members(int(jobs.group[job]))[a:b] += sign

    def hindered(self, job: int, place: int, start: int, end: int) -> Flags:
        """In which of the cells of a place the job cannot be; none is marked only if it fits."""
        jobs, menus = self.ground.problem.jobs, self.ground.problem.menus
        units = self.units[job]
        bad = self.free[place, start:end] < units
        nodes = self.nodes.get(place)
        if nodes is not None and not (nodes[:, start:end].min(axis=1) >= units).any() and not bad.any():
            bad[0] = True
        if self.kw is not None:
            draw = float(jobs.kw[job] * menus.power[jobs.menu[job], place])
            bad |= self.kw[self.ground.problem.places.site[place], start:end] < draw - TIE
        if self.grouped and jobs.group[job] >= 0:
            bad |= self.group_full(int(jobs.group[job]))[start:end]
        return np.asarray(bad)

    def group_full(self, group: int) -> Flags:
        """In which cells no more of a group may run."""
        return np.asarray(self._members(group) >= self.ground.problem.jobs.group_limit[group])

    def _members(self, group: int) -> Ints:
        if group not in self.running:
            self.running[group] = np.zeros(self.ground.cells, np.int64)
        return self.running[group]

    def span(self, job: int) -> tuple[int, int] | None:
        """From when and until when the job may run, given where those before and after it are.

        None where one that it waits for has no place.
        """
        low, high = int(self.ground.release_ms[job]), int(self.ground.due_ms[job])
        links = self.linked.get(job)
        if links is None:
            return low, high
        for other in links[0]:
            if self.place[other] == NOWHERE:
                return None
            low = max(low, int(self.end_ms[other]))
        for other in links[1]:
            if self.place[other] != NOWHERE:
                high = min(high, int(self.start_ms[other]))
        return low, high

    def value(self, job: int, spot: Spot, sheet: Sheet) -> float:
        """The (priced) cost of a job at a spot, in grams."""
        ground, jobs = self.ground, self.ground.problem.jobs
        kw = float(jobs.kw[job] * ground.problem.menus.power[jobs.menu[job], spot.place])
        value = kw * ground.between(sheet.per_kw, spot.place, spot.start_ms, spot.end_ms)
        if sheet.per_unit is not None:
            toll = ground.between(sheet.per_unit, spot.place, spot.start_ms, spot.end_ms)
            value += self.units[job] * toll
        if ground.away[job] and ground.moved_away(np.array([job]), np.array([spot.place]))[0]:
            value += float(jobs.moved_g[job])
        waited_h = (spot.start_ms - int(jobs.release_ms[job])) / HOUR_MS
        return value + float(jobs.delay_g_per_h[job]) * waited_h

    def timetable(self) -> Timetable:
        """Where everybody is."""
        return Timetable(self.place.copy(), np.where(self.place == NOWHERE, 0, self.start_ms))


def _tightest(least: Ints, units: int) -> int:
    """The node with the fewest units to spare."""
    return int(np.where(least >= units, least, np.iinfo(np.int64).max).argmin())


def _nodes(ground: Ground, units: Ints) -> dict[int, Ints]:
    """Free units of each node, (nodes, cells), of places whose units are not all on one node."""
    made: dict[int, Ints] = {}
    for place in np.flatnonzero(ground.problem.places.node_units > 0).tolist():
        size = int(ground.problem.places.node_units[place])
        count = max(1, -(-int(units[place].max()) // size))
        free = np.clip(units[place][None, :] - size * np.arange(count)[:, None], 0, size)
        made[place] = np.repeat(free, ground.per_slot, axis=1)
    return made


def _links(before: Ints) -> dict[int, tuple[list[int], list[int]]]:
    """By job: those that it waits for, and those that wait for it."""
    linked: dict[int, tuple[list[int], list[int]]] = {}
    for first, then in before.tolist():
        linked.setdefault(then, ([], []))[0].append(first)
        linked.setdefault(first, ([], []))[1].append(then)
    return linked
