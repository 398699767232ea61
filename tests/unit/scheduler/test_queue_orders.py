"""Jobs that wait for each other, go first, share an array's limit, or were put off often enough."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.timetables.situations import EXACT, HOUR, MINUTE, T0, ask, situation
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, GpuKind, Pausing, Plan, Stint, Why, Window
from tidewatt.scheduler.planning.instants import ceil_ms
from tidewatt.scheduler.planning.offers import alternatives
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.precedence import dues, in_order
from tidewatt.scheduler.planning.queue import admit, offers, plan_queue
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.region import Pool, Region

ONE = Region("local", pools=(Pool("A100", 1),), cpus=16)
FOUR = Region("local", pools=(Pool("A100", 4),), cpus=16)
DIP = [300.0] * 3 + [100] + [300] * 44
FLAT = [300.0] * 48


def queue(
    asks: Sequence[Ask],
    values: Sequence[float] = DIP,
    region: Region = FOUR,
    keep: Mapping[int, Plan] | None = None,
    **changes: object,
) -> dict[int, Plan | Infeasible]:
    return plan_queue(situation(asks, values, (region,), keep=dict(keep or {}), **changes))


def plans_of(planned: Mapping[int, Plan | Infeasible]) -> dict[int, Plan]:
    return {job_id: plan for job_id, plan in planned.items() if isinstance(plan, Plan)}


def start_h(plan: Plan | Infeasible) -> float:
    assert isinstance(plan, Plan)
    return (plan.window.start - T0) / HOUR


def runs(start_h: float, end_h: float, gpus: int = 1, **changes: object) -> Booking:
    window = Window(T0 + start_h * HOUR, T0 + end_h * HOUR)
    return replace(Booking("local", "A100", window, gpus, 1, holder="job 99"), **changes)  # type: ignore[arg-type]


# Jobs that run after others


def test_follower_starts_when_what_it_waits_for_has_ended() -> None:
    planned = queue([ask(1, None, hours=2), ask(2, None, after=(1,))])
    assert (start_h(planned[1]), start_h(planned[2])) == (0, 2)


def test_follower_of_a_running_job_waits_for_its_expected_end() -> None:
    planned = queue([ask(2, None, after=(99,))], ends={99: T0 + 90 * MINUTE})
    assert start_h(planned[2]) == 1.5
    assert start_h(queue([ask(2, None, after=(98,))])[2]) == 0  # nobody knows it: it has ended


def test_order_of_submission_does_not_matter() -> None:
    planned = queue([ask(1, None, after=(2,)), ask(2, None, hours=2)])
    assert (start_h(planned[2]), start_h(planned[1])) == (0, 2)


def test_job_ends_early_enough_for_what_follows() -> None:
    falling = [500.0 - 10 * hour for hour in range(48)]
    asks = [ask(1, finish_h=20, hours=2), ask(2, finish_h=9, hours=3, after=(1,))]
    planned = queue(asks, falling)
    assert (start_h(planned[1]), start_h(planned[2])) == (4, 6)
    assert dues(asks) == {1: ceil_ms(T0 + 6 * HOUR)}


def test_job_without_a_deadline_gets_the_urgency_of_what_follows() -> None:
    asks = [ask(1, None, hours=2), ask(2, None, hours=5), ask(3, finish_h=4, hours=2, after=(1,))]
    planned = queue([asks[1], asks[0], asks[2]], FLAT, ONE)
    assert (start_h(planned[1]), start_h(planned[3]), start_h(planned[2])) == (0, 2, 4)


def test_moving_what_goes_before_moves_what_follows() -> None:
    asks = [ask(1, None, hours=2), ask(2, None, after=(1,))]
    kept = plans_of(queue(asks, region=ONE))
    planned = queue(asks, region=ONE, keep=kept, bookings=[runs(0, 3)])
    assert (start_h(planned[1]), start_h(planned[2])) == (3, 5)


def test_kept_plans_of_a_chain_stay_the_same_objects() -> None:
    asks = [ask(1, 12, hours=2), ask(2, 20, after=(1,)), ask(3, 30, after=(2, 1))]
    kept = plans_of(queue(asks, [300.0 + 50 * (hour % 5) for hour in range(48)]))
    again = queue(asks, [300.0 + 50 * (hour % 5) for hour in range(48)], keep=kept)
    assert all(again[job_id] is plan for job_id, plan in kept.items())


def test_improving_a_kept_plan_never_runs_into_what_follows() -> None:
    asks = [ask(1, 30, hours=2), ask(2, 12, hours=1, after=(1,))]
    kept = plans_of(queue(asks, FLAT))
    later = [300.0] * 20 + [50] * 28
    planned = plans_of(queue(asks, later, keep=kept))
    assert planned[1].window.end <= planned[2].window.start


def test_chain_that_cannot_be_in_time_starts_as_soon_as_it_fits() -> None:
    planned = queue(
        [ask(1, None, hours=3), ask(2, finish_h=3, after=(1,))], policy=replace(EXACT, default_slack=9 * HOUR)
    )
    assert isinstance(planned[1], Plan)
    assert (start_h(planned[1]), planned[1].why) == (0, Why.FOLLOWED)
    assert isinstance(planned[2], Infeasible)
    assert planned[2].earliest is not None
    assert planned[2].earliest.window.start == T0 + 3 * HOUR


def test_newcomer_after_a_waiting_job_is_admitted_behind_it() -> None:
    first = ask(1, 10, hours=2)
    kept = plans_of(queue([first]))
    here = situation([first], DIP, (ONE,), keep=kept)
    admission = admit(ask(2, finish_h=4.5, hours=1, after=(1,)), here)
    assert admission.moved[1].window.end <= admission.plan.window.start  # job 1 comes forward for it
    with pytest.raises(Refused, match="the earliest finish after job 1 is 2026-03-01 05:00"):
        admit(ask(2, finish_h=2.5, hours=1, after=(1,)), here)


def test_changed_job_moves_those_behind_it() -> None:
    asks = [ask(1, 10, hours=1), ask(2, 10, hours=1, after=(1,))]
    kept = plans_of(queue(asks, FLAT))
    longer = replace(asks[0], duration=3 * HOUR)
    admission = admit(longer, situation(asks, FLAT, (FOUR,), keep=kept))
    assert start_h(admission.plan) == 0
    assert start_h(admission.moved[2]) == 3


def test_job_behind_one_that_fits_nowhere_says_so() -> None:
    planned = queue([ask(1, None, need=Need(gpus=9)), ask(2, None, after=(1,))])
    assert isinstance(planned[2], Infeasible)
    assert planned[2].reason == "it runs after job 1, which has no place"


def test_jobs_that_wait_in_a_circle_are_told_and_stop_nothing_else() -> None:
    asks = [ask(1, 9, after=(2,)), ask(2, 9, after=(1,)), ask(3, 9)]
    assert [job.job_id for job in in_order(asks)] == [3, 1, 2]
    planned = queue(asks)
    assert isinstance(planned[1], Infeasible)
    assert start_h(planned[3]) == 3


# Priorities and shares


def test_higher_priority_goes_first() -> None:
    planned = queue([ask(1, None, hours=2), ask(2, None, hours=2, priority=5)], FLAT, ONE)
    assert (start_h(planned[2]), start_h(planned[1])) == (0, 2)


def test_lower_priority_gives_way_where_both_cannot_be_in_time() -> None:
    asks = [ask(1, 2, hours=2), ask(2, 2, hours=2, priority=5)]
    planned = queue(asks, FLAT, ONE)
    assert isinstance(planned[1], Infeasible)
    assert start_h(planned[2]) == 0
    kept = {1: plans_of(queue([asks[0]], FLAT, ONE))[1]}
    assert isinstance(queue(asks, FLAT, ONE, kept)[1], Infeasible)


def test_newcomer_of_higher_priority_takes_no_promised_deadline() -> None:
    promised = ask(1, 4, hours=4)
    kept = plans_of(queue([promised], FLAT, ONE))
    with pytest.raises(Refused):
        admit(ask(2, 5, hours=3, priority=90), situation([promised], FLAT, (ONE,), keep=kept))


def test_newcomer_of_higher_priority_goes_before_jobs_that_can_wait() -> None:
    waiting = [ask(1, None, hours=4), ask(2, 20, hours=3)]
    kept = plans_of(queue(waiting, FLAT, ONE))
    admission = admit(ask(3, None, hours=2, priority=1), situation(waiting, FLAT, (ONE,), keep=kept))
    assert start_h(admission.plan) == 0
    assert {*admission.moved} == {2}  # the one that had the first hours; the other stays where it is
    assert admission.moved[2].window.end <= T0 + 20 * HOUR
    same = admit(ask(3, None, hours=2), situation(waiting, FLAT, (ONE,), keep=kept))
    assert (start_h(same.plan), same.moved) == (7, {})


def test_of_equal_priority_who_used_less_goes_first() -> None:
    asks = [ask(1, None, hours=2, user="ann"), ask(2, None, hours=2, user="bob")]
    planned = queue(asks, FLAT, ONE, shares={"ann": 9.5, "bob": 1.0})
    assert (start_h(planned[2]), start_h(planned[1])) == (0, 2)


# Arrays


def test_of_an_array_only_so_many_run_at_a_time() -> None:
    asks = [ask(job_id, None, array="7", array_limit=2) for job_id in range(1, 6)]
    planned = queue(asks, FLAT)
    assert [start_h(planned[job_id]) for job_id in range(1, 6)] == [0, 0, 1, 1, 2]
    busy = queue(asks, FLAT, bookings=[runs(0, 4, array="7")])
    assert [start_h(busy[job_id]) for job_id in range(1, 6)] == [0, 1, 2, 3, 4]


# Put off


def test_job_that_was_put_off_often_enough_is_not_put_off_again() -> None:
    policy = replace(EXACT, max_postponed=2)
    kept = plans_of(queue([ask(1, 20)]))
    better = [300.0] * 3 + [100] * 6 + [20] + [300.0] * 38
    assert start_h(queue([ask(1, 20, postponed=1)], better, keep=kept, policy=policy)[1]) == 9
    assert queue([ask(1, 20, postponed=2)], better, keep=kept, policy=policy)[1] is kept[1]
    earlier = [300.0, 20] + [300.0] * 46
    assert start_h(queue([ask(1, 20, postponed=2)], earlier, keep=kept, policy=policy)[1]) == 1


def test_job_that_has_to_be_put_off_again_starts_as_soon_as_it_fits() -> None:
    policy = replace(EXACT, max_postponed=2)
    kept = plans_of(queue([ask(1, 20)], region=ONE))
    late_dip = [300.0] * 15 + [20] + [300.0] * 32
    planned = queue([ask(1, 20, postponed=2)], late_dip, ONE, kept, policy=policy, bookings=[runs(0, 6)])
    assert isinstance(planned[1], Plan)
    assert start_h(planned[1]) == 6
    assert planned[1].reason == "was put off 2 times already, which is enough: starts as soon as it fits"


# Jobs in several stints


def stinted(job_id: int, *stints: tuple[float, float]) -> Plan:
    parts = tuple(Stint("local", "A100", Window(T0 + a * HOUR, T0 + b * HOUR)) for a, b in stints)
    window = Window(parts[0].window.start, parts[-1].window.end)
    return Plan(job_id, "local", "A100", window, Why.CLEANEST, "in stints", stints=parts)


def test_kept_stints_stay_and_leave_their_pauses_to_others() -> None:
    split = ask(1, 20, hours=2, pausing=Pausing())
    kept = {1: stinted(1, (1, 2), (4, 5))}
    planned = queue([split, ask(2, 20, hours=2)], [300.0] * 2 + [100, 100] + [300] * 44, ONE, kept)
    assert planned[1] is kept[1]
    assert start_h(planned[2]) == 2
    again = queue([split], FLAT, ONE, kept, bookings=[runs(0, 4.5)])
    assert again[1] is not kept[1]


def test_stints_make_room_for_a_newcomer_that_cannot_wait() -> None:
    split = ask(1, 20, hours=2, pausing=Pausing())
    here = situation([split], FLAT, (ONE,), keep={1: stinted(1, (1, 2), (4, 5))})
    admission = admit(ask(2, 3, hours=3), here)
    assert start_h(admission.plan) == 0
    assert start_h(admission.moved[1]) == 3


# Offers


def test_offers_of_a_job_with_a_deadline_start_from_its_own_slack() -> None:
    values = [300.0] * 3 + [240] + [300] * 4 + [210] + [300] * 10 + [30] + [300] * 20
    made = offers(ask(1, 5), situation([], values))
    assert [(slack_h, round(saving or 0)) for slack_h, _, saving in made] == [(4, 20), (10, 30), (28, 90)]
    assert alternatives(made) == (
        "6 h more slack would be expected to give 30 % instead of 20 %",
        "24 h more slack would be expected to give 90 % instead of 20 %",
    )
    assert alternatives(offers(ask(1, 5), situation([], None))) == ()


def test_what_follows_is_as_fast_as_the_gpus_that_there_are() -> None:
    kinds = (GpuKind("a100"), GpuKind("t4", 0.5))
    asks = [ask(1, None, 1), ask(2, 10, 4, kinds=kinds, after=(1,))]
    slow = Region("local", pools=(Pool("T4", 1),), cpus=16)
    assert dues(asks, Speeds([slow]).fastest) == {1: ceil_ms(T0 + 2 * HOUR)}
    dirty_first = [300.0] * 4 + [100.0] * 44
    planned = queue(asks, dirty_first, slow)
    assert (start_h(planned[1]), start_h(planned[2])) == (0, 2)
