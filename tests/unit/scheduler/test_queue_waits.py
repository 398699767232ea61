"""Queues of engines: so long as jobs may wait in one, their last start there is earlier."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.timetables.situations import HOUR, T0, ask, outlook
from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.plan import Ask, Plan, Why, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import latest_start_ms
from tidewatt.scheduler.planning.whole import plan_whole
from tidewatt.scheduler.region import Pool, Region

EXACT = Policy(min_saving=0.02, min_wait=timedelta(0), margin=timedelta(0))
EU = Region("eu", pools=(Pool("A100", 2),), cpus=16, home=True)
US = replace(EU, name="us", home=False)
FALLING = [400.0, 350, 300, 250, 200, 150, 100] + [50] * 17
WORSE = [each + 20 for each in FALLING]


def waiting(hours: float, region: Region = EU) -> Region:
    return replace(region, queue_wait_s=hours * 3600, queue_wait_source="stated")


def situation(
    regions: Sequence[Region], asks: Sequence[Ask] = (), values: Sequence[Sequence[float]] = (FALLING, WORSE)
) -> Situation:
    ahead: dict[str, Outlook | None] = {
        region.name: outlook(each) for region, each in zip(regions, values, strict=False)
    }
    return Situation(regions, ahead, (), T0, EXACT, asks)


def placed(wanted: Ask, *regions: Region) -> Plan:
    made = Board(situation(regions)).place(wanted)
    assert isinstance(made, Plan)
    return made


def start_h(plan: Plan) -> float:
    return (plan.window.start - T0) / HOUR


def test_job_starts_so_early_that_the_wait_before_it_does_not_make_it_late() -> None:
    wanted = ask(1, 6, 1, home="eu")
    assert start_h(placed(wanted, EU)) == 5
    plan = placed(wanted, waiting(2))
    assert start_h(plan) == 3
    assert plan.window.end - plan.window.start == HOUR
    assert "up to 2h in the queue of eu are reckoned with before its deadline" in plan.note


def test_cleaner_region_whose_queue_is_too_long_for_the_deadline_is_left_out_and_that_is_said() -> None:
    plan = placed(ask(1, 2, 1, home="eu"), waiting(3), US)
    assert (plan.region, start_h(plan)) == ("us", 1)
    assert "eu left out: up to 3h in its queue are too long for the deadline" in plan.note


def test_of_queues_that_are_all_too_long_the_one_that_is_over_first_is_taken_at_once() -> None:
    plan = placed(ask(1, 3, 1, home="eu"), waiting(8), waiting(4, US))
    assert (plan.region, start_h(plan), plan.why) == ("us", 0, Why.GUARD)
    assert "should it wait 4h in the queue of us" in plan.reason


def test_wait_alone_makes_no_job_late() -> None:
    assert isinstance(Board(situation([waiting(8)])).place(ask(1, 3, 1, home="eu")), Plan)
    made = Board(situation([waiting(8)])).place(ask(1, 0.5, 1, home="eu"))
    assert isinstance(made, Infeasible)


def test_jobs_without_a_deadline_and_short_waits_are_told_nothing_of_queues() -> None:
    assert "queue" not in placed(ask(1, None, 1, home="eu"), waiting(2)).note
    assert "queue" not in placed(ask(1, 6, 1, home="eu"), waiting(0.5 / 3600)).note


def test_last_start_is_earlier_by_the_wait_also_of_a_start_by() -> None:
    hour_ms = 3_600_000
    for wanted in (ask(1, 6, 1), replace(ask(1, None, 1), start_by=T0 + 5 * HOUR)):
        last = latest_start_ms(wanted)
        assert last is not None
        assert latest_start_ms(wanted, wait_ms=hour_ms) == last - hour_ms
    assert latest_start_ms(ask(1, None, 1), wait_ms=hour_ms) is None


def test_plan_that_a_longer_wait_makes_late_is_made_anew() -> None:
    wanted = ask(1, 6, 1, home="eu")
    kept = placed(wanted, EU)
    assert Board(situation([EU])).still_holds(wanted, kept)
    assert not Board(situation([waiting(2)])).still_holds(wanted, kept)


def test_plan_that_is_due_stays_whatever_the_wait() -> None:
    wanted = ask(1, 6, 1, home="eu")
    now = replace(placed(wanted, EU), window=Window(T0, T0 + HOUR))
    assert Board(situation([waiting(9)])).still_holds(wanted, now)


@pytest.mark.parametrize("count", [4, 70])
def test_whole_queue_reckons_with_waits(count: int) -> None:
    asks = [ask(number, 9, 1, home="eu") for number in range(1, count + 1)]
    wide = replace(waiting(2), pools=(Pool("A100", 40),), cpus=400)
    plans, _ = plan_whole(situation([wide], asks))
    for plan in plans.values():
        assert isinstance(plan, Plan)
        assert plan.window.end + 2 * HOUR <= T0 + 9 * HOUR


def test_queue_one_by_one_and_first_come_know_waits() -> None:
    asks = [ask(1, 2.5, 1, home="eu")]
    for planner in (plan_queue, plan_first_come):
        plan = planner(situation([waiting(3), US], asks))[1]
        assert isinstance(plan, Plan)
        assert plan.region == "us"
