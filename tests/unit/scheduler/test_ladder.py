"""From planner to planner, until one answers soundly."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.timetables.situations import HOUR, MINUTE, T0, ask, drawn, outlook, situation
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, GpuKind, Pausing, Plan, Stint, Why, Window
from tidewatt.scheduler.planning import ladder, queue
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import Admission, admit, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import Certificate
from tidewatt.scheduler.planning.validator import missed, plan_faults
from tidewatt.scheduler.region import Pool, Region

LONG_S = 60.0  # never reached
Plans = Mapping[int, Plan | Infeasible]
Answer = tuple[Plans, Certificate | None]
TWO = situation([ask(1), ask(2, finish_h=20)])


def raising(_: Situation) -> Answer:
    raise ZeroDivisionError("no GPUs at all")


def sound(asked: Situation) -> Answer:
    return plan_queue(asked), None


def answering(change: Callable[[dict[int, Plan | Infeasible]], object]) -> ladder.Planner:
    """A planner whose plans are spoilt."""

    def planner(asked: Situation) -> Answer:
        plans: dict[int, Plan | Infeasible] = plan_queue(asked)
        change(plans)
        return plans, None

    return planner


def moved(plan: Plan | Infeasible, by: timedelta) -> Plan:
    assert isinstance(plan, Plan)
    return replace(plan, window=Window(plan.window.start + by, plan.window.end + by))


def altered(plan: Plan | Infeasible, **changes: object) -> Plan:
    assert isinstance(plan, Plan)
    return replace(plan, **changes)  # type: ignore[arg-type]


def window(plan: Plan | Infeasible) -> tuple[float, float]:
    assert isinstance(plan, Plan)
    return (plan.window.start - T0) / HOUR, (plan.window.end - T0) / HOUR


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a planner hangs on, until the test's end."""
    held = threading.Event()
    yield held
    held.set()


def test_the_first_sound_planner_is_used() -> None:
    made = ladder.plan(TWO, [("best", sound), ("next", raising)], LONG_S)
    assert (made.planner, made.troubles) == ("best", ())
    assert plan_faults(TWO, made.plans) == []


def test_the_planners_that_come_with_it_answer_soundly() -> None:
    made = ladder.plan(TWO)
    assert (made.planner, made.troubles) == ("whole queue", ())
    assert made.certificate is not None
    assert made.certificate.cost_g >= made.certificate.bound_g > 0


def test_a_planner_that_raises_is_told_and_the_next_one_is_used() -> None:
    made = ladder.plan(TWO, [("best", raising), ("next", sound)], LONG_S)
    assert made.planner == "next"
    assert made.troubles == ("best: ZeroDivisionError: no GPUs at all",)


def test_a_planner_that_hangs_is_left_alone_until_it_has_come_back(gate: threading.Event) -> None:
    calls = []

    def hanging(asked: Situation) -> Answer:
        calls.append(asked)
        gate.wait(LONG_S)
        return sound(asked)

    rungs = [("best", hanging), ("next", sound)]
    assert ladder.plan(TWO, rungs, 0.01).troubles == ("best: no answer within 0.01 s",)
    assert ladder.plan(TWO, rungs, 0.01).troubles == ("best: it still hangs",)
    assert len(calls) == 1
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "planner best":
            thread.join(LONG_S)
    assert ladder.plan(TWO, rungs, LONG_S).planner == "best"
    assert len(calls) == 2


NONSENSE: dict[str, Callable[[dict[int, Plan | Infeasible]], object]] = {
    "have no plan": lambda plans: plans.pop(1),
    "which does not wait": lambda plans: plans.update({3: plans[1]}),
    "is not a plan of it": lambda plans: plans.update({1: plans[2]}),
    "GPUs A100 are used": lambda plans: plans.update({2: replace(plans[1], job_id=2)}),
    "too late for its deadline": lambda plans: plans.update({1: moved(plans[1], 12 * HOUR)}),
    "are no numbers": lambda plans: plans.update({1: altered(plans[1], expected_g=float("nan"))}),
    "by the forecast it is": lambda plans: plans.update({1: altered(plans[1], expected_g=1.0)}),
    "there is no region mars": lambda plans: plans.update({1: altered(plans[1], region="mars")}),
    "cannot run in local on B200": lambda plans: plans.update({1: altered(plans[1], pool="B200")}),
    "but takes 3600000 ms": lambda plans: plans.update(
        {1: altered(plans[1], window=Window(T0, T0 + 30 * MINUTE))}
    ),
    "is no stretch of time": lambda plans: plans.update({1: altered(plans[1], window=Window(T0, T0))}),
    "jobs miss their deadlines, 0 if": lambda plans: plans.update({1: Infeasible(1, "no luck", None)}),
    "without a reason": lambda plans: plans.update({1: Infeasible(1, "", None)}),
}


