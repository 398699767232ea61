"""The exact dynamic programme over progress x (running or paused), edge by edge.

At an edge `t` of the grid plans differ only by how much they have done (`k` units of progress), by
where they run or were left, and by whether one slot was used in part already. One that goes on running keeps
`speed * t - k`: the plans that run at a place are one array that stays as it is from slot to slot. Only
starts and stops take work, a few array operations each, at the edges where they are looked for at all.

Of the borders of all stints at most one lies within a slot in one of the best plans: where two do, moving
one and the other so that the work stays the same changes grams linearly until either meets an edge. So either
all slots are used whole, or one is used in part at the border of a stint: what the slots have more than the
work needs, the spare, is left out there. A shorter first or last slot is such a border given in advance: the
plans that use it are sought apart. Milestones and shortest stints can hold one more border each: the grid is
made finer for them (`parts_for`).
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tidewatt.scheduler.planning.pausing.borders import (
    EARLY,
    ON_EDGE,
    PARTED,
    WHOLE,
    End,
    Move,
    Place,
    Rules,
)
from tidewatt.scheduler.planning.pausing.tables import NEVER
from tidewatt.scheduler.planning.pausing.work import Amounts, Ints

ANYWHERE = -1
Pool = tuple[int, int]  # paused plans: by where they were left, and how long it takes until they may run


class Programme:
    """All plans of one job over places that have the same slots.

    `before_ms` is what a shorter first slot lacks, where the first stint has to start with it, `after_ms`
    what a shorter last slot lacks, where the last stint has to end with it; None where they are not used.
    """

    def __init__(
        self,
        slots: int,
        step_ms: int,
        places: Sequence[Place],
        rules: Rules,
        before_ms: int | None = None,
        after_ms: int | None = None,
    ) -> None:
        self.places, self.slots, self._step, self._rules = places, slots, step_ms, rules
        self._starts_now, self._ends_last = before_ms is not None, after_ms is not None
        self._before, self._after = before_ms or 0, after_ms or 0
        filled = rules.need_ms + self._before + self._after
        self.units = -(-filled // step_ms)
        self.spare_ms = self.units * step_ms - filled
        self._fastest = max(place.speed for place in places)
        self._most = self.units + self._fastest - 1
        self._parted = self.spare_ms > 0 or self._fastest > 1
        self.limited = rules.max_pauses is not None
        self._layers = 1 if rules.max_pauses is None else rules.max_pauses + 1
        self._marks = [
            (edge, -(-(ran + self._before) // step_ms), -(-(ran + self._before + self.spare_ms) // step_ms))
            for edge, ran in rules.marks
        ]
        self.starts: list[Move] = []
        self.stops: list[Move] = []
        self.end = End(NEVER, 0, 0, 0, ON_EDGE, WHOLE)

    def run(self) -> None:
        """Passes the edges: afterwards `starts` and `stops` tell all that was tried, `end` the best end."""
        if self.units > self.slots * self._fastest or any(edge < 0 for edge, *_ in self._marks):
            return
        self._prepare()
        starting, stopping = _by_edge(self._first_edges()), _by_edge([place.stops for place in self.places])
        times = {*starting, *stopping, *self._kills, *(edge for edge, *_ in self._marks)}
        lengths = {
            self._slots_of(lack + more) for lack in (0, self._before) for more in (0, *self._left_out_ms())
        }
        times |= {edge + slots for edge in starting for slots in lengths}
        times |= {edge + delay for edge in stopping for _, delay in self._paused[WHOLE]}
        for edge in sorted(times):
            self._forget(edge)
            for table, move in self._landings.pop(edge, ()):
                self._land(table, move)
            for place in stopping.get(edge, ()):
                self._stop_at(place, edge)
            for pool, move in self._arrivals.pop(edge, ()):
                held = self._paused[move.into][pool][:, move.low : move.low + move.grams.shape[1]]
                np.minimum(held, move.grams, out=held)
                self._filled.add((move.into, pool))
            for place in starting.get(edge, ()):
                self._start_at(place, edge)

    def _prepare(self) -> None:
        size, parted = self._most + 1, self._parted
        shapes = [(self._layers, place.speed * self.slots + size) for place in self.places]
        self._running = [[np.full(shape, NEVER) for shape in shapes] for _ in range(3 if parted else 1)]
        self._link()
        pools = {pool for given in self.gives for pool in given}
        self._paused = [
            {pool: np.full((self._layers, size), NEVER) for pool in pools} for _ in range(1 + parted)
        ]
        self._filled: set[tuple[int, Pool]] = set()
        self._landings: defaultdict[int, list[tuple[int, Move]]] = defaultdict(list)
        self._arrivals: defaultdict[int, list[tuple[Pool, Move]]] = defaultdict(list)
        self._resume = [place.tables.resume() for place in self.places]
        self._stopping = [place.tables.stopping() for place in self.places]
        self._kills: defaultdict[int, list[int]] = defaultdict(list)
        for i, place in enumerate(self.places):
            for slot in np.flatnonzero(np.diff(place.tables.barred)).tolist():
                self._kills[slot + 1].append(i)
        self._late = [
            [[each.tables.late_start(ms, first=first) for ms in self._out(each)] for first in (False, True)]
            for each in self.places
        ]
        self._soon = [
            [[each.tables.early_end(ms, last=last) for ms in self._out(each)] for last in (False, True)]
            for each in self.places
        ]

    def _link(self) -> None:
        """Which pools places fill and draw on: by region and delay, by place where suspension costs."""
        self._suspends = any(place.tables.suspends for place in self.places)
        self.takes: list[list[tuple[Pool, int, float]]] = []  # the pool, a place where they were left, grams
        self.gives: list[set[Pool]] = [set() for _ in self.places]
        for here in self.places:
            taken = {}
            for j, there in enumerate(self.places):
                same = there.region == here.region
                delay = here.tables.restart + there.tables.checkpoint + (0 if same else here.arrive_steps)
                pool = (j if self._suspends else there.region if same else ANYWHERE, delay)
                taken[pool] = (j, 0.0 if same else here.arrive_g)
                self.gives[j].add(pool)
            self.takes.append([(pool, left, grams) for pool, (left, grams) in taken.items()])

    def _out(self, place: Place) -> list[int]:
        """How far a border may lie in a slot: for the spare, and for units more of a fast place's slot."""
        return [(self.spare_ms + units * self._step) // place.speed for units in range(place.speed)]

    def left_out_ms(self, place: int, units: int) -> int:
        """How far a border lies from its edge where so many units and the spare are left out."""
        return self._out(self.places[place])[units]

    def _left_out_ms(self) -> set[int]:
        return {ms for place in self.places for ms in self._out(place)}

    def _slots_of(self, missing_ms: int) -> int:
        """The slots of the shortest stint that lacks so much of them."""
        return max(1, -(-(self._rules.min_stint_ms + missing_ms) // self._step))

    def _first_edges(self) -> list[Ints]:
        if not self._starts_now:
            return [place.starts for place in self.places]
        return [
            np.union1d(place.starts, np.zeros(int(place.from_edge == 0), np.int64)) for place in self.places
        ]

    def _span(self, edge: int, most: int) -> tuple[int, int]:
        """The least and the most progress that is of any use at an edge."""
        low = max(0, self.units - self._fastest * (self.slots - edge))
        return low, min(most, self._fastest * edge)

    def _forget(self, edge: int) -> None:
        """Drops what a barred slot ends, and what has not done enough for a milestone."""
        for place in self._kills.get(edge, ()):
            for table in self._running:
                table[place][:] = NEVER
        for by, *needed in self._marks:
            if by == edge:
                for number, running in enumerate(self._running):
                    for here, held in zip(self.places, running, strict=True):
                        first = here.speed * edge - needed[number == PARTED] + 1 + self._most
                        held[:, max(0, first) :] = NEVER
                for number, move in (each for moves in self._landings.values() for each in moves):
                    least = needed[number == PARTED] - self.places[move.place].speed * (edge - move.edge)
                    move.grams[:, : max(0, least + max(0, move.left_out) - move.low)] = NEVER

    def kept_marks(self, move: Move, edge: int, table: int, progress: int) -> bool:
        """True where a stint that started so and has done so much here had done enough at each milestone."""
        speed = self.places[move.place].speed
        return not self._marks or all(
            progress - speed * (edge - by) >= needed[table == PARTED]
            for by, *needed in self._marks
            if move.edge < by <= edge
        )

    def _needed(self, edge: int, table: int) -> int:
        """The progress that a paused plan has to have here."""
        return max((needed[table == PARTED] for by, *needed in self._marks if by <= edge), default=0)

    def _start_at(self, place: int, edge: int) -> None:
        """All stints that start here."""
        here = self.places[place]
        useful = self._span(edge, 0)[0] == 0 and self._needed(edge, WHOLE) == 0
        if edge >= here.from_edge and useful and (edge == 0 or not self._starts_now):
            grams = np.full((self._layers, 1), NEVER)
            grams[0, 0] = here.first_g - here.tables.run[edge]
            lack = self._before if edge == 0 else 0
            self._start(place, edge, 0, grams, WHOLE, lack)
            self._start_late(place, edge, 0, grams, lack, first=True)
        low, high = self._span(edge, self.units - 1)
        for table in range(len(self._paused)):
            resumed = self._resumable(place, edge, table, low, high, 0)
            if resumed is not None:
                self._start(place, edge, low, resumed, table, 0)
                if table == WHOLE:
                    self._start_late(place, edge, low, resumed, 0, first=False)

    def _resumable(
        self, place: int, edge: int, table: int, low: int, high: int, late_ms: int
    ) -> Amounts | None:
        """(layers, n) grams of the paused plans that may go on here, restarted; None where there are none."""
        resume = self._resume[place][edge]
        low_needed = self._needed(edge, table)
        pools = [each for each in self.takes[place] if (table, each[0]) in self._filled]
        if not pools or high < max(low, low_needed) or not resume < NEVER:
            return None
        since = edge - self.places[place].tables.restart
        found: Amounts | None = None
        for pool, left, more in pools:
            held = self._paused[table][pool][:, low : high + 1]
            grams = held + (more + resume + self.places[left].tables.suspended(since, late_ms))
            found = grams if found is None else np.minimum(found, grams)
        assert found is not None  # noqa: S101 - there is at least one pool
        found[:, : max(0, low_needed - low)] = NEVER
        if self.limited:
            found[1:] = found[:-1].copy()
            found[0] = NEVER
        return found

    def _start(self, place: int, edge: int, low: int, grams: Amounts, table: int, lack: int) -> None:
        """Stints that start on the edge."""
        landed, early = self._landed(place, edge, lack), self.slots + 1
        if table == WHOLE and self._parted:
            early = self._landed(place, edge, lack + self._out(self.places[place])[-1])
        self._plan_landing(Move(place, edge, low, grams, ON_EDGE, table, table, landed, early))

    def _start_late(self, place: int, edge: int, low: int, grams: Amounts, lack: int, *, first: bool) -> None:
        """Stints that start after the edge, in the slot that is used in part."""
        if not self._parted:
            return
        for units, out in enumerate(self._out(self.places[place])):
            if out > 0:
                late: Amounts | None = grams
                if not first and self._suspends:
                    late = self._resumable(place, edge, WHOLE, low, low + grams.shape[1] - 1, out)
                assert late is not None  # noqa: S101 - on the edge there were some
                less = late - self._late[place][first][units][edge]
                landed = self._landed(place, edge, lack + out)
                self._plan_landing(Move(place, edge, low, less, units, WHOLE, PARTED, landed, self.slots + 1))

    def _landed(self, place: int, edge: int, lack: int) -> int:
        """The edge from which on a stint that lacks so much counts as running; beyond the last: never."""
        slots, barred = self._slots_of(lack), self.places[place].tables.barred
        last = edge + (self._slots_of(lack + self._after) if self._ends_last else slots)
        clear = last <= self.slots and barred[edge + slots] == barred[edge]
        return edge + slots if clear else self.slots + 1

    def _plan_landing(self, move: Move) -> None:
        """Lets a stint count as running once it is long enough."""
        early = move.landed_early if move.into == WHOLE else self.slots + 1
        for table, edge in ((move.into, move.landed), (EARLY, early)):
            if edge <= self.slots:
                self._landings[edge].append((table, move))
        if min(move.landed, early) <= self.slots:
            self.starts.append(move)

    def _land(self, table: int, move: Move) -> None:
        held = self._columns(self._running[table][move.place], move)
        np.minimum(held, move.grams, out=held)

    def _columns(self, held: Amounts, move: Move) -> Amounts:
        """The running plans of a place in the order of the progress that they had at a move's edge."""
        first = self.places[move.place].speed * move.edge + self._most - move.low + max(0, move.left_out)
        last = first - move.grams.shape[1]
        return held[:, first : None if last < 0 else last : -1]

    def _stop_at(self, place: int, edge: int) -> None:
        """All stints that stop here: those that pause, and the end where all is done."""
        tables = self.places[place].tables
        low, high = self._span(edge, self.units - 1)
        for table in range(len(self._paused)):
            self._end_at(place, edge, table, ON_EDGE, float(tables.run[edge]))
            self._pause(
                Move(place, edge, low, self._held(place, edge, table, low, high), ON_EDGE, table, table)
            )
        if self._parted:
            for units, out in enumerate(self._out(self.places[place])):
                if out > 0:
                    less = float(tables.run[edge] - self._soon[place][True][units][edge])
                    self._end_at(place, edge, EARLY, units, less)
                    held = self._held(place, edge, EARLY, low + units, high + units)
                    held = held - self._soon[place][False][units][edge]
                    self._pause(Move(place, edge, low, held, units, EARLY, PARTED))

    def _held(self, place: int, edge: int, table: int, low: int, high: int) -> Amounts:
        """(layers, n) grams of what runs here with a progress of `low` to `high`."""
        first = self.places[place].speed * edge + self._most
        stop = first - high - 1
        return self._running[table][place][:, first - low : None if stop < 0 else stop : -1]

    def _pause(self, move: Move) -> None:
        stop = float(self._stopping[move.place][move.edge])
        if stop < NEVER and move.grams.shape[1]:
            move = Move(
                move.place, move.edge, move.low, move.grams + stop, move.left_out, move.source, move.into
            )
            self.stops.append(move)
            for pool in self.gives[move.place]:
                self._arrivals[move.edge + pool[1]].append((pool, move))

    def _end_at(self, place: int, edge: int, table: int, left_out: int, more: float) -> None:
        if (self._ends_last and edge < self.slots) or (
            left_out == ON_EDGE and table == WHOLE and self.spare_ms
        ):
            return
        progress = self.units + max(0, left_out)
        held = self._held(place, edge, table, progress, progress)[:, 0]
        layer = int(np.argmin(held))
        if held[layer] + more < self.end.grams:
            self.end = End(float(held[layer]) + more, place, edge, layer, left_out, table)


def _by_edge(edges: Sequence[Ints]) -> dict[int, list[int]]:
    """The places that have each edge, home first."""
    found: dict[int, list[int]] = {}
    for place, each in enumerate(edges):
        for edge in each.tolist():
            found.setdefault(edge, []).append(place)
    return found
