"""The planner of whole queues, case by case."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from tests.timetables.problems import HOUR_MS, T0_MS, Limits, Site, Task, drawn, problem
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.timetable.certificate import bound_g, certify
from tidewatt.scheduler.planning.timetable.ground import ground_of
from tidewatt.scheduler.planning.timetable.immediate import immediate
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Jobs, Menus, Places, Problem, Timetable
from tidewatt.scheduler.planning.timetable.solve import solve
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.planning.timetable.windows import Prices

DIRTY_THEN_CLEAN = [400.0] * 6 + [100.0] * 6
FLAT = [200.0] * 12


def hours(timetable: Timetable) -> list[float]:
    """Each job's start, in hours from the first edge."""
    return [(int(start) - T0_MS) / HOUR_MS for start in timetable.start_ms]


def test_one_job_takes_the_cleanest_window_that_meets_its_deadline() -> None:
    solution = solve(problem([Site(DIRTY_THEN_CLEAN)], [Task(hours=2, due=12)]))
    assert 6 <= hours(solution.timetable)[0] <= 10
    assert solution.certificate.cost_g == pytest.approx(200)
    assert solution.certificate.gap == pytest.approx(0, abs=1e-9)
    assert solution.certificate.captured == pytest.approx(1)


def test_proof_of_jobs_that_do_not_compete_is_what_each_costs_alone() -> None:
    made = problem([Site(DIRTY_THEN_CLEAN, units=2)], [Task(hours=2, due=12), Task(hours=1.5, due=12)])
    alone = [problem([Site(DIRTY_THEN_CLEAN)], [Task(hours=length, due=12)]) for length in (2, 1.5)]
    free = sum(solve(each).certificate.cost_g for each in alone)
    dear = Prices(np.full((1, 12), 500.0), np.zeros((1, 12)))
    assert bound_g(ground_of(made), dear, np.arange(2)) == pytest.approx(free)
    assert certify(made, solve(made).timetable, dear).gap == pytest.approx(0, abs=1e-9)


def test_proof_of_equal_jobs_one_after_the_other_is_near_their_cost() -> None:
    staircase = [400.0, 400, 300, 300, 300, 100, 100, 200, 400, 500, 500, 500]
    solution = solve(problem([Site(staircase)], [Task(due=12) for _ in range(4)]))
    assert solution.certificate.cost_g == pytest.approx(700)
    assert solution.certificate.gap is not None
    assert solution.certificate.gap < 0.03


def test_proof_leaves_out_jobs_that_run_outside_of_their_own_hours() -> None:
    made = problem([Site(FLAT)], [Task(hours=3, due=4), Task(hours=3, due=4)])
    late = Timetable(np.zeros(2, np.int64), T0_MS + HOUR_MS * np.array([0, 3], np.int64))
    proof = certify(made, late, Prices(np.full((1, 12), 9.0), np.zeros((1, 12))))
    assert proof.unplaced == 1
    assert proof.cost_g == pytest.approx(600)
    assert proof.bound_g <= proof.cost_g


def test_nothing_is_claimed_where_a_bound_is_not_above_zero() -> None:
    made = problem([Site([0.0] * 6 + [50.0] * 6)], [Task(hours=2, due=12)])
    late = Timetable(np.zeros(1, np.int64), T0_MS + HOUR_MS * np.array([8], np.int64))
    assert certify(made, late).gap is None
    assert solve(made).certificate.gap == 0


def test_job_is_not_hastened_by_one_after_it_that_can_never_be_in_time() -> None:
    made = problem([Site(FLAT)], [Task(hours=3, due=12), Task(hours=2, due=4, after=(0,))])
    solution = solve(made)
    assert solution.timetable.place.tolist() == [0, NOWHERE]
    assert solution.certificate.bound_g == pytest.approx(600)
    assert solution.certificate.gap == pytest.approx(0, abs=1e-9)