@pytest.mark.parametrize("told", NONSENSE)
def test_nonsense_is_found_and_the_next_planner_used(told: str) -> None:
    made = ladder.plan(TWO, [("best", answering(NONSENSE[told])), ("next", sound)], LONG_S)
    assert made.planner == "next"
    assert told in made.troubles[0]


@pytest.mark.parametrize("answer", [None, "plans", ({},), (None, None)])
def test_an_answer_of_another_kind_is_nonsense_too(answer: object) -> None:
    def planner(_: Situation) -> Any:
        return answer

    made = ladder.plan(TWO, [("best", planner), ("next", sound)], LONG_S)
    assert made.planner == "next"


def test_without_any_planner_jobs_run_first_come_first_served() -> None:
    made = ladder.plan(TWO, [("best", raising), ("next", raising)], LONG_S)
    assert made.planner == ladder.LAST
    assert [window(made.plans[job_id]) for job_id in (1, 2)] == [(0, 1), (1, 2)]
    assert len(made.troubles) == 2


def test_with_nothing_left_there_are_no_plans_and_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "plan_first_come", raising)
    made = ladder.plan(TWO, [("best", raising)], LONG_S)
    assert (made.planner, made.plans) == ("none", {})
    assert len(made.troubles) == 2


def test_a_job_is_admitted_though_the_planner_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(newcomer: Ask, seen: Situation) -> Admission:
        if seen.outlooks:
            raise FloatingPointError("such a forecast")
        return admit(newcomer, seen)

    monkeypatch.setattr(queue, "admit", unable)
    assert ladder.admit(ask(3, finish_h=20), TWO).plan.why is Why.NO_SIGNAL
    monkeypatch.setattr(queue, "admit", raising_for_newcomers)
    assert window(ladder.admit(ask(3, finish_h=20), TWO).plan) == (2, 3)
    urgent = ladder.admit(ask(3, finish_h=1.5, hours=1.4), TWO)
    assert window(urgent.plan) == (0, 1.4)
    assert set(urgent.moved) == {1, 2}
    for far_too_long in (ask(3, finish_h=1.5, hours=1.6), ask(3, finish_h=7.5, hours=7.5)):
        with pytest.raises(Refused, match="the planner failed: ZeroDivisionError"):
            ladder.admit(far_too_long, TWO)


def test_a_job_that_cannot_be_done_is_refused_by_the_ladder_too() -> None:
    with pytest.raises(BadInput):
        ladder.admit(ask(3, need=Need(gpus=9)), TWO)


def raising_for_newcomers(newcomer: Ask, seen: Situation) -> Admission:
    raise ZeroDivisionError(newcomer.job_id)


def test_first_come_keeps_what_was_planned_while_it_holds() -> None:
    planned = plan_queue(TWO)
    assert window(planned[1]) == (3, 4)
    keep = {job_id: plan for job_id, plan in planned.items() if isinstance(plan, Plan)}
    assert plan_first_come(replace(TWO, keep=keep)) == keep
    busy = Booking("local", "A100", Window(T0, T0 + 3.5 * HOUR), 1, 1)
    again = plan_first_come(replace(TWO, keep=keep, bookings=(busy,)))
    assert window(again[1]) != (3, 4)
    assert not missed(TWO, again)


def test_first_come_takes_the_urgent_first_where_arrival_would_miss() -> None:
    queue = situation([ask(1, finish_h=9, hours=4), ask(2, finish_h=2)])
    plans = plan_first_come(queue)
    assert window(plans[2]) == (0, 1)
    assert missed(queue, plans) == []


def test_one_late_job_of_high_priority_weighs_more_than_two_others() -> None:
    first = ask(1, finish_h=2, hours=2, priority=1)
    queue_of_three = situation([first, ask(2, finish_h=1), ask(3, finish_h=2)])

    def spares_the_others(asked: Situation) -> Answer:
        plans = plan_first_come(
            replace(asked, asks=[replace(each, priority=-each.priority) for each in asked.asks])
        )
        return plans, None

    made = ladder.plan(queue_of_three, [("best", spares_the_others)], LONG_S)
    assert made.planner == ladder.LAST
    assert missed(queue_of_three, made.plans) == [2, 3]


def test_first_come_says_what_cannot_be_done() -> None:
    far = situation(
        [ask(1, finish_h=1, hours=4), ask(2, need=Need(gpus=9)), ask(3, finish_h=1, hours=4, late=True)]
    )
    plans = plan_first_come(far)
    assert isinstance(plans[1], Infeasible)
    assert plans[1].earliest is not None
    assert "the earliest finish is" in plans[1].reason
    assert isinstance(plans[2], Infeasible)
    assert plans[2].earliest is None
    assert isinstance(plans[3], Plan)
    assert plans[3].why is Why.LATE


