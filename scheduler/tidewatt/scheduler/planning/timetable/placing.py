"""What is taken of each place over time, and the cheapest window that is still free for a job."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Timetable
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, TIE, Choice, Ground, Sheet, summed

TRIES = 200  # of windows that turn out not to fit on one node


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

    def cheapest(self, job: int, sheet: Sheet, places: Flags | None = None) -> Spot | None:
        """The cheapest window that is free; None for none. `places` restricts where to look."""
        span = self.span(job)
        if span is None:
            return None
        best: Spot | None = None
        for choice in self.ground.choices[self.ground.problem.jobs.menu[job]]:
            found = _Search(self, job, choice, sheet, places).best(*span)
            if found is not None and (best is None or found.value < best.value):
                best = found
        return best

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


class _Search:
    """One job over places of equal speed."""

    def __init__(self, room: Room, job: int, choice: Choice, sheet: Sheet, places: Flags | None) -> None:
        ground, jobs = room.ground, room.ground.problem.jobs
        self.room, self.ground, self.job, self.sheet = room, ground, job, sheet
        self.rows, self.power, self.plain = choice.rows, choice.power, choice.plain
        if places is not None:
            keep = places[self.rows]
            self.rows, self.power = self.rows[keep], self.power[keep]
        self.duration = ground.duration_ms(job, choice.speed)
        self.kw = float(jobs.kw[job])
        self.units = room.units[job]
        self.release = int(jobs.release_ms[job])
        self.delay = float(jobs.delay_g_per_h[job]) / HOUR_MS
        self.abroad: Flags | None = None
        if ground.away[job]:
            self.abroad = ground.moved_away(np.array([job]), self.rows)
        self.bound_g = float(ground.reference_g[job])

    def best(self, low_ms: int, high_ms: int) -> Spot | None:
        """The cheapest free window that starts at `low_ms` or later and ends by `high_ms`."""
        ground, cell = self.ground, self.ground.cell_ms
        if not len(self.rows) or high_ms - low_ms < self.duration:
            return None
        first = -((ground.origin_ms - low_ms) // cell)
        last = (high_ms - self.duration - ground.origin_ms) // cell
        found = self._among(first, last, high_ms) if last >= first else None
        for start, near in ((low_ms, first), (high_ms - self.duration, last)):
            if found is None or (found.start_ms - ground.origin_ms) // cell == near:
                exact = self._exactly(start)
                if exact is not None and (found is None or exact.value < found.value - TIE):
                    found = exact
        return found

    def _among(self, first: int, last: int, high_ms: int) -> Spot | None:
        """The cheapest of the windows that start on the edges of the cells `first` to `last`."""
        size = -(-self.duration // self.ground.cell_ms)
        starts, ends, span = (
            slice(first, last + 1),
            slice(first + size, last + size + 1),
            slice(first, last + size),
        )
        value = self._values(starts, ends, size)
        bad = self._taken(span)
        if bad.any():
            count = np.cumsum(bad, axis=1, dtype=np.int32)
            blocked = count[:, size - 1 :] - count[:, : value.shape[1]] + bad[:, : value.shape[1]]
            value[blocked != 0] = np.inf
        self._worse_by_the_other(value, starts, ends, size)
        for _ in range(TRIES):
            row, step = divmod(int(value.argmin()), value.shape[1])
            if value[row, step] == np.inf:
                return None
            start = first + step
            if self._on_a_node(row, start, start + size):
                return self._shifted(row, start, size, high_ms)
            self._by_nodes(value, row, first, size)
        return None

    def _values(self, starts: slice, ends: slice, size: int) -> Amounts:
        """Priced grams of the windows (rows, starts), the use of the last cell averaged."""
        share = self.duration / (size * self.ground.cell_ms)
        total = self.sheet.per_kw
        value = (total[self.rows, ends] - total[self.rows, starts]) * (self.kw * share)
        if not self.plain:
            value *= self.power
        if self.sheet.per_unit is not None:
            toll = self.sheet.per_unit
            value += (toll[self.rows, ends] - toll[self.rows, starts]) * (self.units * share)
        if self.delay:
            first_ms = self.ground.edge_ms(starts.start) - self.release
            value += self.delay * (first_ms + self.ground.cell_ms * np.arange(value.shape[1]))
        if self.abroad is not None:
            value[self.abroad] += float(self.ground.problem.jobs.moved_g[self.job])
            early = -((self.ground.origin_ms - self._arrival_ms()) // self.ground.cell_ms) - starts.start
            value[self.abroad, : max(0, early)] = np.inf
        return value

    def _arrival_ms(self) -> int:
        """From when on the job can run in another region."""
        return self.release + int(self.ground.problem.jobs.moved_ms[self.job])

    def _taken(self, span: slice) -> Flags:
        """Where the job cannot be, (rows, cells)."""
        room, problem = self.room, self.ground.problem
        bad = room.free[self.rows, span] < self.units
        if room.kw is not None:
            site = problem.places.site[self.rows]
            if self.ground.limited[site].any():
                bad |= room.kw[site, span] < self.kw * self.power - TIE
        if room.grouped and problem.jobs.group[self.job] >= 0:
            bad |= room.group_full(int(problem.jobs.group[self.job]))[span]
        return bad

    def _worse_by_the_other(self, value: Amounts, starts: slice, ends: slice, size: int) -> None:
        """Rules out windows that are worse by the second signal than the reference."""
        ground = self.ground
        if ground.second is None or not np.isfinite(self.bound_g):
            return
        over = (size * ground.cell_ms - self.duration) / ground.cell_ms
        total = ground.second
        before_end = slice(ends.start - 1, ends.stop - 1)
        end = (1 - over) * total[self.rows, ends] + over * total[self.rows, before_end]
        other = (end - total[self.rows, starts]) * self.power * self.kw
        dark = ground.dark
        known = dark[self.rows, ends] == dark[self.rows, starts]
        value[known & (other > ground.allowed_g(self.job))] = np.inf

    def _on_a_node(self, row: int, start: int, end: int) -> bool:
        nodes = self.room.nodes.get(int(self.rows[row]))
        return nodes is None or bool((nodes[:, start:end].min(axis=1) >= self.units).any())

    def _by_nodes(self, value: Amounts, row: int, first: int, size: int) -> None:
        """Rules out the windows of a place in which no node has enough units all the time."""
        nodes = self.room.nodes[int(self.rows[row])]
        count = summed((nodes[:, first : first + value.shape[1] + size - 1] < self.units).astype(float))
        fits = (count[:, size:] - count[:, : value.shape[1]] == 0).any(axis=0)
        value[row, ~fits] = np.inf

    def _shifted(self, row: int, start: int, size: int, high_ms: int) -> Spot:
        """The window with its start on the first edge or its end on the last one, whichever is cheaper."""
        left = self.ground.edge_ms(start)
        right = self.ground.edge_ms(start + size) - self.duration
        best, value = left, self._priced(row, left)
        if right != left and right + self.duration <= high_ms:
            later = self._priced(row, right)
            if later < value - TIE and self.ground.no_worse(self.job, int(self.rows[row]), right):
                best, value = right, later
        return Spot(int(self.rows[row]), best, best + self.duration, value)

    def _exactly(self, start_ms: int) -> Spot | None:
        """The cheapest place for a start at this very moment."""
        a, b = self.room.cells(start_ms, start_ms + self.duration)
        fits = ~self._taken(slice(a, b)).any(axis=1)
        if self.abroad is not None and start_ms < self._arrival_ms():
            fits &= ~self.abroad
        best: Spot | None = None
        for row in np.flatnonzero(fits).tolist():
            value = self._priced(row, start_ms)
            cheaper = best is None or value < best.value
            if cheaper and self._fits_exactly(row, a, b, start_ms):
                best = Spot(int(self.rows[row]), start_ms, start_ms + self.duration, value)
        return best

    def _fits_exactly(self, row: int, a: int, b: int, start_ms: int) -> bool:
        return self._on_a_node(row, a, b) and self.ground.no_worse(self.job, int(self.rows[row]), start_ms)

    def _priced(self, row: int, start_ms: int) -> float:
        """Priced grams of one window, exactly."""
        place, end_ms = int(self.rows[row]), start_ms + self.duration
        value = (
            self.kw
            * float(self.power[row, 0])
            * self.ground.between(self.sheet.per_kw, place, start_ms, end_ms)
        )
        if self.sheet.per_unit is not None:
            value += self.units * self.ground.between(self.sheet.per_unit, place, start_ms, end_ms)
        if self.abroad is not None and self.abroad[row]:
            value += float(self.ground.problem.jobs.moved_g[self.job])
        return value + self.delay * (start_ms - self.release)


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