def test_pausing_job_has_no_bound_where_drawing_power_earns() -> None:
    pausing = Pausing(timedelta(minutes=5), timedelta(minutes=5), suspended_w=400)
    made = problem([Site([100.0] * 6 + [-100.0] * 6)], [Task(hours=2, due=12, pausing=pausing)])
    solution = solve(made)
    assert solution.certificate.gap is None
    assert bound_g(ground_of(made), solution.prices, np.arange(1)) == -np.inf


def test_deadline_comes_before_clean_hours() -> None:
    solution = solve(problem([Site(DIRTY_THEN_CLEAN)], [Task(hours=2, due=5)]))
    assert hours(solution.timetable)[0] <= 3
    assert solution.certificate.unplaced == 0


def test_job_without_slack_that_starts_within_an_hour_has_its_place() -> None:
    made = problem([Site(FLAT)], [Task(hours=1.5, release=0.7, due=2.2)])
    assert hours(solve(made).timetable) == pytest.approx([0.7])


def test_jobs_share_a_unit_one_after_the_other() -> None:
    made = problem([Site(FLAT)], [Task(hours=4, due=12) for _ in range(3)])
    solution = solve(made)
    assert solution.certificate.unplaced == 0
    assert faults(made, solution.timetable, solution.certificate) == []


def test_two_jobs_share_the_cleanest_hours_where_that_costs_less_than_one_having_them_alone() -> None:
    day = [400.0, 400, 400, 300, 300, 100, 100, 200, 400, 500, 500, 500]
    queue = problem([Site(day)], [Task(2, due=12), Task(2, due=12)])
    assert solve(queue).certificate.cost_g == pytest.approx(700.0)


def test_job_that_can_never_be_held_is_nowhere_and_the_others_are_placed() -> None:
    solution = solve(problem([Site(FLAT)], [Task(units=3, due=12), Task(due=12)]))
    assert solution.timetable.place.tolist() == [NOWHERE, 0]
    assert solution.certificate.unplaced == 1


def test_others_make_room_for_a_job_that_can_only_run_now() -> None:
    tasks = [*(Task(hours=2, due=12, kw=5) for _ in range(4)), Task(hours=8, due=12, release=4, kw=0.1)]
    solution = solve(problem([Site([100.0] * 4 + [50.0] * 8), Site([500.0] * 12)], tasks))
    assert solution.certificate.unplaced == 0


def test_urgent_jobs_do_not_lose_their_place_to_big_ones() -> None:
    tasks = [Task(hours=6, due=12), Task(hours=2, due=2), Task(hours=4, due=12)]
    solution = solve(problem([Site(FLAT)], tasks))
    assert solution.certificate.unplaced == 0
    assert hours(solution.timetable)[1] == 0


def test_higher_priority_is_placed_first_where_there_is_room_for_one() -> None:
    tasks = [Task(hours=6, due=6), Task(hours=6, due=6, priority=1)]
    assert solve(problem([Site(FLAT)], tasks)).timetable.place.tolist() == [NOWHERE, 0]


def test_job_starts_when_those_before_it_have_ended() -> None:
    made = problem(
        [Site(DIRTY_THEN_CLEAN, units=4)], [Task(hours=2, due=12), Task(hours=3, due=12, after=(0,))]
    )
    first, then = hours(solve(made).timetable)
    assert then >= first + 2


def test_no_more_of_a_group_run_at_once_than_may() -> None:
    made = problem(
        [Site(DIRTY_THEN_CLEAN, units=8)], [Task(hours=2, due=12, group=0) for _ in range(4)], Limits((1,))
    )
    starts = sorted(hours(solve(made).timetable))
    assert all(b - a >= 2 for a, b in pairwise(starts))


def test_site_draws_no_more_than_its_limit() -> None:
    made = problem([Site(DIRTY_THEN_CLEAN, units=8, limit_kw=1.0)], [Task(hours=2, kw=0.6) for _ in range(3)])
    solution = solve(replace(made, jobs=replace(made.jobs, due_ms=made.jobs.due_ms - 12 * HOUR_MS)))
    starts = sorted(hours(solution.timetable))
    assert all(b - a >= 2 for a, b in pairwise(starts))


