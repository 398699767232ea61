"""The exact dynamic programme of one track: progress x running or paused.

Rows are progress in slots, columns how many slots were not used for progress so far, so that going on running
stays in its column and a pause moves to the right. The tables hold grams less those that running since the
first edge would have cost: going on costs nothing then, and a pause is a running minimum along the row.

Of the borders of all stints at most one lies within a slot in one of the best plans: where two do, moving
one and the other so that the work stays the same changes grams linearly until either meets an edge. So either
all slots are used whole or one is used in part, at the border of a stint. `_trimmed` holds the plans in
which that border has been passed: what the slots have more than the work needs (`_spare`) was left out there.
A shorter first or last slot is such a border given in advance: the plans that use it are sought apart.

Exact for delays, milestones and shortest stints that are whole slots.
"""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.pausing.grid import Grid
from tidewatt.scheduler.planning.pausing.tables import NEVER, Overheads, Tables
from tidewatt.scheduler.planning.pausing.work import Amounts

Piece = tuple[int, int]  # running from, to: Unix milliseconds, without restart and checkpoint


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan has to keep, in milliseconds of the track: `milestones` are (by, how long it has run)."""

    need_ms: int
    min_stint_ms: int = 0
    max_pauses: int | None = None
    milestones: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Mark:
    """A milestone on the grid: by which edge, after how many slots, without and with the spare left out."""

    edge: int
    slots: int
    slots_trimmed: int


class Programme:
    """All plans of one job in one track; of those that use a shorter first or last slot only these."""

    def __init__(
        self,
        grid: Grid,
        overheads: Overheads,
        rules: Rules,
        starts_now: bool,
        ends_last: bool,
    ) -> None:
        self._grid, self._rules = grid, rules
        self._starts_now, self._ends_last = starts_now, ends_last
        self._before = grid.head_ms if starts_now else 0
        self._after = grid.tail_ms if ends_last else 0
        step, filled = grid.step_ms, rules.need_ms + self._before + self._after
        self._rows = -(-filled // step)
        self._spare = self._rows * step - filled
        self._columns = len(grid.unit) - self._rows + 1
        self._restart, self._checkpoint = overheads.restart_ms // step, overheads.checkpoint_ms // step
        self._gap = self._restart + self._checkpoint
        self._short, self._short_trimmed = self._slots(0), self._slots(self._spare)
        self._marks = [self._mark(by, ran) for by, ran in rules.milestones]
        self._layers = 1 if rules.max_pauses is None else rules.max_pauses + 1
        self._limited = rules.max_pauses is not None
        self._tables = Tables(grid, overheads)

    def best(self) -> list[Piece] | None:
        """The pieces of the cheapest plan; None where there is none."""
        if self._columns < 1 or any(mark.edge < 0 for mark in self._marks):
            return None
        tables = self._tables
        self._resume = tables.resume(self._short)
        self._resume_late = tables.resume(self._short_trimmed) - tables.late_start(self._spare, first=False)
        self._stop = tables.stop
        self._stop_early = tables.stop - tables.early_end(self._spare, last=False)
        self._fill()
        return self._read()

    def _slots(self, missing_ms: int) -> int:
        """The slots of the shortest stint that lacks `missing_ms` of them."""
        return max(1, -(-(self._rules.min_stint_ms + missing_ms) // self._grid.step_ms))

    def _mark(self, by_ms: int, ran_ms: int) -> _Mark:
        edge = int(np.searchsorted(self._grid.edges_ms, by_ms, "right")) - 1
        if by_ms >= self._grid.edges_ms[-1] or ran_ms <= 0:
            return _Mark(0, 0, 0)
        step, ran = self._grid.step_ms, ran_ms + self._before
        return _Mark(edge, -(-ran // step), -(-(ran + self._spare) // step))

    def _fill(self) -> None:
        """Both tables, row by row."""
        shape = (self._layers, self._rows + 1, self._columns)
        self._running = np.full(shape, NEVER)
        self._trimmed = np.full(shape if self._spare else (0, 0, 0), NEVER)
        self._begin()
        for row in range(1, self._rows + 1):
            self._go_on(self._running[:, row], self._running[:, row - 1], row, trimmed=False)
            if self._spare:
                self._go_on(self._trimmed[:, row], self._trimmed[:, row - 1], row, trimmed=True)
            if row < self._rows and self._gap < self._columns:
                self._pause(row)

    def _begin(self) -> None:
        """First stints: at any edge, or at the first one only."""
        columns = 1 if self._starts_now else self._columns
        slots, slots_trimmed = self._slots(self._before), self._slots(self._before + self._spare)
        first = self._tables.first(slots)[:columns]
        self._first = first
        self._land(self._running[:1], 0, slots, 0, first[None].copy(), self._before, trimmed=False)
        if self._spare:
            late = self._tables.first(slots_trimmed) - self._tables.late_start(self._spare, first=True)
            self._first_late = late[:columns]
            missing = self._before + self._spare
            values = self._first_late[None].copy()
            self._land(self._trimmed[:1], 0, slots_trimmed, 0, values, missing, trimmed=True, late=True)

    def _go_on(self, row: Amounts, row_before: Amounts, k: int, *, trimmed: bool) -> None:
        np.minimum(row, row_before, out=row)
        if self._tables.barred is not None:
            row += self._tables.barred[k - 1 : k - 1 + self._columns]
        for mark in self._marks:
            if k < (mark.slots_trimmed if trimmed else mark.slots):
                row[:, max(0, mark.edge - k) :] = NEVER

    def _pause(self, k: int) -> None:
        """Stops in row `k` and starts again later."""
        here = slice(k, k + self._columns)
        there = slice(k + self._gap, k + self._columns)
        reach = self._columns - self._gap
        paused = self._running[:, k] + self._stop[here]
        np.minimum.accumulate(paused, axis=1, out=paused)
        since = paused[: self._layers - 1 if self._limited else None, :reach]
        into = slice(1 if self._limited else 0, None)
        short, short_trimmed = self._short, self._short_trimmed
        self._land(self._running[into], k, short, self._gap, since + self._resume[there], 0, trimmed=False)
        if not self._spare:
            return
        values = since + self._resume_late[there]
        self._land(
            self._trimmed[into], k, short_trimmed, self._gap, values, self._spare, trimmed=True, late=True
        )
        paused = self._trimmed[:, k] + self._stop[here]
        np.minimum(paused, self._ended(k, 0) + self._stop_early[here], out=paused)
        np.minimum.accumulate(paused, axis=1, out=paused)
        since = paused[: self._layers - 1 if self._limited else None, :reach]
        self._land(self._trimmed[into], k, short, self._gap, since + self._resume[there], 0, trimmed=True)

    def _land(
        self,
        table: Amounts,
        k: int,
        slots: int,
        column: int,
        values: Amounts,
        missing_ms: int,
        *,
        trimmed: bool,
        late: bool = False,
    ) -> None:
        """Puts stints that begin in row `k` where their first `slots` slots have been run."""
        row = k + slots
        if row > self._rows:
            return
        if self._ends_last and row == self._rows and self._slots(missing_ms + self._after) > slots:
            values[:, self._columns - 1 - column :] = NEVER
        for mark in self._marks:
            least = mark.slots_trimmed if trimmed else mark.slots
            if k < least:
                low = max(0, mark.edge - min(row, least - 1) - column)
                high = max(0, mark.edge - k - column) if late and k >= mark.slots else None
                values[:, low:high] = NEVER
        into = table[:, row, column : column + values.shape[1]]
        np.minimum(into, values, out=into)

    def _ended(self, k: int, after_ms: int) -> Amounts:
        """(layers, columns) plans whose running stint may end in row `k`, the spare left out at its end."""
        found = self._long_enough(k, self._slots(self._spare + after_ms) - self._short)
        if self._starts_now:
            more = self._slots(self._before + self._spare + after_ms) - self._slots(self._before)
            found = found.copy()
            found[:, 0] = self._long_enough(k, more)[:, 0]
        return found

    def _long_enough(self, k: int, more: int) -> Amounts:
        """Plans in row `k` whose stint has run for so many slots more than the shortest."""
        found = self._running[:, k]
        if not more:
            return found
        if k < more:
            return np.full_like(found, NEVER)
        found = self._running[:, k - more]
        if self._tables.barred is not None:
            for row in range(k - more, k):
                found = found + self._tables.barred[row : row + self._columns]
        return found

    def _read(self) -> list[Piece] | None:
        """The cheapest plan, from its end to its beginning."""
        rows, columns = self._rows, self._columns
        run = self._tables.run[rows : rows + columns]
        if self._spare:
            whole = self._trimmed[:, rows] + run
            early = self._tables.early_end(self._spare, last=True)[rows : rows + columns]
            cut = self._ended(rows, self._after) + run - early
        else:
            whole, cut = self._running[:, rows] + run, np.full((self._layers, columns), NEVER)
        if self._ends_last:
            whole, cut = whole.copy(), cut.copy()
            whole[:, :-1] = cut[:, :-1] = NEVER
        least = min(float(whole.min()), float(cut.min()))
        if not least < self._tables.penalty / 2:
            return None
        ends_cut = float(cut.min()) < float(whole.min())
        layer, column = divmod(int(np.argmin(cut if ends_cut else whole)), columns)
        return self._walk(layer, rows, column, trimmed=bool(self._spare) and not ends_cut, cut=ends_cut)

    def _walk(self, layer: int, k: int, column: int, *, trimmed: bool, cut: bool) -> list[Piece]:
        """The pieces that led to a state; `cut`: its last piece ends before the edge."""
        edges, found = self._grid.edges_ms, []
        while True:
            end = int(edges[k + column]) - self._spare * cut
            table = self._trimmed if trimmed else self._running
            grams = table[layer, :, column]
            row = k
            if cut:
                row -= self._rows_ended(k, column)
            while row > 0 and grams[row - 1] == grams[row]:
                row -= 1
            begun, late, first, trimmed = self._origin(layer, row, column, trimmed=trimmed)
            found.append((int(edges[begun + column]) + self._spare * late, end))
            if first:
                return found[::-1]
            layer -= self._limited
            k = begun
            column, cut, trimmed = self._stopped(layer, k, column, trimmed=trimmed)

    def _rows_ended(self, k: int, column: int) -> int:
        after = self._after if k == self._rows else 0
        if self._starts_now and column == 0:
            return self._slots(self._before + self._spare + after) - self._slots(self._before)
        return self._slots(self._spare + after) - self._short

    def _origin(self, layer: int, row: int, column: int, *, trimmed: bool) -> tuple[int, bool, bool, bool]:
        """How the stint that landed in `row` began: in which row, late, as the first, trimmed before."""
        value = float((self._trimmed if trimmed else self._running)[layer, row, column])
        options: list[tuple[float, tuple[int, bool, bool, bool]]] = []
        slots = self._slots(self._before + self._spare * trimmed)
        first = self._first_late if trimmed else self._first
        if row == slots and layer == 0 and column < len(first):
            options.append((float(first[column]), (0, trimmed, True, False)))
        source = layer - self._limited
        if source >= 0 and column >= self._gap:
            if row - self._short > 0:
                k = row - self._short
                paused = self._paused(source, k, column, trimmed=trimmed)
                options.append((float(paused.min() + self._resume[k + column]), (k, False, False, trimmed)))
            if trimmed and row - self._short_trimmed > 0:
                k = row - self._short_trimmed
                paused = self._paused(source, k, column, trimmed=False)
                options.append((float(paused.min() + self._resume_late[k + column]), (k, True, False, False)))
        return min(options, key=lambda option: abs(option[0] - value) if option[0] < NEVER else NEVER)[1]

    def _paused(self, layer: int, k: int, column: int, *, trimmed: bool) -> Amounts:
        """(2, n) grams of having stopped in row `k` early enough; in the second row before the edge."""
        n = column - self._gap + 1
        here = slice(k, k + n)
        if not trimmed:
            return (self._running[layer, k, :n] + self._stop[here])[None]
        return np.stack(
            (
                self._trimmed[layer, k, :n] + self._stop[here],
                self._ended(k, 0)[layer, :n] + self._stop_early[here],
            )
        )

    def _stopped(self, layer: int, k: int, column: int, *, trimmed: bool) -> tuple[int, bool, bool]:
        """Where the stint before ended: its column, whether before the edge, and which table it is in."""
        paused = self._paused(layer, k, column, trimmed=trimmed)
        which, at = divmod(int(np.argmin(paused)), paused.shape[1])
        return at, which == 1, trimmed and which == 0
