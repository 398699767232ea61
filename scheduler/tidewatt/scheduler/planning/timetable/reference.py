"""What a job would emit by the other signal if it started at home as soon as it could."""

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Problem
from tidewatt.scheduler.planning.timetable.reckoning import Meter, durations


def reference_second(problem: Problem) -> Amounts:
    """Grams by the other signal of each job's first start at home, before any other job is placed.

    inf where there is no home, no such start in time, or nothing is known of it: such a job is not bound.
    """
    places, jobs = problem.places, problem.jobs
    unbound: Amounts = np.full(len(jobs.ids), np.inf)
    if places.second is None:
        return unbound
    start = first_starts(problem)
    length = durations(problem, jobs.home)
    draw = jobs.kw * problem.menus.power[jobs.menu, jobs.home]
    other = draw * Meter(places.edges_ms, places.second).over(jobs.home, start, start + length)
    bound = (jobs.home != NOWHERE) & (start >= 0) & (start + length <= jobs.due_ms)
    found: Amounts = np.where(bound, other, unbound)
    return found


def first_starts(problem: Problem) -> Ints:
    """The first start at home with enough units all the time, before any other job is placed; -1: none."""
    places, jobs = problem.places, problem.jobs
    found = np.full(len(jobs.ids), -1, np.int64)
    length = durations(problem, jobs.home)
    for home in np.unique(jobs.home[jobs.home != NOWHERE]).tolist():
        for units in np.unique(jobs.units[jobs.home == home]).tolist():
            which = np.flatnonzero((jobs.home == home) & (jobs.units == units))
            free = (places.units[home] >= units) & np.isfinite(places.cost[home])
            found[which] = _first(free, places.edges_ms, jobs.release_ms[which], length[which])
    return found


def _first(free: Flags, edges_ms: Ints, release: Ints, length: Ints) -> Ints:
    """The first start from `release` on for which all slots touched are free; -1: none."""
    opens = np.flatnonzero(free & ~np.append(False, free[:-1]))
    closes = np.flatnonzero(free & ~np.append(free[1:], False)) + 1
    found = np.full(len(release), -1, np.int64)
    for since, until in zip(edges_ms[opens].tolist(), edges_ms[closes].tolist(), strict=True):
        start = np.maximum(release, since)
        fits = (found < 0) & (start + length <= until)
        found[fits] = start[fits]
    return found
