"""Ceilings of prices, freezes, opt-outs and own weights in the plans of jobs."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.timetables.situations import HOUR, T0, ask, outlook, situation
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Plan, Weights, Why, Window
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.validator import plan_faults
from tidewatt.scheduler.region import Freeze, Pool, PriceStep, Region

FLAT = (300.0,) * 48
LOCAL = Region("local", pools=(Pool("A100", 1),), cpus=16, home=True)


def prices(*per_kwh: float) -> tuple[PriceStep, ...]:
    """A price for each hour from T0 on."""
    edges = [floor_ms(T0 + number * HOUR) for number in range(len(per_kwh) + 1)]
    return tuple(PriceStep(a, b, each) for (a, b), each in zip(pairwise(edges), per_kwh, strict=True))


def planned(around: Situation, number: int = 1) -> Plan:
    made = ladder.plan(around)
    assert not made.troubles
    found = made.plans[number]
    assert isinstance(found, Plan)
    assert plan_faults(around, made.plans) == []
    return found


def hours(plan: Plan) -> float:
    """How long after T0 it starts."""
    return (plan.window.start - T0) / HOUR


def test_job_waits_for_the_cheap_hour_where_money_has_a_weight() -> None:
    region = replace(LOCAL, prices=prices(0.3, 0.3, 0.3, 0.3, 0.05, 0.3, 0.3, 0.3, 0.3, 0.3))
    around = situation([ask(1)], FLAT, (region,))
    assert hours(planned(around)) == 0
    weighing = replace(around, policy=replace(around.policy, g_per_price=1000.0))
    made = planned(weighing)
    assert hours(made) == 4
    assert "83% cheaper" in made.reason


def test_best_start_by_price_may_end_where_a_price_changes() -> None:
    """A run of 90 minutes fits best around an hour: it starts or ends at one of its borders."""
    region = replace(LOCAL, prices=prices(0.3, 0.3, 0.2, 0.05, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3))
    around = situation([ask(1, hours=1.5)], FLAT, (region,))
    weighing = replace(around, policy=replace(around.policy, g_per_price=1000.0))
    assert hours(planned(weighing)) == 2.5


def test_own_weight_of_a_job_goes_before_the_general_one() -> None:
    region = replace(LOCAL, prices=prices(0.3, 0.3, 0.3, 0.3, 0.05, 0.3, 0.3, 0.3, 0.3, 0.3))
    region = replace(region, pools=(Pool("A100", 2),))
    asks = [ask(1, weights=Weights(g_per_price=1000.0)), ask(2)]
    around = situation(asks, FLAT, (region,))
    assert (hours(planned(around, 1)), hours(planned(around, 2))) == (4, 0)


def test_own_min_saving_keeps_a_job_from_waiting_for_little() -> None:
    values = (300.0, 270.0) + (300.0,) * 46
    asks = [ask(1, weights=Weights(min_saving=0.2)), ask(2, weights=Weights(min_saving=0.05))]
    around = situation(asks, values, (replace(LOCAL, pools=(Pool("A100", 2),)),))
    assert (hours(planned(around, 1)), hours(planned(around, 2))) == (0, 1)


def test_nothing_runs_above_the_ceiling_until_the_price_falls() -> None:
    region = replace(LOCAL, prices=prices(*(0.4,) * 6, *(0.1,) * 6), max_price_per_kwh=0.3)
    made = planned(situation([ask(1, finish_h=10)], FLAT, (replace(region, currency="EUR"),)))
    assert hours(made) == 6
    assert "nothing runs above 0.3 EUR a kWh" in made.note


def test_deadline_comes_before_the_ceiling() -> None:
    region = replace(LOCAL, prices=prices(*(0.4,) * 6, *(0.1,) * 6), max_price_per_kwh=0.3)
    made = planned(situation([ask(1, finish_h=5)], FLAT, (region,)))
    assert made.window.end <= T0 + 5 * HOUR
    assert "above 0.3 a kWh only since it would be late otherwise" in made.note


def test_job_without_a_deadline_waits_below_the_ceiling() -> None:
    region = replace(LOCAL, prices=prices(*(0.4,) * 6, *(0.1,) * 6), max_price_per_kwh=0.3)
    made = planned(situation([ask(1, finish_h=None)], FLAT, (region,)))
    assert hours(made) == 6


def test_urgent_newcomer_is_taken_in_above_the_ceiling_and_another_waits() -> None:
    region = replace(LOCAL, prices=prices(*(0.4,) * 6, *(0.1,) * 6), max_price_per_kwh=0.3)
    around = situation([], FLAT, (region,))
    assert hours(ladder.admit(ask(1, finish_h=5), around).plan) < 5
    assert hours(ladder.admit(ask(1, finish_h=9), around).plan) == 6


def test_price_that_nobody_knows_closes_nothing() -> None:
    steps = tuple(replace(each, known=False) for each in prices(*(0.4,) * 12))
    region = replace(LOCAL, prices=steps, max_price_per_kwh=0.3)
    assert hours(planned(situation([ask(1)], FLAT, (region,)))) == 0


def test_job_avoids_a_dear_region_for_one_below_the_ceiling() -> None:
    dear = replace(LOCAL, price_per_kwh=0.5, max_price_per_kwh=0.3)
    north = Region("north", pools=(Pool("A100", 1),), cpus=16)
    assert planned(situation([ask(1)], FLAT, (dear, north))).region == "north"


def test_ceiling_of_a_rule_holds_for_its_jobs_alone() -> None:
    region = replace(LOCAL, pools=(Pool("A100", 2),), prices=prices(*(0.4,) * 3, *(0.1,) * 9))
    asks = [ask(1, ceilings=(("local", 0.3),)), ask(2)]
    around = situation(asks, FLAT, (region,))
    assert (hours(planned(around, 1)), hours(planned(around, 2))) == (3, 0)


def frozen(start: float, end: float, *, moves: bool = False) -> Freeze:
    return Freeze(Window(T0 + start * HOUR, T0 + end * HOUR), moves, "year end")


def test_nothing_starts_in_a_freeze_but_what_runs_goes_on_through_it() -> None:
    region = replace(LOCAL, freezes=(frozen(2, 6),))
    early = planned(situation([ask(1, finish_h=8, hours=3)], (300.0, 100.0, 100.0, 100.0, *FLAT), (region,)))
    assert hours(early) == pytest.approx(2 - 1 / 3_600_000, abs=1.1)
    assert early.window.end > T0 + 3 * HOUR
    held = planned(situation([ask(1, release=T0 + 2 * HOUR)], FLAT, (region,)))
    assert hours(held) == 6
    assert "nothing starts in local from 2026-03-01 02:00 UTC to 2026-03-01 06:00 UTC: year end" in held.note


def test_freeze_comes_before_the_deadline_as_a_drain_does() -> None:
    region = replace(LOCAL, freezes=(frozen(-1, 6),))
    with pytest.raises(Refused, match="earliest finish"):
        ladder.admit(ask(1, finish_h=5), situation([], FLAT, (region,)))


def test_freeze_of_moves_keeps_jobs_at_home_meanwhile() -> None:
    north = Region("north", pools=(Pool("A100", 1),), cpus=16, freezes=(frozen(-1, 12, moves=True),))
    around = situation([ask(1)], FLAT, (LOCAL, north))
    clean = replace(around, outlooks={"local": outlook(FLAT), "north": outlook((50.0,) * 48)})
    assert planned(clean).region == "local"
    free = replace(clean, regions=(LOCAL, replace(north, freezes=())))
    assert planned(free).region == "north"


def test_opted_out_job_starts_as_soon_as_it_fits_and_says_why() -> None:
    values = (300.0,) * 3 + (10.0,) + (300.0,) * 44
    made = planned(situation([ask(1, fixed=True)], values, (LOCAL,)))
    assert (hours(made), made.why) == (0, Why.OPTED_OUT)
    assert made.reason == "never shifted, by the operator's rules: starts as soon as it fits"


def test_no_ceiling_holds_for_a_job_that_starts_at_once_by_somebodys_word() -> None:
    region = replace(LOCAL, price_per_kwh=0.5, max_price_per_kwh=0.3)
    for changes in ({"at_once": True}, {"unshifted": True}, {"fixed": True}):
        wanted: Ask = ask(1, finish_h=None, **changes)
        assert hours(planned(situation([wanted], FLAT, (region,)))) == 0


def test_kept_plan_is_left_when_its_hours_become_dear() -> None:
    region = replace(LOCAL, prices=prices(*(0.1,) * 12), max_price_per_kwh=0.3)
    values = (300.0,) * 3 + (100.0,) + (300.0,) * 44
    before = situation([ask(1)], values, (region,))
    kept = planned(before)
    assert hours(kept) == 3
    dearer = replace(region, prices=prices(0.1, 0.1, 0.1, 0.4, *(0.1,) * 8))
    after = replace(before, regions=(dearer,), keep={1: kept}, now=T0 + timedelta(minutes=5))
    made = planned(after)
    assert made.window.start >= T0 + 4 * HOUR or made.window.end <= T0 + 3 * HOUR
