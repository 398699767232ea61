"""What a timetable emits, reckoned anew from the problem alone: nothing here is shared with the planner."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Problem, Timetable

MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The stretches in which jobs occupy units: one a job, several where it pauses. Ends rounded up to ms."""

    job: Ints
    place: Ints
    start_ms: Ints
    end_ms: Ints


class Meter:
    """Integrals of a piecewise-constant `(P, T)` rate over the slots of `edges_ms`."""

    def __init__(self, edges_ms: Ints, rate: Amounts) -> None:
        known = np.isfinite(rate)
        width = np.diff(edges_ms)
        self._edges_ms = edges_ms
        self._rate = np.where(known, rate, 0.0)
        self._until = _from_zero(self._rate * width)
        self._dark = ~known
        self._dark_until = _from_zero(self._dark * width)

    def over(self, place: Ints, start_ms: Ints, end_ms: Ints) -> Amounts:
        """Rate times hours over each `[start, end)`; inf where part of it is not known."""
        total = self._at(place, end_ms) - self._at(place, start_ms)
        grams: Amounts = total / MS_PER_HOUR
        grams[self.unknown(place, start_ms, end_ms)] = np.inf
        return grams

    def unknown(self, place: Ints, start_ms: Ints, end_ms: Ints) -> Flags:
        """Where part of `[start, end)` has no rate, or lies outside of all slots."""
        outside = (start_ms < self._edges_ms[0]) | (end_ms > self._edges_ms[-1])
        dark = self._dark_at(place, end_ms) - self._dark_at(place, start_ms)
        found: Flags = outside | (dark > 0)
        return found

    def _at(self, place: Ints, time_ms: Ints) -> Amounts:
        slot, rest = self._slot(time_ms)
        amount: Amounts = self._until[place, slot] + rest * self._rate[place, slot]
        return amount

    def _dark_at(self, place: Ints, time_ms: Ints) -> Amounts:
        slot, rest = self._slot(time_ms)
        amount: Amounts = self._dark_until[place, slot] + rest * self._dark[place, slot]
        return amount

    def _slot(self, time_ms: Ints) -> tuple[Ints, Ints]:
        inside = np.clip(time_ms, self._edges_ms[0], self._edges_ms[-1])
        slot = np.minimum(np.searchsorted(self._edges_ms, inside, "right"), len(self._edges_ms) - 1) - 1
        return slot, inside - self._edges_ms[slot]


def durations(problem: Problem, place: Ints) -> Ints:
    """How long each job takes at its place in one piece, in milliseconds rounded up; 0 for one at NOWHERE."""
    jobs = problem.jobs
    speed = problem.menus.speed[jobs.menu, place]
    exact = np.where(place == NOWHERE, 0.0, jobs.work_ms / speed)
    whole: Ints = np.ceil(exact - 1e-6).astype(np.int64)
    return whole


def runs(problem: Problem, timetable: Timetable) -> Runs:
    """All stretches of a timetable, jobs without a place left out."""
    whole = timetable.place != NOWHERE
    if timetable.stints:
        whole[np.fromiter(timetable.stints, np.int64)] = False
    job = np.flatnonzero(whole)
    place, start = timetable.place[job], timetable.start_ms[job]
    end = start + durations(problem, timetable.place)[job]
    parts = [
        (index, *stint)
        for index, stints in timetable.stints.items()
        if timetable.place[index] != NOWHERE
        for stint in stints
    ]
    more = np.array(parts, np.int64).reshape(-1, 4)
    columns = (job, place, start, end)
    joined = [np.concatenate((ours, more[:, i])) for i, ours in enumerate(columns)]
    return Runs(*joined)


def grams(problem: Problem, timetable: Timetable) -> Amounts:
    """What each job of a timetable costs, in grams; 0 for one without a place, inf where it is not known."""
    from tidewatt.scheduler.planning.timetable.interrupted import stints_grams

    jobs = problem.jobs
    placed = timetable.place != NOWHERE
    place, start = timetable.place, timetable.start_ms
    end = start + durations(problem, place)
    meter = Meter(problem.places.edges_ms, problem.places.cost)
    draw = jobs.kw * problem.menus.power[jobs.menu, place]
    cost = draw * meter.over(place, start, end)
    cost += np.where(is_away(problem, place), jobs.moved_g, 0.0)
    for index in timetable.stints:
        cost[index] = stints_grams(problem, index, timetable.stints[index])
    waited = (start - jobs.release_ms) / MS_PER_HOUR
    cost += np.where(jobs.delay_g_per_h > 0, jobs.delay_g_per_h * waited, 0.0)
    found: Amounts = np.where(placed, cost, 0.0)
    return found


def is_away(problem: Problem, place: Ints) -> Flags:
    """Which jobs run in another region than the one that they are at home in."""
    names = [region for region, _ in problem.places.names]
    numbers = {name: index for index, name in enumerate(dict.fromkeys(names))}
    region = np.array([numbers[name] for name in names], np.int64)
    home = problem.jobs.home
    away: Flags = (home != NOWHERE) & (place != NOWHERE) & (region[place] != region[home])
    return away


def earliest_ms(problem: Problem, place: Ints) -> Ints:
    """The first moment at which each job may start at its place, its data moved."""
    jobs = problem.jobs
    moving = np.where(is_away(problem, place), jobs.moved_ms, 0)
    first: Ints = jobs.release_ms + moving
    return first


def _from_zero(amounts: Amounts) -> Amounts:
    """Cumulative sums along the slots, one column more than the slots, from zero."""
    total: Amounts = np.zeros((amounts.shape[0], amounts.shape[1] + 1))
    np.cumsum(amounts, axis=1, out=total[:, 1:])
    return total
