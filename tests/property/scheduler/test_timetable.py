"""Whole queues: every timetable is valid, and no bound is ever above what a valid timetable costs."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timetables.problems import drawn
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.timetable.bound import least_g
from tidewatt.scheduler.planning.timetable.certificate import Tariff, bound_g, certify
from tidewatt.scheduler.planning.timetable.exact import optimum
from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.immediate import immediate
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Problem
from tidewatt.scheduler.planning.timetable.reckoning import grams
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.planning.timetable.windows import Prices

seeds = st.integers(0, 100_000)


def queue(seed: int) -> Problem:
    """A contended queue of up to 13 jobs with some of everything that can bind a job."""
    rng = np.random.default_rng(seed)
    jobs, sites = int(rng.integers(1, 14)), int(rng.integers(1, 4))
    units, extras = int(rng.choice([1, 2, 4])), bool(rng.random() < 0.5)
    made = drawn(seed, jobs, sites, units=units, aligned=bool(rng.random() < 0.3), extras=extras)
    return _with_wishes(_with_holes(made, rng), rng)


def _with_holes(made: Problem, rng: np.random.Generator) -> Problem:
    """Bookings, unknown costs, nodes, a second signal, a first slot that has begun."""
    places = made.places
    shape = places.cost.shape
    if rng.random() < 0.4:
        places = replace(places, cost=np.where(rng.random(shape) < 0.08, np.inf, places.cost))
    if rng.random() < 0.4:
        places = replace(places, units=np.maximum(places.units - (rng.random(shape) < 0.2), 0))
    if rng.random() < 0.3:
        places = replace(places, node_units=rng.choice([0, 1, 2], shape[0]).astype(np.int64))
    if rng.random() < 0.3:
        second = np.where(rng.random(shape) < 0.05, np.inf, rng.uniform(100, 500, shape))
        places = replace(places, second=second)
    if rng.random() < 0.4:
        edges = places.edges_ms.copy()
        edges[0] += int(rng.integers(1, 59)) * 60_000
        places = replace(places, edges_ms=edges)
    return replace(made, places=places)


def _with_wishes(made: Problem, rng: np.random.Generator) -> Problem:
    """Kinds that are faster or hungrier, weights of delay, priorities, no home, a job with pauses."""
    menus, jobs, places = made.menus, made.jobs, made.places
    n, count = len(jobs.ids), len(places.names)
    if rng.random() < 0.3:
        speed, power = rng.choice([0.5, 1.0, 2.0], (1, count)), rng.choice([0.8, 1.0, 1.7], (1, count))
        menus = replace(menus, speed=speed, power=power)
    if rng.random() < 0.3:
        jobs = replace(jobs, delay_g_per_h=rng.uniform(0, 20, n))
    if rng.random() < 0.3:
        jobs = replace(jobs, priority=rng.integers(0, 2, n))
    if rng.random() < 0.2:
        jobs = replace(jobs, home=np.where(rng.random(n) < 0.3, NOWHERE, jobs.home))
    if rng.random() < 0.2 and places.second is None and not places.node_units.any():
        breaks = Pausing(timedelta(minutes=5), timedelta(minutes=5), moves=bool(rng.random() < 0.5))
        jobs = replace(jobs, pausing={0: breaks})
    return Problem(places, menus, jobs)


def any_prices(made: Problem, seed: int) -> Prices:
    rng = np.random.default_rng(seed)
    unit = rng.exponential(100, made.places.cost.shape) * (rng.random(made.places.cost.shape) < 0.5)
    return Prices(unit, rng.exponential(50, made.places.site_kw.shape) * np.isfinite(made.places.site_kw))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_timetable_keeps_everything_that_was_asked_and_its_certificate_adds_up(seed: int) -> None:
    made = queue(seed)
    solution = solve(made, seed=seed)
    assert faults(made, solution.timetable, solution.certificate) == []


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_no_prices_prove_more_than_a_valid_timetable_costs(seed: int) -> None:
    made = queue(seed)
    timetable = solve(made, seed=seed).timetable
    placed = np.flatnonzero(timetable.place != NOWHERE)
    cost = float(grams(made, timetable).sum())
    bound = bound_g(ground_of(made), any_prices(made, seed), placed)
    assert bound <= cost * (1 + 1e-9) + 1e-9


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_no_bound_is_above_the_optimum_of_an_integer_programme(seed: int) -> None:
    made = drawn(seed, jobs=5, sites=2, slots=14, extras=seed % 2 == 0)
    best, _, proved = optimum(made, 20.0)
    assert proved
    if best is None or (best.place == NOWHERE).any():
        return  # somebody has no place: a bound of all jobs says nothing about the others
    ground, everybody = ground_of(made), np.arange(5)
    cost = float(grams(made, best).sum())
    assert certify(made, best, any_prices(made, seed)).bound_g <= cost * (1 + 1e-9)
    for prices in (any_prices(made, seed), solve(made).prices):
        assert bound_g(ground, prices, everybody) <= cost * (1 + 1e-9)
        least = float(least_g(ground, prices, everybody).sum())
        assert least <= float(Tariff(ground, prices).cheapest(range(5)).value.sum()) * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_bounds_by_look_ups_are_never_above_the_exact_ones_and_near_them(seed: int) -> None:
    made = queue(seed)
    ground, prices, jobs = ground_of(made), any_prices(made, seed), np.arange(len(made.jobs.ids))
    exact, quick = Tariff(ground, prices).cheapest(jobs.tolist()).value, least_g(ground, prices, jobs)
    assert (quick <= exact * (1 + 1e-9) + 1e-9).all()
    plain = (made.jobs.moved_ms == 0) & (made.jobs.delay_g_per_h == 0) & (made.jobs.work_ms >= 3_600_000)
    near = np.isfinite(exact) & plain & (made.menus.speed == 1).all()
    assert (quick[near] >= 0.9 * exact[near]).all()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_first_in_first_out_is_valid_but_for_deadlines(seed: int) -> None:
    made = queue(seed)
    made = replace(made, places=replace(made.places, second=None))
    timetable = immediate(made)
    patient = replace(
        made, jobs=replace(made.jobs, due_ms=np.full(len(made.jobs.ids), made.places.edges_ms[-1]))
    )
    assert faults(patient, timetable) == []


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_same_problem_and_seed_give_the_same_timetable(seed: int) -> None:
    made = queue(seed)
    one, other = solve(made, seed=3).timetable, solve(made, seed=3).timetable
    assert (one.place == other.place).all()
    assert (one.start_ms == other.start_ms).all()


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_certificate_of_any_timetable_counts_its_jobs_and_holds(seed: int) -> None:
    made = queue(seed)
    timetable = solve(made).timetable
    certificate = certify(made, timetable)
    assert certificate.unplaced == int((timetable.place == NOWHERE).sum())
    assert certificate.bound_g <= certificate.cost_g * (1 + 1e-9) + 1e-9


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_certificate_proves_no_less_than_what_jobs_cost_without_any_competition(seed: int) -> None:
    made = queue(seed)
    if made.jobs.pausing:
        return
    ground, solution = ground_of(made), solve(made)
    placed = np.flatnonzero(solution.timetable.place != NOWHERE)
    nothing = Prices(np.zeros(made.places.cost.shape), np.zeros(made.places.site_kw.shape))
    alone = Tariff(ground, nothing).cheapest(placed.tolist()).value.sum()
    assert solution.certificate.bound_g >= alone * (1 - 1e-9)
    assert bound_g(ground, any_prices(made, seed), placed) >= alone * (1 - 1e-9)
