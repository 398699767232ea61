"""Pauses for the jobs of a timetable that may be interrupted, where that saves something."""

from collections.abc import Callable, Iterable

import numpy as np

from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.work import Stints, Track, Work
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Flags, Problem, Timetable
from tidewatt.scheduler.planning.timetable.validator import faults

PASSES = 2  # over all pausing jobs: what one leaves may suit another
HOUR_MS = 3_600_000
WORTH = 1e-9  # relative: what is not cheaper by so much is left as it is
Stint = tuple[int, int, int]  # place, start, end (ms)


def with_pauses(
    problem: Problem, timetable: Timetable, stop: Callable[[], bool] = lambda: False
) -> Timetable:
    """The timetable with each pausing job's cheapest stints in what the others leave free.

    One job at a time, those that cost most first; the others stay where they are. A slot counts as free
    where it is free all the time. `stop` tells when the time is up: the rest stays as it is. The result is
    checked: where anything is wrong with it, the timetable comes back as it was.
    """
    if not problem.jobs.pausing:
        return timetable
    weaving = _Weaving(problem, timetable)
    for _ in range(PASSES):
        order = sorted(problem.jobs.pausing, key=weaving.cost_g, reverse=True)
        if not sum([weaving.improve(index) for index in order if not stop()]):
            break
    found = weaving.timetable()
    return timetable if faults(problem, found) else found


