"""What runs share: units of places, power of sites, turns in groups; and how much of it is left over time."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import Amounts, Flags, Ints, Problem
from tidewatt.scheduler.planning.timetable.reckoning import Runs


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """Amounts of resources that runs hold, several rows a run: `run` is the row's run."""

    run: Ints
    resource: Ints
    amount: Amounts


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What is left of one resource: `left[i]` over `[times_ms[i], times_ms[i+1])`."""

    times_ms: Ints
    left: Amounts

    def least(self, start_ms: Ints, end_ms: Ints) -> Amounts:
        """The least that is left over each `[start, end)`."""
        first = np.searchsorted(self.times_ms, start_ms, "right") - 1
        last = np.searchsorted(self.times_ms, end_ms, "left")
        padded = np.append(self.left, np.inf)
        pairs = np.column_stack((first, last)).ravel()
        found: Amounts = np.minimum.reduceat(padded, np.minimum(pairs, len(self.left)))[::2]
        return found

    def stretches(self, amount: float) -> Ints:
        """Starts and ends, `(k, 2)`, of the stretches in which at least `amount` is left."""
        enough: Flags = self.left >= amount - 1e-9
        opens = np.flatnonzero(enough & ~np.append(False, enough[:-1]))
        closes = np.flatnonzero(enough & ~np.append(enough[1:], False)) + 1
        found: Ints = np.column_stack((self.times_ms[opens], self.times_ms[closes]))
        return found


class Resources:
    """All resources of a problem, numbered: places first, then power limits, then groups."""

    def __init__(self, problem: Problem) -> None:
        places, jobs = problem.places, problem.jobs
        self._problem = problem
        self._sites_at = len(places.names)
        self._groups_at = self._sites_at + len(places.site_kw)
        slots = len(places.edges_ms) - 1
        groups = np.repeat(jobs.group_limit.astype(float)[:, None], slots, axis=1)
        self.limit: Amounts = np.vstack((np.maximum(places.units, 0).astype(float), places.site_kw, groups))
        self._limited: Flags = np.any(np.isfinite(self.limit), axis=1)

    def uses(self, job: Ints, place: Ints) -> Uses:
        """What runs of these jobs at these places hold of all that is limited."""
        jobs, menus = self._problem.jobs, self._problem.menus
        draw = jobs.kw[job] * menus.power[jobs.menu[job], place]
        group = jobs.group[job]
        run = np.arange(len(job))
        site = self._problem.places.site[place]
        resource = np.concatenate((place, self._sites_at + site, self._groups_at + group))
        amount = np.concatenate((jobs.units[job].astype(float), draw, np.ones(len(job))))
        real = np.concatenate((np.ones(2 * len(job), np.bool_), group >= 0))
        real[real] &= self._limited[resource[real]]
        return Uses(np.tile(run, 3)[real], resource[real], amount[real])

    def levels(self, held: Runs) -> dict[int, Level]:
        """What `held` leaves of each limited resource, over the slots."""
        uses = self.uses(held.job, held.place)
        edges = self._problem.places.edges_ms
        order = np.argsort(uses.resource, kind="stable")
        numbers, firsts = np.unique(uses.resource[order], return_index=True)
        parts = dict(zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True)) if len(order) else {}
        nothing = np.empty(0, np.int64)
        return {
            resource: _level(edges, self.limit[resource], held, uses, parts.get(resource, nothing))
            for resource in np.flatnonzero(self._limited).tolist()
        }


def _level(edges_ms: Ints, limit: Amounts, held: Runs, uses: Uses, rows: Ints) -> Level:
    starts, ends = held.start_ms[uses.run[rows]], held.end_ms[uses.run[rows]]
    times = np.unique(np.concatenate((edges_ms, starts, ends)))
    times = times[(times >= edges_ms[0]) & (times <= edges_ms[-1])]
    change = np.zeros(len(times))
    np.add.at(change, np.clip(np.searchsorted(times, starts), 0, len(times) - 1), -uses.amount[rows])
    np.add.at(change, np.clip(np.searchsorted(times, ends), 0, len(times) - 1), uses.amount[rows])
    slot = np.searchsorted(edges_ms, times[:-1], "right") - 1
    return Level(times, limit[slot] + np.cumsum(change)[:-1])
