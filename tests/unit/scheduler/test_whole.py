"""Plans of the whole queue: what the policy forbids one job it forbids all of them, and proofs are true."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.timetables.situations import EXACT, HOUR, KIND, T0, ask, situation
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, integrate
from tidewatt.scheduler.plan import Plan, Why
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.situated import situated
from tidewatt.scheduler.planning.whole import plan_whole
from tidewatt.scheduler.region import Pool, Region

TWO = Region("local", pools=(Pool("A100", 2),), cpus=16, home=True)
DIP_AT_5 = [300.0] * 5 + [285.0] + [300.0] * 37


def starts(found: Situation) -> list[float]:
    """Hours from now to the start of each job's plan, by id."""
    plans, _ = plan_whole(found)
    assert all(isinstance(plan, Plan) for plan in plans.values())
    return [(plan.window.start - T0) / HOUR for _, plan in sorted(plans.items()) if isinstance(plan, Plan)]


def grams(plans: Mapping[int, Plan | Infeasible]) -> float:
    return sum(plan.expected_g or 0.0 for plan in plans.values() if isinstance(plan, Plan))


def half_hourly(values: np.ndarray, signal: Signal = Signal.AVERAGE) -> Outlook:
    at = floor_ms(T0) + 1_800_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * HOUR / 2, Rung.LIVE, "file x.csv")
    return Outlook("DE", replace(KIND, signal=signal), Steps(at, at + 1_800_000, values), (segment,))


@pytest.mark.parametrize(
    "policy",
    [
        replace(EXACT, min_saving=0.10),
        replace(EXACT, min_saving=0.0, min_wait=6 * HOUR),
    ],
    ids=["least saving", "least wait"],
)
def test_no_job_waits_for_what_the_operator_holds_not_worth_it(policy: Policy) -> None:
    jobs = [ask(1, 24, 1), ask(2, 24, 1)]
    assert starts(situation(jobs, DIP_AT_5, regions=[TWO], policy=policy)) == [0, 0]
    assert starts(situation(jobs, DIP_AT_5, regions=[TWO], policy=EXACT)) == [5, 5]


def test_a_job_that_was_put_off_as_often_as_it_may_is_not_put_off_again() -> None:
    jobs = [ask(1, 24, 1), ask(2, 24, 1)]
    kept = plan_queue(situation(jobs, [300.0] * 3 + [100] + [300] * 39, regions=[TWO]))
    plans = {job_id: plan for job_id, plan in kept.items() if isinstance(plan, Plan)}
    later = [300.0] * 3 + [200] + [300] * 8 + [50] + [300] * 30
    again = [replace(each, postponed=1) for each in jobs]
    limited = replace(EXACT, max_postponed=1)
    assert starts(situation(again, later, regions=[TWO], keep=plans, policy=limited)) == [3, 3]
    assert starts(situation(again, later, regions=[TWO], keep=plans, policy=EXACT)) == [12, 12]


def test_a_large_queue_keeps_to_the_policy_too() -> None:
    jobs = [ask(i, 24, 1) for i in range(1, 71)]
    many = Region("local", pools=(Pool("A100", 80),), cpus=200, home=True)
    strict = replace(EXACT, min_saving=0.10)
    assert set(starts(situation(jobs, DIP_AT_5, regions=[many], policy=strict))) == {0}
    assert set(starts(situation(jobs, DIP_AT_5, regions=[many], policy=EXACT))) == {5}


@pytest.mark.parametrize("seed", range(12))
def test_by_both_signals_no_plan_is_worse_by_either_though_the_steps_are_finer_than_slots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    average, marginal = rng.uniform(100, 500, 96), rng.uniform(100, 500, 96)
    grids = half_hourly(average), half_hourly(marginal, Signal.MARGINAL)
    now = T0 + timedelta(minutes=float(rng.integers(0, 60)))
    jobs = [ask(i, float(rng.uniform(12, 30)), float(rng.uniform(1, 9)), home="local") for i in (1, 2, 3)]
    region = Region("local", pools=(Pool("A100", 9),), cpus=99, home=True)
    policy = replace(EXACT, signal="both", min_saving=0.0)
    found = situation(jobs, None, regions=[region], now=now, policy=policy)
    found = replace(found, outlooks={"local": grids[0]}, beside={"local": grids[1]})
    for plan in plan_whole(found)[0].values():
        assert isinstance(plan, Plan)
        length = plan.window.end - plan.window.start
        for grid in grids:
            planned = integrate(grid.steps, plan.window.start, plan.window.end).gms_per_kwh
            at_once = integrate(grid.steps, now, now + length).gms_per_kwh
            assert planned <= at_once * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_below_every_plan_though_the_steps_are_finer_than_slots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    day = np.arange(96) / 2
    values = (300 + 120 * np.sin(day / 24 * 6.28 + seed) + rng.normal(0, 20, 96)).clip(20)
    grid = half_hourly(values)
    region = Region("local", pools=(Pool("A100", 9),), cpus=99, home=True)
    jobs = [ask(i, float(rng.uniform(12, 30)), float(rng.uniform(7, 9)), home="local") for i in (1, 2, 3)]
    found = situation(jobs, None, regions=[region], policy=replace(EXACT, min_saving=0.0))
    found = replace(found, outlooks={"local": grid})
    made = situated(found)
    assert made is not None
    plans = plan_queue(found)
    proof = made.certificate(plans, None)
    windows = [plan.window for plan in plans.values() if isinstance(plan, Plan)]
    grams = sum(integrate(grid.steps, each.start, each.end).gms_per_kwh / 3.6e6 for each in windows)
    assert proof.bound_g <= grams * (1 + 1e-9)


def test_a_faster_kind_may_start_later_and_the_bound_knows_it() -> None:
    pools = (Pool("A100", 1), Pool("H100", 1, 0, 2.0, 1.0))
    region = Region("local", pools=pools, cpus=16, home=True)
    values = [300.0] * 7 + [100, 100] + [300] * 30
    job = ask(1, 10, 4, guard_duration=6 * HOUR, home="local")
    plans, proof = plan_whole(situation([job], values, regions=[region]))
    plan = plans[1]
    assert isinstance(plan, Plan)
    assert plan.pool == "H100"
    assert plan.why is Why.CLEANEST
    assert proof is not None
    assert plan.expected_g is not None
    assert proof.bound_g <= plan.expected_g * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_plans_that_stand_are_left_only_for_ones_that_emit_less_to_the_millisecond(seed: int) -> None:
    rng = np.random.default_rng(seed)
    here, there = (half_hourly(250 + 60 * rng.standard_normal(120).cumsum() / 6) for _ in range(2))
    regions = [
        Region("local", pools=(Pool("A100", 1),), cpus=16, home=True),
        Region("south", pools=(Pool("A100", 1),), cpus=16),
    ]
    jobs = [ask(1, 19, 229 / 60, home="local"), ask(2, 18, 172 / 60, home="local")]
    now = T0 + timedelta(minutes=float(rng.integers(0, 60)))
    found = situation(jobs, None, regions=regions, now=now)
    found = replace(found, outlooks={"local": here, "south": there})
    stands = {i: plan for i, plan in plan_queue(found).items() if isinstance(plan, Plan)}
    again = replace(found, keep=stands)
    plans, proof = plan_whole(again)
    assert grams(plans) <= grams(stands) * (1 + 1e-9)
    assert proof is not None
    due = {
        i for i, plan in stands.items() if plan.window.start <= now
    }  # about to be launched: not in the proof
    assert proof.cost_g == pytest.approx(grams({i: plan for i, plan in plans.items() if i not in due}))
    assert proof.bound_g <= proof.cost_g