class _Weaving:
    """What each job occupies, by slot, while jobs are taken out and put back."""

    def __init__(self, problem: Problem, timetable: Timetable) -> None:
        self._problem, self._jobs = problem, problem.jobs
        self._place, self._start = timetable.place.copy(), timetable.start_ms.copy()
        self._stints = dict(timetable.stints)
        self._edges = problem.places.edges_ms
        shape = problem.places.cost.shape
        self._units = np.zeros(shape)
        self._site_kw = np.zeros((len(problem.places.site_kw), shape[1]))
        self._group = np.zeros((len(self._jobs.group_limit), shape[1]))
        # Nodes, and a second signal that must not get worse, are not known by slot: each change is checked.
        self._checked = bool(problem.places.node_units.any()) or problem.places.second is not None
        for index in range(len(self._jobs.ids)):
            self._occupy(index, 1)

    def timetable(self) -> Timetable:
        """What has come of it."""
        return Timetable(self._place.copy(), self._start.copy(), dict(self._stints))

    def cost_g(self, index: int) -> float:
        """What a job costs as it is placed; inf where it has no place."""
        if self._place[index] == NOWHERE:
            return float("inf")
        work, places = self._work(index)
        parts = tuple((places.index(place), start, end) for place, start, end in self._parts(index))
        return cost_of(work, parts) + self._delay_g(index, parts)

    def improve(self, index: int) -> bool:
        """Puts a job where its stints are cheapest, if that is any better; True if so."""
        before, old = self.cost_g(index), (self._place[index], self._start[index], self._stints.get(index))
        self._occupy(index, -1)
        work, places = self._work(index)
        found = best_stints(work) if work.tracks else None
        if found is None or not self._better(index, found, before):
            self._occupy(index, 1)
            return False
        parts = tuple((places[track], start, end) for track, start, end in found.parts)
        self._put(index, parts)
        if self._checked and faults(self._problem, self.timetable()):
            self._occupy(index, -1)
            self._place[index], self._start[index] = old[:2]
            self._stints.pop(index, None)
            if old[2] is not None:
                self._stints[index] = old[2]
            self._occupy(index, 1)
            return False
        return True

    def _better(self, index: int, found: Stints, before: float) -> bool:
        after = found.cost_g + self._delay_g(index, found.parts)
        return after < before - WORTH * abs(before) if before < np.inf else True

    def _put(self, index: int, parts: tuple[Stint, ...]) -> None:
        self._stints.pop(index, None)
        if len(parts) > 1:
            self._stints[index] = parts
        self._place[index], self._start[index] = parts[-1][0], parts[0][1]
        self._occupy(index, 1)

    def _delay_g(self, index: int, parts: Iterable[Stint]) -> float:
        start = min(start for _, start, _ in parts)
        return float(self._jobs.delay_g_per_h[index]) * (start - int(self._jobs.release_ms[index])) / HOUR_MS

    def _parts(self, index: int) -> tuple[Stint, ...]:
        """Where a job runs, a stretch after the other."""
        place, start = int(self._place[index]), int(self._start[index])
        if place == NOWHERE:
            return ()
        if index in self._stints:
            return self._stints[index]
        speed = self._problem.menus.speed[self._jobs.menu[index], place]
        return ((place, start, start + int(np.ceil(self._jobs.work_ms[index] / speed - 1e-6))),)

    def _occupy(self, index: int, sign: int) -> None:
        for place, start, end in self._parts(index):
            first = int(np.searchsorted(self._edges, start, "right")) - 1
            slots = slice(max(first, 0), int(np.searchsorted(self._edges, end)))
            self._units[place, slots] += sign * self._jobs.units[index]
            draw = self._jobs.kw[index] * self._problem.menus.power[self._jobs.menu[index], place]
            self._site_kw[self._problem.places.site[place], slots] += sign * draw
            if self._jobs.group[index] >= 0:
                self._group[self._jobs.group[index], slots] += sign

    def _work(self, index: int) -> tuple[Work, list[int]]:
        """The job as the programme sees it, with the places that its tracks are."""
        jobs, names = self._jobs, self._problem.places.names
        allowed = np.flatnonzero(self._problem.menus.allowed[jobs.menu[index]]).tolist()
        release, due = self._span(index)
        first = max(int(np.searchsorted(self._edges, release, "right")) - 1, 0)
        last = min(max(int(np.searchsorted(self._edges, due)), first + 2), len(self._edges) - 1)
        slots = slice(first, last)
        tracks = [self._track(index, place, slots) for place in allowed]
        home = "" if jobs.home[index] == NOWHERE else names[jobs.home[index]][0]
        work = Work(
            self._edges[first : last + 1],
            tracks,
            int(jobs.work_ms[index]),
            float(jobs.kw[index]),
            release,
            due,
            jobs.pausing[index],
            home,
        )
        return work, allowed

    def _span(self, index: int) -> tuple[int, int]:
        """From when until when it may run, those before and after it left where they are."""
        jobs = self._jobs
        before = jobs.before[jobs.before[:, 1] == index, 0].tolist()
        after = jobs.before[jobs.before[:, 0] == index, 1].tolist()
        ends = [parts[-1][2] for each in before if (parts := self._parts(each))]
        starts = [parts[0][1] for each in after if (parts := self._parts(each))]
        release = max([int(jobs.release_ms[index]), *ends])
        if len(ends) < len(before):
            release = int(jobs.due_ms[index])  # it waits for one that has no place
        return release, min([int(jobs.due_ms[index]), *starts])

    def _track(self, index: int, place: int, slots: slice) -> Track:
        places, jobs, menu = self._problem.places, self._jobs, self._jobs.menu[index]
        power = float(self._problem.menus.power[menu, place])
        units = places.units[place, slots] - self._units[place, slots]
        free: Flags = units >= jobs.units[index] - 1e-9
        site = places.site[place]
        free &= self._site_kw[site, slots] + jobs.kw[index] * power <= places.site_kw[site, slots] * (
            1 + 1e-9
        )
        group = jobs.group[index]
        if group >= 0:
            free &= self._group[group, slots] < jobs.group_limit[group]
        return Track(
            places.names[place][0],
            places.names[place][1],
            places.cost[place, slots],
            free,
            float(self._problem.menus.speed[menu, place]),
            power,
            int(jobs.moved_ms[index]),
            float(jobs.moved_g[index]),
        )
