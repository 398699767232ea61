"""The independent check of timetables."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timetables.problems import T0_MS, Limits, Site, Task, problem, timetable
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.timetable.packing import fits_on_nodes, taken_from
from tidewatt.scheduler.planning.timetable.problem import Certificate, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import grams
from tidewatt.scheduler.planning.timetable.validator import faults

FLAT = [100.0] * 24
ONE = problem([Site(FLAT)], [Task(2, due=10)])


def test_a_sound_timetable_has_no_faults() -> None:
    two = problem([Site(FLAT, units=2)], [Task(2), Task(3, units=2)])
    assert faults(two, timetable([(0, 0), (0, 2)])) == []


def test_a_job_without_a_place_is_no_fault() -> None:
    assert faults(ONE, timetable([None])) == []


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (9.0, "end after their deadline"),
        (-1.0, "start before they may"),
        (23.0, "end after their deadline"),
    ],
)
def test_a_job_out_of_its_time_is_told(start: float, told: str) -> None:
    assert told in faults(ONE, timetable([(0, start)]))[0]


def test_jobs_of_the_wrong_shape_are_told_and_nothing_else() -> None:
    (fault,) = faults(ONE, Timetable(np.array([0, 0]), np.array([T0_MS, T0_MS])))
    assert "not one integer for each of 1 jobs" in fault


def test_a_place_that_does_not_exist_is_told() -> None:
    assert "does not exist" in faults(ONE, timetable([(7, 0)]))[0]


def test_a_place_that_does_not_suit_is_told() -> None:
    unsuited = replace(ONE, menus=replace(ONE.menus, allowed=np.array([[False]])))
    assert "does not suit" in faults(unsuited, timetable([(0, 0)]))[0]


def test_units_are_counted_at_every_instant() -> None:
    two = problem([Site(FLAT)], [Task(1.5), Task(1)])
    assert faults(two, timetable([(0, 0), (0, 1.5)])) == []
    (fault,) = faults(two, timetable([(0, 0), (0, 1.4)]))
    assert "r0 gpu: 2 units are used and 1 are free at 2026-03-01 01:24 UTC" in fault


def test_units_taken_off_in_the_middle_of_a_run_are_seen() -> None:
    closed = problem([Site(FLAT, units=[1] * 3 + [0] * 2 + [1] * 19)], [Task(2)])
    assert faults(closed, timetable([(0, 1)])) == []
    assert "are free at 2026-03-01 03:00" in faults(closed, timetable([(0, 1.5)]))[0]


def test_hours_of_unknown_cost_are_no_place_to_run() -> None:
    dark = problem([Site([100.0] * 3 + [np.inf] + [100.0] * 20)], [Task(2)])
    assert faults(dark, timetable([(0, 1)])) == []
    assert "cost is not known" in faults(dark, timetable([(0, 1.5)]))[0]


def test_a_cost_that_is_not_a_number_is_told() -> None:
    broken = problem([Site([100.0, np.nan] + [100.0] * 22)], [Task(2)])
    assert "cost is not known" in faults(broken, timetable([(0, 0)]))[0]


def test_the_power_of_a_site_is_never_exceeded() -> None:
    limited = problem([Site(FLAT, units=4, limit_kw=1.5)], [Task(kw=1.0), Task(kw=0.5), Task(kw=0.1)])
    assert faults(limited, timetable([(0, 0), (0, 0), (0, 1)])) == []
    assert "1.600 kW are drawn and 1.500 kW are left" in faults(limited, timetable([(0, 0)] * 3))[0]


def test_a_follower_starts_when_its_predecessor_has_ended() -> None:
    chain = problem([Site(FLAT, units=2)], [Task(2), Task(1, after=(0,))])
    assert faults(chain, timetable([(0, 0), (0, 2)])) == []
    for bad in ([(0, 0), (0, 1)], [None, (0, 1)]):
        assert "wait for has ended" in faults(chain, timetable(bad))[0]


def test_an_array_runs_as_many_at_a_time_as_allowed_across_places() -> None:
    tasks = [Task(2, group=0) for _ in range(3)]
    array = problem([Site(FLAT), Site(FLAT, units=2)], tasks, Limits((2,)))
    assert faults(array, timetable([(0, 0), (1, 1), (1, 2)])) == []
    assert (
        "at most 2 jobs may run at a time, but 3 do"
        in faults(array, timetable([(0, 0), (1, 1), (1, 1.5)]))[0]
    )


def test_data_have_to_arrive_before_the_job_starts_elsewhere() -> None:
    far = problem([Site(FLAT), Site(FLAT)], [Task(1, moved_h=2.0, moved_g=7.0)])
    assert "before they may" in faults(far, timetable([(1, 1)]))[0]
    there = timetable([(1, 2)])
    assert faults(far, there) == []
    assert grams(far, there).tolist() == [107.0]


def test_other_kinds_of_gpu_take_their_own_time_and_power() -> None:
    quick = problem([Site(FLAT, speed=2.0, power=3.0)], [Task(2, due=1, delay_g_per_h=0.0)])
    assert faults(quick, timetable([(0, 0)])) == []
    assert grams(quick, timetable([(0, 0)])).tolist() == [300.0]


def test_runs_of_several_units_have_to_fit_on_nodes() -> None:
    tasks = [Task(4), Task(2), Task(4), Task(1, units=2, release=2)]
    nodes = problem([Site(FLAT, units=4, node_units=2)], tasks)
    assert faults(nodes, timetable([(0, 0), (0, 0), (0, 0), (0, 2)])) == []  # the long ones share a node
    crowded = problem(
        [Site(FLAT, units=4, node_units=2)], [Task(2), Task(2), Task(2), Task(2), Task(2, units=3)]
    )
    assert "no way was found" in faults(crowded, timetable([(0, 0)] * 2 + [None] * 2 + [(0, 4)]))[0]


def test_node_packing_tries_more_than_one_rule() -> None:
    # each of the first two, put with the fullest node, would split the room that the pair needs later
    runs = [(0, 4, 1), (0, 2, 1), (0, 4, 1), (0, 2, 1), (2, 4, 2)]
    assert fits_on_nodes(runs, [], node_units=2, nodes=2)
    assert not fits_on_nodes([*runs, (1, 3, 1)], [], node_units=2, nodes=2)


def test_what_is_taken_off_is_a_few_long_stretches() -> None:
    edges = np.arange(6) * 10
    assert sorted(taken_from(edges, np.array([4, 2, 1, 3, 4]))) == [(10, 30, 1), (10, 40, 1), (20, 30, 1)]


def test_jobs_that_get_worse_by_the_other_signal_are_told() -> None:
    cost, second = [300.0, 300, 100, 100], [50.0, 60, 70, 40]
    both = problem([Site(cost, second=second)], [Task(1, due=4)])
    assert faults(both, timetable([(0, 3)])) == []
    assert "worse by the other signal" in faults(both, timetable([(0, 2)]))[0]
    busy = problem([Site(cost, units=[0, 1, 1, 1], second=second)], [Task(1, due=4)])
    assert faults(busy, timetable([(0, 1)])) == []  # it could not start before
    unknown = problem([Site(cost, second=[np.inf] * 4)], [Task(1, due=4)])
    assert faults(unknown, timetable([(0, 2)])) == []


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (Certificate(200.0, 150.0, 210.0, 1, 0), None),
        (Certificate(199.0, 150.0, 210.0, 1, 0), "claims 199 g, but it is 200 g"),
        (Certificate(200.0, 201.0, 210.0, 1, 0), "above what is emitted"),
        (Certificate(200.0, 150.0, 210.0, 1, 1), "claims 1 jobs without a place"),
        (Certificate(200.0, float("nan"), 210.0, 1, 0), "nan"),
    ],
)
def test_the_sums_of_a_certificate_are_checked(claim: Certificate, told: str | None) -> None:
    found = faults(ONE, timetable([(0, 0)]), claim)
    assert (not found) if told is None else told in found[0]


PAUSING = Pausing(
    checkpoint=timedelta(minutes=30), restart=timedelta(minutes=30), restart_wh=100.0, suspended_w=10.0
)


@pytest.mark.parametrize(
    ("stints", "told"),
    [
        ([(0, 0, 1.5), (0, 3, 4.5)], None),
        ([(0, 0, 1.5), (0, 3, 4.0)], "75.0% of its work"),
        ([(0, 0, 0.4), (0, 3, 5.5)], "shorter than its restart and its checkpoint"),
        ([(0, 0, 1.5), (1, 3, 4.5)], "moves between places"),
        ([(0, 0, 1.5), (0, 1, 2.5)], "not one after the other"),
        ([(0, 0, 1.5), (0, 3, 4.5), (0, 6, 7)], "pauses 2 times"),
    ],
)
def test_stints_keep_the_terms_of_a_pausing_job(
    stints: list[tuple[int, float, float]], told: str | None
) -> None:
    terms = replace(PAUSING, max_pauses=1)
    pausing = problem([Site(FLAT), Site(FLAT)], [Task(2, pausing=terms)])
    found = faults(pausing, timetable([(stints[-1][0], stints[0][1])], {0: stints}))
    assert (not found) if told is None else any(told in each for each in found)


def test_stints_cost_running_restarts_and_the_pause() -> None:
    pausing = problem([Site(FLAT)], [Task(2, pausing=PAUSING)])
    table = timetable([(0, 0)], {0: [(0, 0, 1.5), (0, 3, 4.5)]})
    # 1 kW for 1.5 h and 1 h, a restart of 0.1 kWh, 10 W for 1.5 h; at 100 g/kWh
    assert grams(pausing, table)[0] == pytest.approx(100 * (2.5 + 0.1 + 0.015))


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_units_are_told_to_be_short_exactly_where_counting_them_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = problem(
        [Site(FLAT, units=3)], [Task(float(rng.uniform(0.2, 5)), units=2 - i % 2) for i in range(6)]
    )
    table = timetable([(0, float(rng.uniform(0, 18))) for _ in range(6)])
    ends = table.start_ms + made.jobs.work_ms
    most = max(
        int(made.jobs.units[(table.start_ms <= at) & (ends > at + 1)].sum()) for at in table.start_ms.tolist()
    )
    assert (most > 3) == any("units are used" in each for each in faults(made, table))