def test_first_come_keeps_arrays_orders_closed_hours_and_power() -> None:
    closed = (Window(T0 + HOUR, T0 + 2 * HOUR),)
    region = Region("local", pools=(Pool("A100", 4),), cpus=16, power_limit_kw=2.0, closed=closed)
    jobs = [
        ask(1, 20, array="1", array_limit=1),
        ask(2, 20, array="1", array_limit=1),
        ask(3, 20, after=(1,), hours=0.5),
        ask(4, 20, power_w=1500.0, kinds=(GpuKind("a100", 2.0),)),
    ]
    queue = situation(jobs, regions=(region,))
    plans = plan_first_come(queue)
    assert plan_faults(queue, plans) == []
    assert [window(plans[i]) for i in (1, 2, 3, 4)] == [(0, 1), (2, 3), (2, 2.5), (3, 3.5)]


@pytest.mark.parametrize("seed", range(40))
def test_first_come_is_sound_whatever_the_queue(seed: int) -> None:
    queue = drawn(seed)
    assert plan_faults(queue, plan_first_come(queue)) == []


def test_a_plan_is_judged_by_the_forecast_that_it_was_made_with() -> None:
    planned = plan_queue(TWO)
    kept = {job_id: plan for job_id, plan in planned.items() if isinstance(plan, Plan)}
    later = replace(TWO, outlooks={"local": outlook([900.0] * 48)})
    assert "by the forecast" in plan_faults(later, planned)[0]
    assert plan_faults(replace(later, keep=kept), planned) == []


def test_people_on_the_gpus_are_no_fault_of_a_plan_elsewhere() -> None:
    crowd = Booking("local", "A100", Window(T0, T0 + 2 * HOUR), 3, 0)
    queue = situation([ask(1, finish_h=20)], bookings=(crowd,))
    assert plan_faults(queue, plan_queue(queue)) == []
    now = {1: altered(plan_queue(situation([ask(1, finish_h=1)]))[1], expected_g=None)}
    assert "4 GPUs A100 are used" in plan_faults(queue, now)[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"regions": ("north",)}, "it may not run in local"),
        ({"release": T0 + 5 * HOUR}, "before its release"),
        ({"after": (2,)}, "before job 2 has ended"),
        ({"power_w": 5000.0}, "W are used"),
        ({"need": Need(gpus=1, mem_mb=900)}, "MB are used"),
        ({"need": Need(gpus=1, cpus=16)}, "CPUs are used"),
    ],
)
def test_what_a_job_or_an_operator_does_not_allow_is_told(changes: dict[str, object], told: str) -> None:
    region = Region("local", pools=(Pool("A100", 2),), cpus=16, mem_mb=1000, power_limit_kw=3.0)
    two = [ask(1, 20, power_w=100.0), ask(2, 20, need=Need(gpus=1, mem_mb=200), power_w=100.0)]
    queue = situation(two, regions=(region,))
    plans = {i: altered(plan, expected_g=None) for i, plan in plan_queue(queue).items()}
    assert plan_faults(queue, plans) == []
    changed = replace(queue, asks=[replace(two[0], **changes), two[1]])  # type: ignore[arg-type]
    assert any(told in each for each in plan_faults(changed, plans))


def test_stints_have_to_do_the_work() -> None:
    pausing = Pausing(checkpoint=10 * MINUTE, restart=5 * MINUTE, max_pauses=1)
    queue_of_one = situation([ask(1, 20, hours=2, pausing=pausing)])
    whole = plan_queue(situation([ask(1, 20, hours=2)]))[1]

    def told(*hours: tuple[float, float]) -> list[str]:
        stints = tuple(Stint("local", "A100", Window(T0 + a * HOUR, T0 + b * HOUR)) for a, b in hours)
        spans = Window(stints[0].window.start, stints[-1].window.end)
        return plan_faults(queue_of_one, {1: altered(whole, stints=stints, window=spans, expected_g=None)})

    assert told((0, 1), (3, 4.25)) == []
    assert "only 87.5% of its work" in told((0, 1), (3, 4))[0]
    assert "overlap" in told((0, 1), (0.5, 2))[0]
    assert "at most 1 are allowed" in told((0, 1), (3, 4.25), (5, 6))[0]
    assert "cannot" in plan_faults(replace(queue_of_one, asks=[ask(1, 20, hours=2)]), {
        1: altered(whole, stints=(Stint("local", "A100", Window(T0, T0 + 2 * HOUR)),), expected_g=None)
    })[0]  # fmt: skip


def test_an_admission_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    def hanging(*_: object) -> Admission:
        gate.wait(LONG_S)
        raise AssertionError

    monkeypatch.setattr(queue, "admit", hanging)
    plan = ladder.admit(ask(3, finish_h=20), TWO, 0.01).plan
    assert plan.why is Why.NO_SIGNAL
    with pytest.raises(Refused, match=r"could not be planned in time: it still hangs"):
        ladder.admit(ask(3, finish_h=1.2, hours=1.1), replace(TWO, asks=[ask(1, 1.2), ask(2)]), 0.01)


def test_offers_that_hang_are_given_up(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    monkeypatch.setattr(queue, "offers", lambda *_: gate.wait(LONG_S))
    assert ladder.offers(ask(3), TWO, 0.01) == ()
