"""A job whose draw changes while it runs: its hungry part goes to clean hours, its peak under the limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from tests.timetables.situations import ask as queued
from tests.timetables.situations import situation
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, integrate
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, GpuKind, Plan, PowerStep, Why, Window
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.chance import chance
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.frontier import Frontier, frontier
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.planning.preview import PREVIEW_ID
from tidewatt.scheduler.planning.queue import admit, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.situated import situated
from tidewatt.scheduler.planning.validator import plan_faults
from tidewatt.scheduler.planning.whole import plan_whole
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MARGINAL = replace(AVERAGE, signal=Signal.MARGINAL)
EXACT = Policy(min_saving=0, min_wait=timedelta(0), margin=timedelta(0))
HOME = Region("home", pools=(Pool("A100", 2),), cpus=16, home=True)
HUNGRY_FIRST = profile([(0, 1600), (0.25, 800)])[1]  # 1000 W on average
HUNGRY_LAST = profile([(0, 800), (0.75, 1600)])[1]


def outlook(values: list[float], kind: Kind = AVERAGE, step: timedelta = HOUR) -> Outlook:
    step_ms = step // timedelta(milliseconds=1)
    starts = floor_ms(T0) + step_ms * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * step, Rung.LIVE, "file x.csv")
    steps, low, high = (
        Steps(starts, starts + step_ms, np.array(values, float)),
        np.array(values) - 30,
        np.array(values) + 30,
    )
    return Outlook("DE", kind, steps, (segment,), p10=low, p90=high)


def ask(steps: tuple[PowerStep, ...], hours: float = 4, **changes: object) -> Ask:
    usual = Ask(
        1, T0, Need(gpus=1), hours * HOUR, "yours", 1000.0, "given", finish_by=T0 + 12 * HOUR, home="home"
    )
    return replace(usual, power_steps=steps, **changes)  # type: ignore[arg-type]


def placed(job: Ask, values: list[float], policy: Policy = EXACT, **regions: object) -> Plan:
    found = Situation((HOME,), {"home": outlook(values)}, (), T0, policy)
    made = Board(replace(found, **regions)).place(job)  # type: ignore[arg-type]
    assert isinstance(made, Plan)
    return made


def grams_of(plan: Plan | Infeasible) -> float:
    assert isinstance(plan, Plan)
    assert plan.expected_g is not None
    return plan.expected_g


VALLEY = [300.0, 300, 300, 300, 300, 100, 300, 300, 300, 300, 300, 300]


@pytest.mark.parametrize(("steps", "start_h"), [((), 2), (HUNGRY_FIRST, 5), (HUNGRY_LAST, 2)])
def test_the_hungry_part_of_a_run_falls_into_the_clean_hour(
    steps: tuple[PowerStep, ...], start_h: int
) -> None:
    made = placed(ask(steps), VALLEY)
    assert made.window.start == T0 + start_h * HOUR
    most = max((step.ratio for step in steps), default=1.0)
    assert made.expected_g == pytest.approx(4 * 300 - 200 * most)
    assert made.immediate_g == pytest.approx(1200)
    assert made.why is Why.CLEANEST


def test_the_mean_intensity_counts_each_hour_by_what_is_drawn_then_and_the_note_says_so() -> None:
    made = placed(ask(HUNGRY_FIRST), VALLEY)
    assert made.expected_g is not None
    assert made.mean_gco2_per_kwh == pytest.approx(made.expected_g / 4)
    assert made.immediate_gco2_per_kwh == pytest.approx(300)
    assert "1e+03 W on average, 1.6e+03 W at most" in made.note


def test_on_a_faster_gpu_all_steps_get_shorter_alike() -> None:
    region = replace(HOME, pools=(Pool("H100", 2),))
    job = ask(HUNGRY_FIRST, hours=8, kinds=(GpuKind("h100", speed=2.0, power=1.5),))
    found = Situation((region,), {"home": outlook(VALLEY)}, (), T0, EXACT)
    made = Board(found).place(job)
    assert isinstance(made, Plan)
    assert made.window == Window(T0 + 5 * HOUR, T0 + 9 * HOUR)
    assert made.expected_g == pytest.approx(1.5 * (4 * 300 - 200 * 1.6))


def by_hand(grid: Outlook, start: datetime, steps: tuple[PowerStep, ...], hours: float) -> float:
    """Grams of a run of 1 kW on average."""
    borders = [*(start + hours * step.share * HOUR for step in steps), start + hours * HOUR]
    legs = [integrate(grid.steps, *leg).gms_per_kwh / 3.6e6 for leg in pairwise(borders)]
    return sum(step.ratio * leg for step, leg in zip(steps, legs, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_by_both_signals_it_takes_the_best_start_at_which_neither_is_worse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grids = [outlook(rng.uniform(50, 500, 12).tolist(), kind) for kind in (AVERAGE, MARGINAL)]
    steps = profile([(0, float(rng.uniform(0, 900))), (0.3, 400), (0.8, float(rng.uniform(0, 2000)))])[1]
    found = Situation(
        (HOME,), {"home": grids[0]}, (), T0, replace(EXACT, signal="both"), beside={"home": grids[1]}
    )
    made = Board(found).place(ask(steps, hours=2.5))
    assert isinstance(made, Plan)
    first = [by_hand(grid, T0, steps, 2.5) for grid in grids]
    swept = [[by_hand(grid, T0 + n * HOUR / 60, steps, 2.5) for grid in grids] for n in range(9 * 60 + 31)]
    weights = [
        own / first[0] + other / first[1]
        for own, other in swept
        if own <= first[0] + 1e-9 and other <= first[1] + 1e-9
    ]
    planned = [by_hand(grid, made.window.start, steps, 2.5) for grid in grids]
    assert planned[0] <= first[0] * (1 + 1e-6)
    assert planned[1] <= first[1] * (1 + 1e-6)
    assert planned[0] / first[0] + planned[1] / first[1] <= min(weights) + 1e-6
    assert made.expected_g == pytest.approx(planned[0])
    assert made.beside is not None
    assert (made.beside.expected_g, made.beside.immediate_g) == pytest.approx((planned[1], first[1]))


def test_what_the_data_cost_to_move_is_counted_once() -> None:
    north = Region("north", pools=(Pool("A100", 2),), cpus=16)
    grids = {"home": outlook([500.0] * 12), "north": outlook([100.0] * 12)}
    policy = replace(EXACT, link=Link(gbit_per_s=1.0, kwh_per_gb=0.01))
    found = Situation((HOME, north), grids, (), T0, policy)
    made = Board(found).place(ask(HUNGRY_FIRST, data_gb=10.0))
    assert isinstance(made, Plan)
    assert made.region == "north"
    assert made.expected_g == pytest.approx(4 * 100 + 0.1 * 300)
    plans = {1: made}
    assert plan_faults(replace(found, asks=(ask(HUNGRY_FIRST, data_gb=10.0),)), plans) == []


def test_the_frontier_holds_the_cleanest_start() -> None:
    job = ask(HUNGRY_FIRST)
    found = frontier(job, Situation((HOME,), {"home": outlook(VALLEY)}, (), T0, EXACT))
    assert isinstance(found, Frontier)
    assert found.points[-1].expected_g == pytest.approx(4 * 300 - 200 * 1.6)
    assert found.points[-1].start_ms == floor_ms(T0 + 5 * HOUR)


def test_the_chance_that_waiting_gains_is_of_what_is_drawn_when() -> None:
    grid = outlook(VALLEY)
    first, later = Window(T0, T0 + 4 * HOUR), Window(T0 + 5 * HOUR, T0 + 9 * HOUR)
    flat, hungry, late = (
        chance(grid, first, later, steps=steps) for steps in ((), HUNGRY_FIRST, HUNGRY_LAST)
    )
    assert flat is not None
    assert hungry is not None
    assert late is not None
    assert late < flat < hungry


def test_a_power_limit_counts_the_highest_step() -> None:
    limited = replace(HOME, power_limit_kw=2.4)
    found = Situation((limited,), {"home": outlook(VALLEY)}, (), T0, EXACT)
    jobs = tuple(ask(HUNGRY_FIRST, job_id=number) for number in (1, 2))
    for plans in (plan_queue(replace(found, asks=jobs)), plan_first_come(replace(found, asks=jobs))):
        windows = sorted(plan.window.start for plan in plans.values() if isinstance(plan, Plan))
        assert windows[1] - windows[0] >= 4 * HOUR
        assert plan_faults(replace(found, asks=jobs), plans) == []
    steady = tuple(replace(job, power_steps=()) for job in jobs)
    plans = plan_queue(replace(found, asks=steady))
    assert {plan.window.start for plan in plans.values() if isinstance(plan, Plan)} == {T0 + 2 * HOUR}
    assert any("W are used" in fault for fault in plan_faults(replace(found, asks=jobs), plans))


def test_grams_that_forget_the_shape_are_found_out() -> None:
    job = ask(HUNGRY_FIRST)
    found = Situation((HOME,), {"home": outlook(VALLEY)}, (), T0, EXACT, (job,))
    made = placed(job, VALLEY)
    assert plan_faults(found, {1: made}) == []
    assert "by the forecast it is 880" in plan_faults(found, {1: replace(made, expected_g=1000.0)})[0]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([(0.25, 1.0)], "ascend from 0 to below 1, not 0.25"),
        ([(0, 1.2), (0.5, 0.8), (0.5, 1.0)], "ascend from 0 to below 1, not 0, 0.5, 0.5"),
        ([(0, 1.0), (1.0, 1.0)], "ascend from 0 to below 1, not 0, 1"),
        ([(0, 2.0), (0.5, -0.0001)], "at least 0, not 2, -0.0001"),
        ([(0, float("nan")), (0.5, 1.0)], "at least 0, not nan, 1"),
        ([(0, 2.0), (0.5, 1.0)], "a mean of 1.5 over the run: it has to be 1"),
    ],
)
def test_steps_that_are_none_are_refused_in_a_sentence(steps: list[tuple[float, float]], words: str) -> None:
    job = ask(tuple(PowerStep(*each) for each in steps), job_id=PREVIEW_ID)
    with pytest.raises(BadInput, match=words):
        admit(job, Situation((HOME,), {"home": outlook(VALLEY)}, (), T0, EXACT))


def test_a_profile_of_watts_has_a_mean_and_ratios_to_it() -> None:
    mean_w, steps = profile([(0, 12_000), (0.25, 6000), (0.5, 2400)])
    assert mean_w == pytest.approx(5700)
    assert [step.ratio * mean_w for step in steps] == pytest.approx([12_000, 6000, 2400])
    assert profile([(0, 700.0)]) == (700.0, ())
    with pytest.raises(BadInput, match="all steps of power are 0"):
        profile([(0, 0.0), (0.5, 0.0)])


@pytest.mark.parametrize("seed", range(8))
def test_with_the_whole_queue_in_view_such_a_job_is_no_worse_off_and_the_proof_leaves_it_out(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(50, 600, 42).round().tolist()
    jobs = [
        queued(i, float(rng.integers(14, 36)), float(rng.integers(1, 6)), home="local") for i in range(1, 7)
    ]
    jobs[3:5] = [replace(job, power_steps=HUNGRY_FIRST) for job in jobs[3:5]]
    region = Region("local", pools=(Pool("A100", 2),), cpus=16, home=True, power_limit_kw=2.7)
    found = situation(jobs, values, regions=[region], policy=replace(EXACT, min_saving=0.0))
    answer = ladder.plan(found, seconds=60.0)
    assert (answer.planner, answer.troubles) == ("whole queue", ())
    assert answer.certificate is not None
    assert answer.certificate.jobs + answer.certificate.unplaced <= 4
    assert all(isinstance(plan, Plan) for plan in answer.plans.values())
    one_by_one, alone = plan_queue(found), plan_queue(replace(found, asks=jobs[3:5]))
    for job in jobs[3:5]:
        made = answer.plans[job.job_id]
        for other in (one_by_one[job.job_id], alone[job.job_id]):
            assert grams_of(made) <= grams_of(other) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_no_place_of_such_jobs_lets_the_others_emit_less_than_the_bound(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    values = rng.uniform(50, 600, 42).round().tolist()
    jobs = [
        queued(i, float(rng.integers(8, 30)), float(rng.integers(1, 7)), home="local") for i in range(1, 5)
    ]
    jobs[0] = replace(jobs[0], power_steps=HUNGRY_LAST)
    region = Region("local", pools=(Pool("A100", 1),), cpus=16, home=True)
    found = situation(jobs, values, regions=[region], policy=replace(EXACT, min_saving=0.0))
    _, proof = plan_whole(found)
    assert proof is not None
    without = plan_queue(replace(found, asks=jobs[1:]))
    others = [plan.expected_g for plan in without.values() if isinstance(plan, Plan)]
    if len(others) == 3 and not proof.unplaced:
        assert proof.bound_g <= sum(g for g in others if g is not None) * (1 + 1e-9)


def test_the_timetable_takes_its_plan_as_given_and_the_bound_does_not() -> None:
    region = Region("local", pools=(Pool("A100", 2, 0, 1.0, 1.5),), cpus=16, home=True, power_limit_kw=4.0)
    jobs = [queued(1, 24, 4, home="local", power_steps=HUNGRY_FIRST), queued(2, 24, 4, home="local")]
    found = situation(jobs, [300.0] * 5 + [100.0] + [300.0] * 37, regions=[region])
    plan = plan_queue(found)[1]
    assert isinstance(plan, Plan)
    made = situated(replace(found, keep={1: plan}))
    assert made is not None
    assert [ask.job_id for ask in made.asks] == [2]
    edges = made.problem.places.edges_ms
    inside = (edges[:-1] >= floor_ms(plan.window.start)) & (edges[1:] <= floor_ms(plan.window.end))
    strict, loose = made.problem.places, made.relaxed.places
    assert strict.units[0].tolist() == np.where(inside, 1, 2).tolist()
    assert strict.site_kw[1] == pytest.approx(np.where(inside, 4.0 - 1.6 * 1.5, 4.0))
    assert set(loose.units[0].tolist()) == {2}
    assert set(loose.site_kw[1].tolist()) == {4.0}


def test_in_a_long_queue_too() -> None:
    values = [300.0] * 5 + [100.0] + [300.0] * 37
    jobs = [queued(i, 24, 4, home="local") for i in range(1, 71)]
    jobs[:3] = [replace(job, power_steps=HUNGRY_FIRST) for job in jobs[:3]]
    region = Region("local", pools=(Pool("A100", 20),), cpus=200, home=True)
    found = situation(jobs, values, regions=[region], policy=replace(EXACT, min_saving=0.0))
    answer = ladder.plan(found, seconds=60.0)
    assert (answer.planner, answer.troubles) == ("whole queue", ())
    assert answer.certificate is not None
    assert answer.certificate.jobs == 67
    for job in jobs[:3]:
        plan = answer.plans[job.job_id]
        assert isinstance(plan, Plan)
        assert plan.expected_g == pytest.approx((4 * 300 - 200 * 1.6) * job.power_w / 1000)


def test_one_that_others_wait_for_is_placed_with_them() -> None:
    values = [300.0] * 5 + [100.0] + [300.0] * 37
    jobs = [
        queued(1, 24, 4, home="local", power_steps=HUNGRY_FIRST),
        queued(2, 12, 4, home="local", after=(1,)),
    ]
    region = Region("local", pools=(Pool("A100", 2),), cpus=16, home=True)
    found = situation(jobs, values, regions=[region], policy=replace(EXACT, min_saving=0.0))
    answer = ladder.plan(found, seconds=60.0)
    assert answer.troubles == ()
    first, second = answer.plans[1], answer.plans[2]
    assert isinstance(first, Plan)
    assert isinstance(second, Plan)
    assert first.window.end <= second.window.start
