"""Makes a timetable better by freeing a few jobs at a time and placing them anew as well as can be.

A large-neighbourhood search: all other jobs stay where they are, and HiGHS finds the best starts of the free
ones in what is left. Freed are the job that is furthest from its own best start and those in its way there,
or all that run at one place for some hours; more at a time while that is quickly solved, fewer while not.
"""

import time
from collections.abc import Iterator

import numpy as np

from tidewatt.scheduler.planning.timetable.columns import Columns, Menu
from tidewatt.scheduler.planning.timetable.exact import cheaper_than, optimum, solved
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import Runs, grams, runs
from tidewatt.scheduler.planning.timetable.validator import faults

WHOLE = 60  # jobs: so many are solved all at once
FREED = 25  # jobs at first
MOST_FREED = 80
QUICK_S, SLOW_S = 0.5, 3.0  # a neighbourhood solved sooner is made larger; one not solved by then, smaller
BETTER = 1e-7  # relative: less is not told
# Of the time: until when neighbourhoods are searched, and until when the whole is then solved.
_SHARES = ((0.1, 0.55), (0.65, 1.0))


def improve(problem: Problem, timetable: Timetable, seconds: float, seed: int = 0) -> Timetable:
    """The best timetable found within the time; never one that is worse, or places fewer jobs."""
    return [timetable, *improvements(problem, timetable, seconds, seed)][-1]


def improvements(
    problem: Problem, timetable: Timetable, seconds: float, seed: int = 0
) -> Iterator[Timetable]:
    """Ever better timetables, as they are found, for as long as the time lasts or until none is better.

    Each is sound and places at least as many jobs as the one before. Jobs that pause stay where they are. A
    timetable with faults is not made better: it has to be planned anew.
    """
    if not len(problem.jobs.ids) or faults(problem, timetable):
        return
    search, begun = _Search(problem, timetable, seed), time.monotonic()
    if len(problem.jobs.ids) > WHOLE or timetable.stints:
        yield from search.run(begun + seconds)
        return
    for searched, solved_by in _SHARES:
        yield from search.run(begun + searched * seconds)
        left = begun + solved_by * seconds - time.monotonic()
        found, _, proved = optimum(problem, max(left, 0.0), search.best)
        if found is not None and search.accepts(found):
            yield found
        if proved:
            return


