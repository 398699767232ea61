"""A choice of one column for each job as a mixed-integer problem, solved by HiGHS through scipy."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tidewatt.scheduler.planning.timetable.columns import Columns, Menu
from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints
from tidewatt.scheduler.planning.timetable.resources import Level, Uses

Moment = tuple[int, int]  # a resource and an instant (ms)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The chosen columns, None without a solution; a lower bound in grams; whether it is proved best."""

    chosen: Ints | None
    bound: float
    proved: bool


@dataclass(slots=True, eq=False)
class _Rows:
    """Rows of a sparse matrix with their limits, growing."""

    column: list[Ints] = field(default_factory=list)
    value: list[Amounts] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, column: Ints, value: Amounts, low: float, high: float) -> None:
        self.column.append(column)
        self.value.append(value)
        self.low.append(low)
        self.high.append(high)


class Model:
    """The mixed-integer problem: a 0/1 variable a column, then one for each job that may be left out."""

    def __init__(
        self, menu: Menu, columns: Columns, jobs: list[int], may_fail: list[int], levels: Mapping[int, Level]
    ) -> None:
        self._menu, self._columns, self._levels = menu, columns, levels
        self._uses: Uses = menu.resources.uses(columns.runs.job, columns.runs.place)
        self._n = len(columns.cost)
        self._scale = max(float(np.mean(columns.cost)), 1e-12) if self._n else 1.0
        most = np.zeros(len(menu.problem.jobs.ids))
        np.maximum.at(most, columns.runs.job, columns.cost)
        self._fine = float(most.sum()) * 2 + 1.0  # for a job left out: dearer than anything else
        self._left_out = {job: self._n + i for i, job in enumerate(may_fail)}
        self._rows = _Rows()
        self._asked: set[Moment] = set()
        self._highest = np.ones(self._n + len(may_fail))  # of each variable; 0: left out
        self.linear = -np.inf  # the linear problem's optimum, in grams
        self._reduced: Amounts = np.zeros(self._n + len(may_fail))  # of each variable, in grams
        for job in jobs:
            self._one_of(job)
        for first, then in menu.problem.jobs.before.tolist():
            if first in set(jobs) and then in set(jobs):
                self._after(first, then)
        self.ask_for(self._at_edges())

    def ask_for(self, moments: Iterable[Moment]) -> None:
        """Has no more used of a resource at an instant than is left of it."""
        runs, uses = self._columns.runs, self._uses
        for resource, at in moments:
            if (resource, at) in self._asked:
                continue
            self._asked.add((resource, at))
            here = np.flatnonzero(uses.resource == resource)
            run = uses.run[here]
            active = (runs.start_ms[run] <= at) & (runs.end_ms[run] > at)
            level = self._levels[resource]
            left = float(level.left[np.searchsorted(level.times_ms, at, "right") - 1])
            amount = uses.amount[here[active]]
            if _most(runs.job[run[active]], amount) > left + 1e-9:
                self._rows.add(run[active], amount, -np.inf, max(left, 0.0))

    def solve(self, seconds: float) -> Answer:
        """What HiGHS finds within the time."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        if any(high < low for low, high in zip(self._rows.low, self._rows.high, strict=True)):
            return Answer(None, np.inf, proved=True)
        with silence():
            found = milp(
                self._cost(),
                integrality=np.ones(len(self._highest)),
                bounds=Bounds(0, self._highest),
                constraints=LinearConstraint(self._matrix(), self._rows.low, self._rows.high),
                options={"time_limit": seconds, "mip_rel_gap": 1e-9},
            )
        proved = found.status in (0, 2)
        if found.x is None:
            return Answer(None, np.inf if found.status == 2 else -np.inf, proved)
        left_out = round(float(found.x[self._n :].sum()))
        dual = found.fun if found.mip_dual_bound is None else found.mip_dual_bound
        bound = float(dual) * self._scale - left_out * self._fine
        return Answer(np.flatnonzero(found.x[: self._n] > 0.5), bound, proved)

    def price(self) -> bool:
        """Solves the linear problem, for its bound and each column's reduced cost; False where it cannot be.

        Dantzig's bound: the linear problem's optimum and a variable's reduced cost, added, are a lower bound
        of what is had with that variable.
        """
        from scipy.optimize import linprog

        matrix, low, high = self._matrix(), np.array(self._rows.low), np.array(self._rows.high)
        equal = low == high
        above, below = ~equal & np.isfinite(high), ~equal & np.isfinite(low)
        found = linprog(
            self._cost(),
            A_ub=_stacked([matrix[above], -matrix[below]]),
            b_ub=np.concatenate((high[above], -low[below])),
            A_eq=matrix[equal],
            b_eq=low[equal],
            bounds=(0, None),  # at most 1 follows from the rows of the jobs
            method="highs",
        )
        if found.status != 0:
            return False
        self.linear = float(found.fun) * self._scale
        self._reduced = found.lower.marginals * self._scale
        return True

    def leave_out(self, known: float, share: float) -> None:
        """Leaves out the columns by whose reduced cost any choice with them is dearer than `known`.

        With a `share` below 1 more of them: what is left is a core in which a good choice is found soon.
        """
        spare = max(known - self.linear, 0.0) * share + 1e-6 * (1 + abs(self.linear))
        self._highest = np.where(self._reduced > spare, 0.0, 1.0)

    def broken(self, chosen: Ints) -> list[Moment]:
        """The instants, within slots too, at which a choice uses more than is left."""
        runs, uses = self._columns.runs, self._uses
        taken = np.zeros(self._n, np.bool_)
        taken[chosen] = True
        rows = np.flatnonzero(taken[uses.run])
        found: list[Moment] = []
        for resource in np.unique(uses.resource[rows]).tolist():
            here = rows[uses.resource[rows] == resource]
            run, amount, level = uses.run[here], uses.amount[here], self._levels[resource]
            starts, ends = runs.start_ms[run], runs.end_ms[run]
            inside = (level.times_ms >= starts.min()) & (level.times_ms < ends.max())
            for at in np.unique(np.concatenate((starts, level.times_ms[inside]))).tolist():
                used = float(amount[(starts <= at) & (ends > at)].sum())
                left = float(level.left[np.searchsorted(level.times_ms, at, "right") - 1])
                if used > left + 1e-6 and (resource, at) not in self._asked:
                    found.append((resource, at))
        return found

    def _cost(self) -> Amounts:
        fines = np.full(len(self._left_out), self._fine)
        cost: Amounts = np.concatenate((self._columns.cost, fines)) / self._scale
        return cost

    def _matrix(self) -> Any:
        from scipy.sparse import csr_array

        rows = self._rows
        pointers = np.concatenate(([0], np.cumsum([len(each) for each in rows.column])))
        entries = (np.concatenate(rows.value), np.concatenate(rows.column), pointers)
        return csr_array(entries, shape=(len(rows.low), len(self._highest)))

    def _one_of(self, job: int) -> None:
        own = np.flatnonzero(self._columns.runs.job == job)
        if job in self._left_out:
            own = np.append(own, self._left_out[job])
        self._rows.add(own, np.ones(len(own)), 1.0, 1.0 if len(own) else 0.0)

    def _after(self, first: int, then: int) -> None:
        """The second starts when the first has ended, and not at all where the first is left out."""
        runs = self._columns.runs
        earlier, later = np.flatnonzero(runs.job == first), np.flatnonzero(runs.job == then)
        origin = int(self._menu.problem.places.edges_ms[0])
        long = (int(self._menu.problem.places.edges_ms[-1]) - origin) / 3_600_000
        ends = (runs.end_ms[earlier] - origin) / 3_600_000
        starts = (runs.start_ms[later] - origin) / 3_600_000
        absent = [self._left_out[then]] if then in self._left_out else []
        column = np.concatenate((later, earlier, np.array(absent, np.int64)))
        value = np.concatenate((starts, -ends, np.full(len(absent), long)))
        self._rows.add(column, value, -1e-9, np.inf)
        if first in self._left_out:
            both = np.concatenate((later, earlier))
            self._rows.add(both, np.repeat([-1.0, 1.0], [len(later), len(earlier)]), 0.0, np.inf)

    def _at_edges(self) -> list[Moment]:
        """Every border of slots within the columns, for each resource that they use."""
        if not self._n:
            return []
        edges = self._menu.problem.places.edges_ms
        first, last = self._columns.runs.start_ms.min(), self._columns.runs.end_ms.max()
        inside = edges[(edges >= first) & (edges < last)].tolist()
        return [(at, edge) for at in np.unique(self._uses.resource).tolist() for edge in inside]


@contextmanager
def silence() -> Iterator[None]:
    """Keeps away what HiGHS 1.8 and later now and then print to the process's output, though told not to."""
    sys.stdout.flush()
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(output, 1)
        os.close(output)
        os.close(nowhere)


def _stacked(parts: Sequence[Any]) -> Any:
    from scipy.sparse import vstack

    return vstack(parts)


def _most(job: Ints, amount: Amounts) -> float:
    """The most that one column for each job can use."""
    if not len(job):
        return 0.0
    jobs, index = np.unique(job, return_inverse=True)
    most = np.zeros(len(jobs))
    np.maximum.at(most, index, amount)
    return float(most.sum())