def test_units_of_a_job_are_on_one_node() -> None:
    tasks = [Task(hours=6, due=6, units=3), Task(hours=6, due=6, units=3), Task(hours=6, due=6, units=2)]
    solution = solve(problem([Site(FLAT, units=8, node_units=4)], tasks))
    assert sorted(solution.timetable.place.tolist()) == [NOWHERE, 0, 0]


def test_moving_is_charged_and_waits_for_the_data() -> None:
    near, far = Site([300.0] * 12, region="near"), Site([100.0] * 12, region="far")
    cheap = solve(problem([near, far], [Task(hours=2, due=12, moved_g=100, moved_h=1)]))
    assert cheap.timetable.place.tolist() == [1]
    assert hours(cheap.timetable)[0] >= 1
    assert cheap.certificate.cost_g == pytest.approx(300)
    dear = solve(problem([near, far], [Task(hours=2, due=12, moved_g=500, moved_h=1)]))
    assert dear.timetable.place.tolist() == [0]


def test_delay_is_weighed_against_carbon() -> None:
    impatient = problem([Site(DIRTY_THEN_CLEAN)], [Task(hours=2, due=12, delay_g_per_h=200)])
    solution = solve(impatient)
    assert hours(solution.timetable) == [0]
    assert solution.certificate.gap == pytest.approx(0, abs=1e-9)


def test_faster_kind_is_used_where_the_deadline_needs_it() -> None:
    made = problem([Site([50.0] * 12), Site([400.0] * 12, speed=2.0, power=1.5)], [Task(hours=6, due=4)])
    solution = solve(made)
    assert solution.timetable.place.tolist() == [1]
    assert solution.certificate.cost_g == pytest.approx(400 * 3 * 1.5)


def test_nothing_runs_where_the_cost_is_not_known_or_a_place_is_closed() -> None:
    holes = [100.0] * 4 + [np.inf] * 2 + [300.0] * 6
    made = problem([Site(holes, units=[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])], [Task(hours=3, due=12)])
    assert hours(solve(made).timetable)[0] >= 6


def test_job_may_not_get_worse_by_the_other_signal() -> None:
    second = [100.0] * 6 + [300.0] * 6
    made = problem([Site(DIRTY_THEN_CLEAN, second=second)], [Task(hours=2, due=12)])
    assert hours(solve(made).timetable)[0] <= 4


def test_job_that_may_pause_leaves_out_the_dirty_hours() -> None:
    waves = [100.0, 500.0] * 6
    task = Task(hours=3, due=12, pausing=Pausing(restart=timedelta(0)))
    made = problem([Site(waves)], [task])
    solution = solve(made)
    assert solution.certificate.cost_g == pytest.approx(300)
    assert len(solution.timetable.stints[0]) == 3
    assert faults(made, solution.timetable, solution.certificate) == []


def test_first_in_first_out_starts_at_once_at_home_and_nobody_overtakes() -> None:
    tasks = [Task(hours=2, due=12), Task(hours=1, due=12, release=0.5), Task(hours=1, due=12, home=1)]
    assert hours(immediate(problem([Site(FLAT), Site(FLAT)], tasks))) == [0, 2, 0]


def test_first_in_first_out_goes_elsewhere_only_if_home_can_never_hold_the_job() -> None:
    tasks = [Task(hours=4, due=12), Task(hours=1, due=12), Task(units=2, due=12)]
    found = immediate(problem([Site(FLAT), Site(FLAT, units=2)], tasks))
    assert found.place.tolist() == [0, 0, 1]


def test_certificate_of_a_problem_whose_units_are_means_is_a_bound() -> None:
    made = drawn(1, jobs=10)
    solution = solve(made)
    means = made.places.units.astype(np.float64) + 0.4
    loose = replace(made, places=replace(made.places, units=means))
    certificate = certify(loose, solution.timetable, solution.prices)
    assert certificate.cost_g == pytest.approx(solution.certificate.cost_g)
    assert certificate.bound_g <= solution.certificate.bound_g + 1e-6