class _Search:
    """The best timetable so far, and where to look for a better one."""

    def __init__(self, problem: Problem, timetable: Timetable, seed: int) -> None:
        self.problem, self.best = problem, timetable
        self._rng = np.random.default_rng(seed)
        self._menu = Menu(problem)
        nothing = np.empty(0, np.int64)
        self._empty = self._menu.resources.levels(Runs(nothing, nothing, nothing, nothing))
        self._cost = grams(problem, timetable)
        self._size = FREED
        self._least = np.full(len(problem.jobs.ids), np.nan)  # own best start's cost, in empty places
        self._fruitless = 0

    def run(self, until: float) -> Iterator[Timetable]:
        """Better timetables until the time is up, or all jobs are where they would be alone."""
        while (left := until - time.monotonic()) > 0.01:
            freed = self._neighbourhood()
            if len(freed) == 0:
                return
            found = self._placed_anew(freed, min(left, SLOW_S))
            if found is not None and self.accepts(found):
                self._fruitless = 0
                yield found
            else:
                self._fruitless += 1

    def accepts(self, found: Timetable) -> bool:
        """Takes a timetable for the best one if it is; the independent check has the last word."""
        cost = grams(self.problem, found)
        placed, before = int((found.place != NOWHERE).sum()), int((self.best.place != NOWHERE).sum())
        cheaper = float(cost.sum()) < float(self._cost.sum()) * (1 - BETTER)
        if placed < before or (placed == before and not cheaper):
            return False
        if faults(self.problem, found):
            return False
        self.best, self._cost = found, cost
        return True

    def _placed_anew(self, freed: Ints, seconds: float) -> Timetable | None:
        """The best that can be done with the freed jobs alone; None: nothing better."""
        begun = time.monotonic()
        held = runs(self.problem, self.best)
        kept = ~np.isin(held.job, freed)
        stay = Runs(held.job[kept], held.place[kept], held.start_ms[kept], held.end_ms[kept])
        levels = self._menu.resources.levels(stay)
        columns = self._menu.columns(freed.tolist(), levels, self._bounds(freed, held), self.best)
        missing = freed[self.best.place[freed] == NOWHERE]
        if not len(missing):
            columns = cheaper_than(columns, float(self._cost[freed].sum()))
        if not self._worth(columns, freed):
            return None
        answer = solved(self._menu, columns, freed.tolist(), missing.tolist(), levels, seconds)
        taken = time.monotonic() - begun
        if answer.proved and taken < QUICK_S:
            self._size = min(round(self._size * 1.1) + 1, MOST_FREED)
        elif not answer.proved:
            self._size = max(round(self._size * 0.8), 6)
        return None if answer.chosen is None else self._with(columns, answer.chosen, freed)

    def _worth(self, columns: Columns, freed: Ints) -> bool:
        """False where each freed job has but one start left."""
        return len(columns.cost) > len(freed) or bool((self.best.place[freed] == NOWHERE).any())

    def _with(self, columns: Columns, chosen: Ints, freed: Ints) -> Timetable:
        place, start = self.best.place.copy(), self.best.start_ms.copy()
        place[freed] = NOWHERE
        made = columns.only(chosen).runs
        place[made.job], start[made.job] = made.place, made.start_ms
        return Timetable(place, start, self.best.stints)

    def _bounds(self, freed: Ints, held: Runs) -> dict[int, tuple[int, int]]:
        """First start and last end of freed jobs whose predecessors or followers stay where they are."""
        free = set(freed.tolist())
        first = np.iinfo(np.int64).min
        last = np.iinfo(np.int64).max
        found: dict[int, tuple[int, int]] = {}
        for before, after in self.problem.jobs.before.tolist():
            if after in free and before not in free:
                ends = held.end_ms[held.job == before]
                low, high = found.get(after, (first, last))
                found[after] = (max(low, int(ends.max())) if len(ends) else last, high)
            if before in free and after not in free:
                starts = held.start_ms[held.job == after]
                low, high = found.get(before, (first, last))
                found[before] = (low, min(high, int(starts.min())) if len(starts) else high)
        return found

    def _neighbourhood(self) -> Ints:
        """Indices of the jobs to be placed anew."""
        can = np.ones(len(self.problem.jobs.ids), np.bool_)
        can[list(self.problem.jobs.pausing)] = False
        able = np.flatnonzero(can)
        if len(able) <= self._size:
            return able if self._fruitless == 0 else np.empty(0, np.int64)
        if self._fruitless % 3 == 2:
            return self._near(int(self._rng.choice(able)), able)
        return self._in_the_way(able)

    def _near(self, job: int, able: Ints) -> Ints:
        """The job, and those that run at about the same time at its place, or want to."""
        jobs, best = self.problem.jobs, self.best
        at = int(best.start_ms[job]) if best.place[job] != NOWHERE else int(jobs.release_ms[job])
        there = best.place[able] == best.place[job]
        away = np.abs(best.start_ms[able] - at) / (jobs.work_ms.mean() + 1.0) + np.where(there, 0.0, 2.0)
        away[best.place[able] == NOWHERE] = 0.0
        order = np.argsort(away + self._rng.uniform(0, 0.5, len(able)))
        return np.union1d(able[order[: self._size - 1]], [job])

    def _in_the_way(self, able: Ints) -> Ints:
        """A job that is dear against its own best start, those that run there then, and those near it."""
        few = self._rng.choice(able, min(len(able), 40), replace=False)
        regret = np.maximum(self._cost[few] - self._least_of(few), 0.0)
        regret[self.best.place[few] == NOWHERE] = np.inf
        if not (regret > 0).any():
            return self._near(int(self._rng.choice(able)), able)
        weight = np.where(np.isinf(regret), regret[np.isfinite(regret)].max(initial=1.0) * 5, regret)
        job = int(self._rng.choice(few, p=weight / weight.sum()))
        wanted = self._wanted(job)
        held = runs(self.problem, self.best)
        if not len(wanted.job):
            return self._near(job, able)
        across = (held.place == wanted.place[0]) & (held.start_ms < wanted.end_ms[0])
        across &= held.end_ms > wanted.start_ms[0]
        rivals = np.intersect1d(held.job[across], able)
        if len(rivals) >= self._size:
            rivals = self._rng.choice(rivals, self._size - 1, replace=False)
        found = np.union1d(rivals, [job])
        rest = np.setdiff1d(self._near(job, able), found)
        return np.union1d(found, self._rng.permutation(rest)[: max(self._size - len(found), 0)])

    def _least_of(self, jobs: Ints) -> Amounts:
        for job in jobs[np.isnan(self._least[jobs])].tolist():
            alone = self._alone(job)
            self._least[job] = alone.cost.min(initial=np.inf)
        return self._least[jobs]

    def _wanted(self, job: int) -> Runs:
        """Where and when the job would run if it were alone; one of the best few."""
        alone = self._alone(job)
        order = np.argsort(alone.cost)[: 1 + int(self._rng.integers(0, 4))]
        return alone.only(order[-1:]).runs  # of a job that could run nowhere: none

    def _alone(self, job: int) -> Columns:
        return self._menu.columns([job], self._empty, {})
