"""The windows that are still free for a job, and the cheapest of them."""

import numpy as np

from tidewatt.scheduler.planning.timetable.placing import Room, Spot
from tidewatt.scheduler.planning.timetable.problem import Amounts, Flags, Ints
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, TIE, Choice, Sheet, summed

TRIES = 200  # of windows that turn out not to fit on one node
REACH_MS = 3 * HOUR_MS  # around the window that a job aims at
DEARER = 0.03  # what a window near it may cost more, as a share


def cheapest(room: Room, job: int, sheet: Sheet) -> Spot | None:
    """The cheapest window that is free for a job; None where there is none."""
    span = room.span(job)
    if span is None:
        return None
    best: Spot | None = None
    for choice in room.ground.choices[room.ground.problem.jobs.menu[job]]:
        found = Vacancies(room, job, choice, sheet).best(*span)
        if found is not None and (best is None or found.value < best.value):
            best = found
    return best


def near(room: Room, job: int, place: int, duration: int, aim_ms: int, sheet: Sheet) -> Spot | None:
    """A free window at a place near the moment that a job aims at and hardly dearer; None for none.

    Only for jobs that are bound by nothing but their hours and the units of a place without nodes.
    """
    ground = room.ground
    origin, cell = ground.origin_ms, ground.cell_ms
    size = -(-duration // cell)
    first = -((origin - int(ground.release_ms[job])) // cell)
    last = (int(ground.due_ms[job]) - duration - origin) // cell
    aim = min(max((aim_ms - origin) // cell, first), last)
    if last < first:
        return None
    row, units = room.free[place], room.units[job]
    if row[aim : aim + size].min() >= units:
        start = origin + aim * cell
        return Spot(place, start, start + duration, 0.0)
    reach = REACH_MS // cell
    low, high = max(first, aim - reach), min(last, aim + reach)
    taken = np.flatnonzero(row[low : high + size] < units)
    starts = np.concatenate(([0], taken + 1)) + low
    ends = np.concatenate((taken, [high + size - low])) + low - size
    fits = ends >= starts
    if not fits.any():
        return None
    start_cell = np.clip(aim, starts[fits], ends[fits])
    both = np.append(start_cell, aim)
    draw = float(
        ground.problem.jobs.kw[job] * ground.problem.menus.power[ground.problem.jobs.menu[job], place]
    )
    total = sheet.per_kw[place]
    value = draw * (total[both + size] - total[both])
    if sheet.per_unit is not None:
        toll = sheet.per_unit[place]
        value += units * (toll[both + size] - toll[both])
    found = int(value[:-1].argmin())
    if value[found] > value[-1] + DEARER * abs(value[-1]):
        return None
    start = origin + int(start_cell[found]) * cell
    return Spot(place, start, start + duration, 0.0)


class Vacancies:
    """The free windows of one job at places of equal speed."""

    def __init__(self, room: Room, job: int, choice: Choice, sheet: Sheet) -> None:
        ground, jobs = room.ground, room.ground.problem.jobs
        self.room, self.ground, self.job, self.sheet = room, ground, job, sheet
        self.rows, self.power, self.plain = choice.rows, choice.power, choice.plain
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
        rows = np.flatnonzero(fits)
        if not len(rows):
            return None
        value = self._priced_there(rows, start_ms)
        for index in np.argsort(value, kind="stable").tolist():
            row = int(rows[index])
            if self._fits_exactly(row, a, b, start_ms):
                return Spot(int(self.rows[row]), start_ms, start_ms + self.duration, float(value[index]))
        return None

    def _priced_there(self, rows: Ints, start_ms: int) -> Amounts:
        """Priced grams at several places of a window that starts at a moment, exactly."""
        ground, places = self.ground, self.rows[rows]
        start = np.full(len(rows), start_ms)
        end = start + self.duration
        value = self.kw * self.power[rows, 0] * ground.integral(self.sheet.per_kw, places, start, end)
        if self.sheet.per_unit is not None:
            value += self.units * ground.integral(self.sheet.per_unit, places, start, end)
        if self.abroad is not None:
            value += self.abroad[rows] * float(ground.problem.jobs.moved_g[self.job])
        return np.asarray(value + self.delay * (start_ms - self.release))

    def _fits_exactly(self, row: int, a: int, b: int, start_ms: int) -> bool:
        return self._on_a_node(row, a, b) and self.ground.no_worse(self.job, int(self.rows[row]), start_ms)

    def _priced(self, row: int, start_ms: int) -> float:
        """Priced grams of one window, exactly."""
        place, end_ms = int(self.rows[row]), start_ms + self.duration
        run = self.ground.between(self.sheet.per_kw, place, start_ms, end_ms)
        value = self.kw * float(self.power[row, 0]) * run
        if self.sheet.per_unit is not None:
            value += self.units * self.ground.between(self.sheet.per_unit, place, start_ms, end_ms)
        if self.abroad is not None and self.abroad[row]:
            value += float(self.ground.problem.jobs.moved_g[self.job])
        return value + self.delay * (start_ms - self.release)
