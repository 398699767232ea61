"""The plan of a whole queue from files: made, checked by other code, and held against what is simpler."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Certificate,
    Flags,
    Ints,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.timetable.windows import Prices
from tidewatt.scheduler.queue_changing import at_peak, corrections, others_of, together
from tidewatt.scheduler.queue_problem import QueueProblem

WHOLE, POLISHED, AT_ONCE = "whole queue", "whole queue, polished", "first in, first out at home"
TIME, REGION, BOTH = "time only, at home", "one region for all time", "time and region"


@dataclass(frozen=True, slots=True)
class Lever:
    """What a part of the planner's freedom alone would give: grams of all jobs that find room by it."""

    name: str
    expected_g: float
    immediate_g: float  # of the same jobs
    unplaced: int

    @property
    def saving(self) -> float:
        """Share of the grams of starting at once."""
        return 1 - self.expected_g / self.immediate_g if self.immediate_g else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class QueueAnswer:
    """A valid timetable, the one of starting at once at home, and their grams by job.

    `troubles` says why a simpler `planner` had to be taken. `seconds` is how long the planner took.
    """

    made: QueueProblem
    timetable: Timetable
    immediate: Timetable
    expected_g: Amounts
    immediate_g: Amounts
    certificate: Certificate | None
    planner: str
    troubles: tuple[str, ...]
    levers: tuple[Lever, ...]
    seconds: float

    @property
    def placed(self) -> Flags:
        """Which jobs have a place."""
        found: Flags = self.timetable.place != NOWHERE
        return found


