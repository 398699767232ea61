"""The starts that are worth considering for a job, with what they cost, around what others hold.

Between two borders (of slots, or of what is left of a resource) a job's cost is linear in its start, so for
one job alone only those starts are needed at which it starts or ends at such a border. For several jobs that
follow each other within a slot other starts may be best: these are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import MS_PER_HOUR, Meter, Runs
from tidewatt.scheduler.planning.timetable.reference import reference_second
from tidewatt.scheduler.planning.timetable.resources import Level, Resources

TIE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Possible runs of jobs, and what each costs in grams."""

    runs: Runs
    cost: Amounts

    def only(self, which: Ints) -> "Columns":
        """Some of them."""
        runs = self.runs
        columns = (runs.job, runs.place, runs.start_ms, runs.end_ms)
        return Columns(Runs(*(each[which] for each in columns)), self.cost[which])


class Menu:
    """Makes columns for jobs of one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.resources = Resources(problem)
        places = problem.places
        self._meter = Meter(places.edges_ms, places.cost)
        self._second = None if places.second is None else Meter(places.edges_ms, places.second)
        self._reference = reference_second(problem)

    def columns(
        self,
        jobs: Sequence[int],
        levels: Mapping[int, Level],
        bounds: Mapping[int, tuple[int, int]],
        now: Timetable | None = None,
    ) -> Columns:
        """All worthwhile runs of `jobs` in what `levels` leave; `bounds` are firsts starts and last ends.

        The starts of `now` are among them.
        """
        parts = [
            part
            for job in jobs
            for place in np.flatnonzero(self.problem.menus.allowed[self.problem.jobs.menu[job]]).tolist()
            if (part := self._at(job, place, levels, bounds, now)) is not None
        ]
        if not parts:
            nothing = np.empty(0, np.int64)
            return Columns(Runs(nothing, nothing, nothing, nothing), np.empty(0))
        names = ("job", "place", "start_ms", "end_ms")
        runs = Runs(*(np.concatenate([getattr(part.runs, name) for part in parts]) for name in names))
        return Columns(runs, np.concatenate([part.cost for part in parts]))

    def _at(
        self,
        job: int,
        place: int,
        levels: Mapping[int, Level],
        bounds: Mapping[int, tuple[int, int]],
        now: Timetable | None,
    ) -> Columns | None:
        problem = self.problem
        jobs, node = problem.jobs, int(problem.places.node_units[place])
        if node and jobs.units[job] > node:
            return None
        length = self._length(job, place)
        first, last = self._range(job, place, bounds)
        if first + length > last:
            return None
        has = now is not None and now.place[job] == place
        own = [int(now.start_ms[job])] if now is not None and has else []
        starts = self._starts(job, place, length, levels, first, last, own)
        n = len(starts)
        made = Runs(np.full(n, job), np.full(n, place), starts, starts + length)
        return self._priced(made, levels)

    def _length(self, job: int, place: int) -> int:
        speed = float(self.problem.menus.speed[self.problem.jobs.menu[job], place])
        return int(np.ceil(self.problem.jobs.work_ms[job] / speed - 1e-6))

    def _range(self, job: int, place: int, bounds: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
        jobs, edges = self.problem.jobs, self.problem.places.edges_ms
        names, home = self.problem.places.names, int(jobs.home[job])
        away = home != NOWHERE and names[place][0] != names[home][0]
        first = int(jobs.release_ms[job]) + (int(jobs.moved_ms[job]) if away else 0)
        own = bounds.get(job, (first, int(jobs.due_ms[job])))
        last = min(int(jobs.due_ms[job]), int(edges[-1]), own[1])
        return max(first, int(edges[0]), own[0]), last

    def _starts(
        self,
        job: int,
        place: int,
        length: int,
        levels: Mapping[int, Level],
        first: int,
        last: int,
        own: list[int],
    ) -> Ints:
        """Starts from `first` on that end by `last`: at borders, and with the end at a border."""
        edges = self.problem.places.edges_ms
        inner = edges[(edges >= first) & (edges <= last)]
        uses = self.resources.uses(np.array([job]), np.array([place]))
        free = [levels[at].stretches(amount) for at, amount in zip(uses.resource, uses.amount, strict=True)]
        opens = np.concatenate([each[:, 0] for each in free]) if free else np.empty(0, np.int64)
        closes = np.concatenate([each[:, 1] for each in free]) if free else np.empty(0, np.int64)
        most = last - length
        wanted = np.concatenate((inner, inner - length, opens, closes - length, [first, most], own))
        wanted = np.unique(wanted.astype(np.int64))
        starts: Ints = wanted[(wanted >= first) & (wanted <= most)]
        return starts

    def _priced(self, made: Runs, levels: Mapping[int, Level]) -> Columns:
        """Those for which there is room, at a known cost, and no worse by the other signal."""
        uses = self.resources.uses(made.job, made.place)
        fits = np.ones(len(made.job), np.bool_)
        for at in np.unique(uses.resource).tolist():
            here = uses.resource == at
            run = uses.run[here]
            left = levels[at].least(made.start_ms[run], made.end_ms[run])
            fits[run] &= left >= uses.amount[here] - 1e-9
        jobs, menus = self.problem.jobs, self.problem.menus
        draw = jobs.kw[made.job] * menus.power[jobs.menu[made.job], made.place]
        cost = draw * self._meter.over(made.place, made.start_ms, made.end_ms)
        if self._second is not None:
            other = draw * self._second.over(made.place, made.start_ms, made.end_ms)
            fits &= ~(np.isfinite(other) & (other > self._reference[made.job] * (1 + TIE) + TIE))
        cost = cost + self._besides(made)
        which = np.flatnonzero(fits & np.isfinite(cost))
        return Columns(made, cost).only(which)

    def _besides(self, made: Runs) -> Amounts:
        jobs = self.problem.jobs
        names = self.problem.places.names
        home = int(jobs.home[made.job[0]]) if len(made.job) else NOWHERE
        away = home != NOWHERE and names[int(made.place[0])][0] != names[home][0]
        waited = (made.start_ms - jobs.release_ms[made.job]) / MS_PER_HOUR
        extra: Amounts = jobs.delay_g_per_h[made.job] * waited + (jobs.moved_g[made.job] if away else 0.0)
        return extra
