"""Newcomers that come together: an array beside what waits already."""

from dataclasses import replace

import pytest

from tests.timetables.situations import T0, ask, situation
from tidewatt.scheduler.daemon.admission import admit_all
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation

OVERLOADED = situation([ask(number, finish_h=3) for number in range(1, 7)])
TASKS = [ask(100 + task, None, array="new") for task in range(3)]


def kept(queue: Situation) -> Situation:
    """The queue with the plans that a round would have stored."""
    made = plan_queue(queue).items()
    plans = {i: plan.earliest if isinstance(plan, Infeasible) else plan for i, plan in made}
    return replace(queue, keep={i: plan for i, plan in plans.items() if plan is not None})


def test_an_array_without_deadline_waits_behind_an_overloaded_queue() -> None:
    queue = kept(OVERLOADED)
    admitted = admit_all(TASKS, queue)
    assert admitted.moved == {}
    last = max(plan.window.end for plan in queue.keep.values())
    assert all(plan.window.start >= last for plan in admitted.plans.values())
    assert len(admitted.plans) == 3


def test_an_array_without_deadline_needs_no_planning_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(*_: object) -> ladder.QueuePlan:
        raise AssertionError("everything was planned anew")

    monkeypatch.setattr(ladder, "plan", plan)
    assert len(admit_all(TASKS, kept(OVERLOADED)).plans) == 3


def test_tasks_with_a_deadline_may_move_those_that_wait() -> None:
    queue = kept(situation([ask(1, finish_h=8)]))
    assert queue.keep[1].window.start.hour == 3
    urgent = [ask(100 + task, finish_h=5, hours=2) for task in range(2)]
    admitted = admit_all(urgent, queue)
    assert isinstance(admitted.moved[1], Plan)
    assert admitted.moved[1].window.start >= max(plan.window.end for plan in admitted.plans.values())


def test_tasks_that_would_make_one_late_that_is_in_time_are_refused() -> None:
    queue = kept(situation([ask(1, finish_h=2, hours=1.5)]))
    assert queue.keep[1].window.start < T0 + (queue.keep[1].window.end - queue.keep[1].window.start)
    with pytest.raises(Refused, match="no room for all"):
        admit_all([ask(100 + task, finish_h=2, hours=0.5, priority=0) for task in range(3)], queue)