def answer(made: QueueProblem, *, seconds: float | None = None, levers: bool = False) -> QueueAnswer:
    """The best valid timetable found; with `seconds` the search goes on for about so long.

    With `levers` it is compared with what time alone and a region alone would give, unless there are jobs
    whose draw changes: these are placed first, and no part of the certificate.

    Raises:
        SchedulerError: not even starting in turn makes a valid timetable.
    """
    from tidewatt.scheduler.planning.timetable.immediate import immediate

    began = time.perf_counter()
    peak = at_peak(made.problem, made.table, made.policy)
    found = _beside_given(made, peak, seconds) if made.table.power_steps else _found(made.problem, seconds)
    took = time.perf_counter() - began
    at_once = immediate(peak)
    if found.timetable is None:
        found = _in_turn(peak, at_once, found.troubles)
    assert found.timetable is not None  # noqa: S101 - or it would have been refused
    expected_g, immediate_g = emitted(made, found.timetable), emitted(made, at_once)
    wanted = levers and found.certificate is not None and not made.table.power_steps
    return QueueAnswer(
        made=made,
        timetable=found.timetable,
        immediate=at_once,
        expected_g=expected_g,
        immediate_g=immediate_g,
        certificate=found.certificate,
        planner=found.planner,
        troubles=found.troubles,
        levers=_levers(made, immediate_g, expected_g, seconds) if wanted else (),
        seconds=took,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a planner made; no timetable where it failed, or its timetable did not stand up to the check."""

    timetable: Timetable | None
    certificate: Certificate | None
    planner: str
    troubles: tuple[str, ...] = ()
    prices: Prices | None = None


def _beside_given(made: QueueProblem, peak: Problem, seconds: float | None) -> _Found:
    """What the whole-queue planner makes of the jobs that draw one power, beside the others as given."""
    from tidewatt.scheduler.planning.timetable.certificate import certify
    from tidewatt.scheduler.planning.timetable.validator import faults

    table = made.table
    problem, loose, kept = others_of(made.problem, peak, made.given, list(table.power_steps))
    nobody = Timetable(np.empty(0, np.int64), np.empty(0, np.int64))
    found = _found(problem, seconds) if kept.size else _Found(nobody, None, WHOLE)
    if found.timetable is None:
        return found
    timetable = together(len(table), found.timetable, kept, made.given)
    troubles = tuple(faults(peak, timetable))
    if troubles:
        return _Found(None, None, "", troubles)
    # What the given jobs occupy is left out of the bound: it holds wherever they are.
    proof = certify(loose, found.timetable, found.prices) if kept.size else None
    return _Found(timetable, proof, found.planner)


def _found(problem: Problem, seconds: float | None) -> _Found:
    """What the whole-queue planner makes, made better for what is left of the time."""
    from tidewatt.scheduler.planning.timetable.certificate import certify
    from tidewatt.scheduler.planning.timetable.improvement import improve
    from tidewatt.scheduler.planning.timetable.solve import solve
    from tidewatt.scheduler.planning.timetable.validator import faults

    until = time.monotonic() + (seconds or 0.0)
    try:
        solution = solve(problem, seconds=None if seconds is None else seconds / 2)
    except Exception as error:  # whatever it is: a queue can still be served in turn
        return _Found(None, None, "", (f"the planner failed, {type(error).__name__}: {error}",))
    troubles = tuple(faults(problem, solution.timetable, solution.certificate))
    if troubles:
        return _Found(None, None, "", troubles)
    left = until - time.monotonic()
    better = improve(problem, solution.timetable, left) if left > 0 else solution.timetable
    if better is solution.timetable:
        return _Found(better, solution.certificate, WHOLE, prices=solution.prices)
    certificate = certify(problem, better, solution.prices)
    bound_g = max(certificate.bound_g, solution.certificate.bound_g)
    return _Found(better, replace(certificate, bound_g=bound_g), POLISHED, prices=solution.prices)


def _in_turn(problem: Problem, at_once: Timetable, troubles: tuple[str, ...]) -> _Found:
    """Each job in its turn at home; who would be late has no place."""
    from tidewatt.scheduler.planning.timetable.reckoning import durations
    from tidewatt.scheduler.planning.timetable.validator import faults

    end_ms = at_once.start_ms + durations(problem, at_once.place)
    in_time = np.where(end_ms <= problem.jobs.due_ms, at_once.place, NOWHERE)
    timetable = replace(at_once, place=in_time)
    wrong = faults(problem, timetable)
    if wrong:
        raise SchedulerError(f"no valid plan was found: {troubles[0]}; {wrong[0]}. Please report it")
    return _Found(timetable, None, AT_ONCE, troubles)


def emitted(made: QueueProblem, timetable: Timetable, rate: Amounts | None = None) -> Amounts:
    """Grams of each job, the weights of money and delay left out; NaN for one without a place.

    By the deciding signal with what moving data emits, else by `rate`, (P, T) grams per kWh of IT draw,
    without it; inf where that is not known.
    """
    from tidewatt.scheduler.planning.timetable.reckoning import grams

    problem = made.problem
    nothing = np.zeros(len(problem.jobs.ids))
    moved_g = made.moved_g if rate is None else nothing
    plain = replace(
        problem,
        places=replace(problem.places, cost=made.grams if rate is None else rate),
        jobs=replace(problem.jobs, delay_g_per_h=nothing, moved_g=moved_g),
    )
    found: Amounts = np.where(timetable.place == NOWHERE, np.nan, grams(plain, timetable))
    if made.table.power_steps:
        found = found + corrections(problem, made.table, timetable, plain.places.cost)
    return found


def _levers(
    made: QueueProblem, immediate_g: Amounts, expected_g: Amounts, seconds: float | None
) -> tuple[Lever, ...]:
    """Time alone, one region for all time, and both, each under the same capacity."""
    from tidewatt.scheduler.planning.timetable.solve import solve

    def solved(problem: Problem) -> Timetable:
        return solve(problem, seconds=seconds).timetable

    timely = solved(_only(made, _home_region))
    regional = solved(_only(made, lambda own: _region_of_place(own, _averaged(own, solved).place)))
    return (
        _lever(TIME, immediate_g, emitted(made, timely)),
        _lever(REGION, immediate_g, emitted(made, regional)),
        _lever(BOTH, immediate_g, expected_g),
    )


def _lever(name: str, immediate_g: Amounts, expected_g: Amounts) -> Lever:
    both = ~np.isnan(expected_g) & ~np.isnan(immediate_g)
    unplaced = int(np.isnan(expected_g).sum())
    return Lever(name, float(expected_g[both].sum()), float(immediate_g[both].sum()), unplaced)


def _averaged(made: QueueProblem, solved: Callable[[Problem], Timetable]) -> Timetable:
    """Where jobs would run if each region always had its mean intensity."""
    cost = made.problem.places.cost
    known = np.isfinite(cost)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, cost, 0.0).sum(axis=1) / count
    flat = np.where(known, mean[:, None], np.inf)
    return solved(replace(made.problem, places=replace(made.problem.places, cost=flat, second=None)))


def _regions(made: QueueProblem) -> Ints:
    """The number of the region of each place."""
    names = [region for region, _ in made.problem.places.names]
    at = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([at[name] for name in names], np.int64)


def _home_region(made: QueueProblem) -> Ints:
    return _region_of_place(made, made.problem.jobs.home)


def _region_of_place(made: QueueProblem, place: Ints) -> Ints:
    found: Ints = np.where(place == NOWHERE, NOWHERE, _regions(made)[place])
    return found


def _only(made: QueueProblem, region_of: Callable[[QueueProblem], Ints]) -> Problem:
    """The problem with each job bound to one region, where that can hold it."""
    problem, regions = made.problem, _regions(made)
    pairs = np.stack((problem.jobs.menu, region_of(made)), axis=1)
    distinct, menu = np.unique(pairs, axis=0, return_inverse=True)
    rows = distinct[:, 0]
    allowed = problem.menus.allowed[rows]
    bound = allowed & (distinct[:, 1:] == regions[None, :])
    bound = np.where(bound.any(axis=1, keepdims=True), bound, allowed)
    menus = replace(
        problem.menus, allowed=bound, speed=problem.menus.speed[rows], power=problem.menus.power[rows]
    )
    return replace(problem, menus=menus, jobs=replace(problem.jobs, menu=menu.reshape(-1).astype(np.int64)))
