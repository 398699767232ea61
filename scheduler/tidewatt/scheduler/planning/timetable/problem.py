"""What a timetable is made from, and a timetable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.plan import Pausing

Ints = NDArray[np.int64]
Amounts = NDArray[np.float64]
Flags = NDArray[np.bool_]
NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where jobs may run: `P` pools of equal units (GPUs; CPUs for jobs without GPUs) over `T` slots.

    The slots `[edges_ms[t], edges_ms[t+1])` are equal but for the first, which may be shorter.
    """

    names: tuple[tuple[str, str], ...]  # (P,) region and pool
    edges_ms: Ints  # (T+1,) Unix milliseconds, ascending
    cost: Amounts  # (P, T) grams (or their equivalents) per kWh of IT draw, PUE included; inf: not known
    units: Ints | Amounts  # (P, T) free units, bookings and closed hours taken off; for bounds also means
    node_units: Ints  # (P,) units on one node; 0: all on one node
    site: Ints  # (P,) which power limit holds here
    site_kw: Amounts  # (S, T) IT power left for jobs; inf: no limit
    second: Amounts | None = None  # (P, T) grams per kWh by the other signal, where both may not get worse


@dataclass(frozen=True, slots=True, eq=False)
class Menus:
    """Which places suit a kind of job, and how it fares there; `M` menus, shared by many jobs."""

    allowed: Flags  # (M, P)
    speed: Amounts  # (M, P) the work takes `work_ms / speed`
    power: Amounts  # (M, P) the draw is `kw * power`


@dataclass(frozen=True, slots=True, eq=False)
class Jobs:
    """`n` waiting jobs. Times in Unix milliseconds.

    Of `before` each pair (a, b) holds two indices: b starts when a has ended. At most
    `group_limit[group[j]]` jobs of a group run at a time; group -1 is none. `pausing` holds the jobs, by
    index, that may be interrupted.
    """

    ids: Ints  # (n,)
    release_ms: Ints  # (n,) may not start before
    due_ms: Ints  # (n,) has to end by
    work_ms: Ints  # (n,) at speed 1
    units: Ints  # (n,)
    kw: Amounts  # (n,) expected draw of the whole job at power 1
    menu: Ints  # (n,)
    home: Ints  # (n,) the place to compare with, NOWHERE where it has none
    priority: Ints  # (n,) higher ones are placed first
    moved_g: Amounts  # (n,) what running in another region than home's costs besides: transfer
    moved_ms: Ints  # (n,) and how long the transfer takes, from the release on
    delay_g_per_h: Amounts  # (n,) grams per hour of starting later than released
    before: Ints  # (E, 2)
    group: Ints  # (n,)
    group_limit: Ints  # (G,)
    pausing: Mapping[int, Pausing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A whole queue."""

    places: Places
    menus: Menus
    jobs: Jobs


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """Where and when each job runs; of one with stints the last place and the first start."""

    place: Ints  # (n,) NOWHERE: no room was found
    start_ms: Ints  # (n,)
    stints: Mapping[int, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)  # place, start, end


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good a timetable is, proved. Grams over all jobs that were placed within their own hours.

    Jobs whose draw changes while they run are not in it.

    No timetable that keeps the deadlines and capacities, whatever it does, emits less than `bound_g`.
    `immediate_g` is what first in, first out at home would emit (elsewhere where home can never hold a job).
    """

    cost_g: float
    bound_g: float
    immediate_g: float
    jobs: int
    unplaced: int

    @property
    def gap(self) -> float | None:
        """How far the cost can at most be from the best possible, as a share of the bound.

        0 where the two are the same, else None where the bound is not above 0: there is no share of that.
        """
        if self.cost_g <= self.bound_g:
            return 0.0
        return (self.cost_g - self.bound_g) / self.bound_g if self.bound_g > 0 else None

    @property
    def captured(self) -> float | None:
        """The share of the provably possible saving that is had; None where nothing could be saved."""
        possible = self.immediate_g - self.bound_g
        return (self.immediate_g - self.cost_g) / possible if possible > 1e-9 * self.immediate_g else None