def test_empty_queue_has_an_empty_timetable() -> None:
    solution = solve(problem([Site(FLAT)], []))
    assert len(solution.timetable.place) == 0
    assert solution.certificate.captured is None


def test_hundreds_of_jobs_over_many_places_are_placed_and_nearly_all_that_is_possible_is_saved() -> None:
    made = crowd(jobs=600, sites=12, slots=72)
    solution = solve(made)
    assert faults(made, solution.timetable, solution.certificate) == []
    assert solution.certificate.unplaced == 0
    assert solution.certificate.captured is not None
    assert solution.certificate.captured >= 0.65  # of 7 units: much room cannot be packed


def test_five_minute_slots_are_planned_like_hours() -> None:
    made = fine(crowd(jobs=200, sites=4, slots=48), 12)
    solution = solve(made)
    assert faults(made, solution.timetable, solution.certificate) == []
    assert solution.certificate.unplaced == 0
    assert solution.certificate.captured is not None
    assert solution.certificate.captured >= 0.85


def crowd(jobs: int, sites: int, slots: int) -> Problem:
    """Many jobs, half of the places allowed to each, a daily wave at each place; use about a third."""
    rng = np.random.default_rng(0)
    hour = np.arange(slots)
    level, phase = rng.uniform(50, 600, (sites, 1)), rng.uniform(0, 24, (sites, 1))
    cost = level * (1.1 + 0.5 * np.sin((hour + phase) * 2 * np.pi / 24))
    length = np.minimum(rng.lognormal(0, 1, jobs), 20.0)
    release = rng.uniform(0, slots / 3, jobs)
    due = np.minimum(release + length + rng.lognormal(2.5, 0.5, jobs), slots)
    units = rng.choice([1, 2, 4], jobs)
    free = max(6, round(float((length * units).sum()) / (0.35 * sites * slots)))
    places = Places(
        names=tuple((f"r{i}", "gpu") for i in range(sites)),
        edges_ms=T0_MS + HOUR_MS * np.arange(slots + 1, dtype=np.int64),
        cost=cost,
        units=np.full((sites, slots), free, np.int64),
        node_units=np.zeros(sites, np.int64),
        site=np.arange(sites, dtype=np.int64),
        site_kw=np.full((sites, slots), np.inf),
    )
    allowed = np.array([rng.permutation(sites) < sites / 2 for _ in range(6)])
    menu = rng.integers(0, 6, jobs)
    zeros, nothing = np.zeros(jobs, np.int64), np.zeros(jobs)
    asked = Jobs(
        ids=np.arange(jobs, dtype=np.int64),
        release_ms=np.round(T0_MS + HOUR_MS * np.minimum(release, due - length)).astype(np.int64),
        due_ms=np.round(T0_MS + HOUR_MS * due).astype(np.int64) + 1,
        work_ms=np.round(HOUR_MS * length).astype(np.int64),
        units=units.astype(np.int64),
        kw=units * 0.4,
        menu=menu.astype(np.int64),
        home=np.array([int(np.flatnonzero(allowed[each])[0]) for each in menu], np.int64),
        priority=zeros,
        moved_g=nothing,
        moved_ms=zeros,
        delay_g_per_h=nothing,
        before=np.zeros((0, 2), np.int64),
        group=zeros - 1,
        group_limit=np.zeros(0, np.int64),
    )
    return Problem(places, Menus(allowed, np.ones(allowed.shape), np.ones(allowed.shape)), asked)


def fine(made: Problem, parts: int) -> Problem:
    """The same with each slot in so many parts."""
    places = made.places
    step = int(places.edges_ms[1] - places.edges_ms[0]) // parts
    slots = places.cost.shape[1] * parts
    edges = places.edges_ms[0] + step * np.arange(slots + 1, dtype=np.int64)
    units = np.repeat(places.units, parts, axis=1).astype(np.int64)
    finer = replace(
        places,
        edges_ms=edges,
        cost=np.repeat(places.cost, parts, axis=1),
        units=units,
        site_kw=np.repeat(places.site_kw, parts, axis=1),
    )
    return replace(made, places=finer)
