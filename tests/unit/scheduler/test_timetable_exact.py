"""The best timetable of a small queue, and making a timetable better."""

import os
from itertools import product

import numpy as np
import pytest

from tests.timetables.problems import HOUR_MS, T0_MS, Site, Task, drawn, problem, timetable
from tidewatt.scheduler.planning.timetable.exact import optimum
from tidewatt.scheduler.planning.timetable.improvement import improve, improvements
from tidewatt.scheduler.planning.timetable.model import silence
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import grams
from tidewatt.scheduler.planning.timetable.validator import faults

LONG_S = 30.0  # never reached: a limit for a broken solver


def nobody_placed(made: Problem) -> Timetable:
    return Timetable(np.full(len(made.jobs.ids), NOWHERE), np.zeros(len(made.jobs.ids), np.int64))


def enumerated(made: Problem) -> float:
    """The least grams of all timetables with whole hours that place every job; inf where there is none."""
    jobs, places = made.jobs, made.places
    hours = range(len(places.edges_ms) - 1)
    options = [
        [
            (place, T0_MS + hour * HOUR_MS)
            for place in range(len(places.names))
            for hour in hours
            if jobs.release_ms[job] <= T0_MS + hour * HOUR_MS <= jobs.due_ms[job] - jobs.work_ms[job]
        ]
        for job in range(len(jobs.ids))
    ]
    best = np.inf
    for choice in product(*options):
        table = Timetable(np.array([each[0] for each in choice]), np.array([each[1] for each in choice]))
        cost = float(grams(made, table).sum())
        if cost < best and not faults(made, table):
            best = cost
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("extras", [False, True])
def test_the_optimum_is_that_of_trying_everything(seed: int, extras: bool) -> None:
    made = drawn(seed, jobs=3, sites=2, slots=9, units=1, extras=extras)
    found, bound, proved = optimum(made, LONG_S)
    least = enumerated(made)
    assert proved
    assert found is not None
    if np.isinf(least):
        assert (found.place == NOWHERE).any()
    else:
        assert float(grams(made, found).sum()) == pytest.approx(least) == pytest.approx(bound)
        assert faults(made, found) == []


def test_runs_within_a_slot_are_kept_apart_too() -> None:
    cheap = [400.0, 10.0, 400.0, 400.0]
    made = problem([Site(cheap)], [Task(0.4, due=4), Task(0.5, due=4), Task(0.3, due=4)])
    found, _, proved = optimum(made, LONG_S)
    assert found is not None
    assert proved
    assert faults(made, found) == []


def test_as_many_jobs_as_possible_are_placed() -> None:
    made = problem([Site([100.0] * 4)], [Task(2, due=3), Task(2, due=4), Task(1, due=4)])
    found, _, proved = optimum(made, LONG_S)
    assert found is not None
    assert proved
    assert (found.place != NOWHERE).sum() == 2
    assert faults(made, found) == []


def test_a_known_timetable_only_makes_the_search_shorter() -> None:
    made = drawn(3, jobs=8)
    alone, bound, _ = optimum(made, LONG_S)
    assert alone is not None
    again, same_bound, proved = optimum(made, LONG_S, alone)
    assert again is not None
    assert proved
    assert float(grams(made, again).sum()) == pytest.approx(float(grams(made, alone).sum()))
    assert same_bound == pytest.approx(bound)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("extras", [False, True])
def test_improving_a_small_queue_ends_at_its_optimum(seed: int, extras: bool) -> None:
    made = drawn(seed, jobs=9, extras=extras)
    best, _, proved = optimum(made, LONG_S)
    assert best is not None
    assert proved
    better = improve(made, nobody_placed(made), LONG_S)
    assert (better.place != NOWHERE).sum() == (best.place != NOWHERE).sum()
    assert float(grams(made, better).sum()) == pytest.approx(float(grams(made, best).sum()))


@pytest.mark.parametrize("aligned", [True, False])
def test_each_improvement_is_cheaper_and_sound(aligned: bool) -> None:
    made = drawn(5, jobs=70 if aligned else 12, sites=3, slots=48, units=8, aligned=aligned)
    table = nobody_placed(made)
    missing, cost = (table.place == NOWHERE).sum(), float(grams(made, table).sum())
    told = 0
    for better in improvements(made, table, LONG_S):
        told += 1
        assert faults(made, better) == []
        assert (better.place == NOWHERE).sum() <= missing
        assert (better.place == NOWHERE).sum() < missing or float(grams(made, better).sum()) < cost
        missing, cost = (better.place == NOWHERE).sum(), float(grams(made, better).sum())
        if told == 2:
            break
    assert told


def test_nothing_is_changed_where_nothing_can_be_better() -> None:
    made = problem([Site([100.0] * 6)], [Task(2, due=6), Task(1, after=(0,), due=3)])
    table = timetable([(0, 0), (0, 2)])
    assert improve(made, table, LONG_S) is table
    empty = problem([Site([100.0] * 6)], [])
    nobody = timetable([])
    assert improve(empty, nobody, LONG_S) is nobody


def test_a_timetable_with_faults_is_left_as_it_is() -> None:
    made = problem([Site([100.0, 50.0] * 3)], [Task(2), Task(2)])
    table = timetable([(0, 0), (0, 1)])
    assert improve(made, table, LONG_S) is table


def test_followers_of_jobs_that_stay_are_kept_in_order() -> None:
    made = drawn(8, jobs=62, sites=2, slots=60, units=8, extras=True)
    table = nobody_placed(made)
    better = next(improvements(made, table, LONG_S))
    assert faults(made, better) == []


def test_what_the_solver_prints_reaches_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        os.write(1, b"solver's own words")
    os.write(1, b"ours")
    assert capfd.readouterr().out == "ours"
