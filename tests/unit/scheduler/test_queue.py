"""All waiting jobs together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Why, Window
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.queue import Admission, admit, offers, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0.02, min_wait=timedelta(0), margin=timedelta(0))
HOST = Region("local", pools=(Pool("A100", 1),), cpus=16)
DIP = [300.0] * 3 + [100] + [300] * 20  # gCO2/kWh in each hour


def outlook(values: Sequence[float]) -> Outlook:
    starts = floor_ms(T0) + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * HOUR, Rung.LIVE, "file x.csv")
    return Outlook("DE", KIND, Steps(starts, starts + 3_600_000, np.array(values, float)), (segment,))


def ask(job_id: int, finish_h: float | None = 8, hours: float = 1, **changes: object) -> Ask:
    finish_by = None if finish_h is None else T0 + finish_h * HOUR
    submitted = T0 + job_id * timedelta(seconds=1) - HOUR
    usual = Ask(job_id, submitted, Need(gpus=1), hours * HOUR, "yours", 1000.0, "given", finish_by=finish_by)
    return replace(usual, **changes)  # type: ignore[arg-type]


def running(start_h: float, end_h: float, gpus: int = 1) -> Booking:
    return Booking("local", "A100", Window(T0 + start_h * HOUR, T0 + end_h * HOUR), gpus, 1, holder="job 99")


def queue(
    asks: Sequence[Ask],
    values: Sequence[float] | None = DIP,
    bookings: Sequence[Booking] = (),
    keep: dict[int, Plan] | None = None,
    now: datetime = T0,
    policy: Policy = EXACT,
    region: Region = HOST,
) -> dict[int, Plan | Infeasible]:
    ahead = None if values is None else outlook(values)
    return plan_queue(Situation((region,), {"local": ahead}, bookings, now, policy, asks, keep or {}))


def newcomer(
    job: Ask,
    asks: Sequence[Ask],
    keep: dict[int, Plan],
    values: Sequence[float] = DIP,
    region: Region = HOST,
    bookings: Sequence[Booking] = (),
) -> Admission:
    situation = Situation((region,), {"local": outlook(values)}, bookings, T0, EXACT, asks, keep)
    return admit(job, situation)


def start_h(plan: Plan | Infeasible) -> float:
    assert isinstance(plan, Plan)
    return (plan.window.start - T0) / HOUR


def plans_of(planned: dict[int, Plan | Infeasible]) -> dict[int, Plan]:
    return {job_id: plan for job_id, plan in planned.items() if isinstance(plan, Plan)}


def test_jobs_share_one_gpu_without_overlap() -> None:
    planned = queue([ask(1), ask(2), ask(3, finish_h=2)])
    assert [start_h(planned[job_id]) for job_id in (1, 2, 3)] == [3, 1, 0]


def test_kept_plan_stays_the_same_object() -> None:
    asks = [ask(1), ask(2)]
    first = plans_of(queue(asks))
    again = queue(asks, keep=first)
    assert all(again[job_id] is plan for job_id, plan in first.items())


def test_kept_plan_stays_while_only_time_passes() -> None:
    falling = [300.0 - hour for hour in range(24)]
    kept = plans_of(queue([ask(1, finish_h=20)], falling))
    for minutes in range(0, 19 * 60, 7):
        assert queue([ask(1, finish_h=20)], falling, keep=kept, now=T0 + minutes * MINUTE)[1] is kept[1]


def test_due_plan_stays_due() -> None:
    kept = plans_of(queue([ask(1)]))
    assert queue([ask(1)], keep=kept, now=kept[1].window.start + timedelta(seconds=40))[1] is kept[1]


def test_plan_that_was_slept_through_is_made_anew() -> None:
    kept = plans_of(queue([ask(1)]))
    anew = queue([ask(1)], keep=kept, now=kept[1].window.start + 2 * HOUR)[1]
    assert start_h(anew) == 5


def test_better_forecast_moves_a_kept_plan_only_if_it_is_worth_it() -> None:
    kept = plans_of(queue([ask(1)]))
    little = list(DIP)
    little[5] = 99
    assert queue([ask(1)], little, keep=kept)[1] is kept[1]
    little[5] = 90
    assert start_h(queue([ask(1)], little, keep=kept)[1]) == 5


def test_lost_forecast_keeps_the_plan_made_with_it() -> None:
    kept = plans_of(queue([ask(1)]))
    assert queue([ask(1)], None, keep=kept)[1] is kept[1]


def test_found_forecast_replaces_a_start_as_soon_as_it_fits() -> None:
    kept = plans_of(queue([ask(1)], None, bookings=[running(0, 1)]))
    assert start_h(kept[1]) == 1
    assert start_h(queue([ask(1)], keep=kept, bookings=[running(0, 1)])[1]) == 3


def test_freed_gpu_is_taken_by_the_job_that_waits_for_room() -> None:
    for deadline, values in ((None, DIP), (20, [300.0] * 24)):
        kept = plans_of(queue([ask(1, deadline)], values, bookings=[running(0, 4)]))
        assert start_h(kept[1]) == 4
        assert start_h(queue([ask(1, deadline)], values, keep=kept)[1]) == 0


def test_overrunning_job_pushes_those_behind_it() -> None:
    kept = plans_of(queue([ask(1)]))
    planned = queue([ask(1)], keep=kept, bookings=[running(0, 5)])
    assert start_h(planned[1]) == 5


def test_changed_duration_makes_the_plan_anew() -> None:
    kept = plans_of(queue([ask(1)]))
    planned = queue([ask(1, hours=2)], keep=kept)[1]
    assert isinstance(planned, Plan)
    assert planned.window.end - planned.window.start == 2 * HOUR


def test_region_that_is_gone_makes_the_plan_anew() -> None:
    kept = {1: replace(plans_of(queue([ask(1)]))[1], region="gone")}
    assert start_h(queue([ask(1)], keep=kept)[1]) == 3


def test_started_by_hand_takes_the_first_room() -> None:
    kept = plans_of(queue([ask(1)]))
    planned = queue([ask(1, at_once=True)], keep=kept)[1]
    assert isinstance(planned, Plan)
    assert (start_h(planned), planned.why) == (0, Why.ASKED)


def test_job_that_cannot_be_in_time_says_so_and_still_gets_the_first_room() -> None:
    planned = queue([ask(1, finish_h=2)], bookings=[running(0, 5)])[1]
    assert isinstance(planned, Infeasible)
    assert "the earliest finish is 2026-03-01 06:00 UTC" in planned.reason
    assert planned.earliest is not None
    assert start_h(planned.earliest) == 5


def test_job_past_its_deadline_is_still_planned() -> None:
    planned = queue([ask(1, finish_h=2)], now=T0 + 3 * HOUR)[1]
    assert isinstance(planned, Infeasible)
    assert planned.earliest is not None
    assert start_h(planned.earliest) == 3


def test_late_job_does_not_wait_behind_one_with_slack() -> None:
    asks = [ask(1, finish_h=20, hours=4), ask(2, finish_h=2, hours=2)]
    kept = {1: plans_of(queue([asks[0]], [100.0] * 24))[1]}  # job 1 from 0 to 4
    planned = queue(asks, [100.0] * 24, keep=kept, now=T0 + MINUTE)
    assert isinstance(planned[2], Infeasible)
    assert planned[2].earliest is not None
    assert planned[2].earliest.window.start == T0 + MINUTE
    assert start_h(planned[1]) >= 2


def test_persistent_miss_does_not_shuffle_the_others() -> None:
    asks = [ask(1, finish_h=20, hours=4), ask(2, finish_h=2, hours=2), ask(3, finish_h=22, hours=3)]
    now = T0 + MINUTE
    first = queue(asks, now=now)
    missed = first[2]
    assert isinstance(missed, Infeasible)
    again = queue(asks, now=now, keep=plans_of(first))
    assert all(again[job_id] is first[job_id] for job_id in (1, 3))


def test_overrun_is_absorbed_by_jobs_with_slack() -> None:
    asks = [ask(1, finish_h=20, hours=2), ask(2, finish_h=6, hours=2)]
    kept = plans_of(queue(asks, [300.0] * 2 + [100] * 2 + [50] * 2 + [300] * 18))
    bookings = [running(0, 4)]
    planned = queue(asks, [300.0] * 2 + [100] * 2 + [50] * 2 + [300] * 18, keep=kept, bookings=bookings)
    assert start_h(planned[2]) == 4
    assert start_h(planned[1]) >= 6


def test_newcomer_takes_what_is_left() -> None:
    waiting = [ask(1)]
    kept = plans_of(queue(waiting))
    admission = newcomer(ask(2), waiting, kept)
    assert start_h(admission.plan) == 0
    assert admission.moved == {}


def test_newcomer_with_a_tight_deadline_moves_a_job_that_has_slack() -> None:
    waiting = [ask(1, finish_h=20, hours=4)]
    kept = plans_of(queue(waiting, [100.0] * 4 + [300] * 20))
    assert start_h(kept[1]) == 0
    admission = newcomer(ask(2, finish_h=2, hours=2), waiting, kept, [100.0] * 4 + [300] * 20)
    assert start_h(admission.plan) == 0
    assert start_h(admission.moved[1]) >= 2


def test_newcomer_is_refused_where_an_accepted_job_would_miss() -> None:
    waiting = [ask(1, finish_h=4, hours=4)]
    kept = plans_of(queue(waiting))
    with pytest.raises(
        Refused, match=r"the earliest finish is 2026-03-01 06:00 UTC, in local. Accept that with --late"
    ):
        newcomer(ask(2, finish_h=3, hours=2), waiting, kept)
    admission = newcomer(ask(2, finish_h=3, hours=2, late=True), waiting, kept)
    assert (start_h(admission.plan), admission.plan.why, admission.moved) == (4, Why.LATE, {})


def test_job_accepted_as_late_keeps_its_finish() -> None:
    late = ask(2, finish_h=3, hours=2, late=True)
    waiting = [ask(1, finish_h=4, hours=4)]
    kept = plans_of(queue(waiting))
    kept[2] = newcomer(late, waiting, kept).plan
    with pytest.raises(Refused, match="earliest finish is 2026-03-01 08:00"):
        newcomer(ask(3, finish_h=7, hours=2), [*waiting, late], kept)
    assert queue([*waiting, late], keep=kept)[2] is kept[2]


def test_admission_tells_where_a_job_at_risk_has_gone() -> None:
    waiting = [ask(1, finish_h=3, hours=2)]
    kept = plans_of(queue(waiting))
    admission = newcomer(ask(2, None), waiting, kept, bookings=[running(0, 5)])
    assert start_h(admission.moved[1]) == 5
    assert start_h(admission.plan) == 7


def test_late_is_only_used_where_it_is_needed() -> None:
    waiting = [ask(1, finish_h=20, hours=4)]
    kept = plans_of(queue(waiting, [100.0] * 4 + [300] * 20))
    admission = newcomer(ask(2, finish_h=2, hours=2, late=True), waiting, kept, [100.0] * 4 + [300] * 20)
    assert admission.plan.why is not Why.LATE
    assert start_h(admission.moved[1]) >= 2


def test_every_order_is_tried_before_a_small_queue_refuses() -> None:
    # Two GPUs; only by starting the two-GPU job between the others do all three meet their deadlines.
    host = replace(HOST, pools=(Pool("A100", 2),))
    waiting = [ask(1, finish_h=7, hours=3), ask(2, finish_h=3, hours=3), ask(3, finish_h=9, hours=2)]
    kept = plans_of(queue(waiting, region=host))
    wide = ask(4, finish_h=5, hours=2, need=Need(gpus=2))
    admission = newcomer(wide, waiting, kept, region=host)
    assert start_h(admission.plan) == 3
    plans = kept | admission.moved
    assert (start_h(plans[2]), start_h(plans[1])) == (0, 0)
    assert 5 <= start_h(plans[3]) <= 7


def test_newcomer_is_held_to_its_own_terms() -> None:
    with pytest.raises(BadInput, match="is in the past"):
        newcomer(ask(2, finish_h=-1), (), {})


def test_lasting_foreign_use_refuses_with_a_sentence() -> None:
    for_ever = Booking("local", "A100", Window(T0, datetime.max.replace(tzinfo=UTC)), 1, 0, holder="pid 7")
    with pytest.raises(Refused, match="has room for it, now or later"):
        newcomer(ask(1), (), {}, bookings=[for_ever])


def test_bookings_of_unknown_regions_are_ignored() -> None:
    elsewhere = Booking("gone", "A100", Window(T0, T0 + HOUR), 1, 1)
    assert start_h(queue([ask(1)], bookings=[elsewhere])[1]) == 3


def slack(values: Sequence[float] | None, bookings: Sequence[Booking] = ()) -> tuple[object, ...]:
    ahead = None if values is None else outlook(values)
    return offers(ask(1, None), Situation((HOST,), {"local": ahead}, bookings, T0, EXACT))


def test_offers_say_what_slack_would_give() -> None:
    dips = [300.0] * 3 + [150] + [300] * 16 + [30] + [300] * 9
    assert slack(dips) == ((6.0, T0 + 3 * HOUR, 50.0), (24.0, T0 + 20 * HOUR, 90.0))


def test_offers_count_from_the_first_room() -> None:
    dips = [300.0] * 8 + [150] + [300] * 20
    assert slack(dips)[0] == (6.0, T0, 0.0)
    assert slack(dips, [running(0, 2)])[0] == (6.0, T0 + 8 * HOUR, 50.0)


def test_offers_without_a_signal_say_that_nothing_is_known() -> None:
    assert slack(None) == ((6.0, None, None), (24.0, None, None))
