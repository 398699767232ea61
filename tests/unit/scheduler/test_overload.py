"""Queues in which some jobs are late whatever is done."""

import pytest

from tests.timetables.situations import HOUR, T0, ask, drawn, situation
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning import queue
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.overload import late, seated
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.triage import carried_out
from tidewatt.scheduler.planning.validator import plan_faults
from tidewatt.scheduler.planning.whole import plan_whole


def ends(plans: dict[int, Plan | Infeasible]) -> list[float]:
    return sorted((plan.window.end - T0) / HOUR for plan in map(carried_out, plans.values()) if plan)


@pytest.mark.parametrize("accepted", [True, False])
def test_who_is_late_anyway_does_not_wait_for_cleaner_hours(accepted: bool) -> None:
    dirty_first = situation(
        [ask(1, 5, 3, late=accepted), ask(2, 5, 3, late=accepted)], [300.0] * 3 + [100.0] * 44
    )
    assert ends(plan_queue(dirty_first)) == [3, 6]
    assert ends(plan_whole(dirty_first)[0]) == [3, 6]


@pytest.mark.parametrize("seed", range(12))
def test_no_more_jobs_are_late_than_first_come_first_served(seed: int) -> None:
    crowded = drawn(seed, 14)
    assert late(crowded.asks, plan_queue(crowded)) <= late(crowded.asks, plan_first_come(crowded))


@pytest.mark.parametrize("seed", [*range(10), 53])
def test_cleaner_windows_around_first_come_first_served_are_sound(seed: int) -> None:
    crowded = drawn(seed, 14)
    plain = plan_first_come(crowded)
    made = seated(crowded, plain)
    assert plan_faults(crowded, made) == []
    assert late(crowded.asks, made) == late(crowded.asks, plain)


def test_a_large_overloaded_queue_is_planned_without_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def triage(*_: object) -> dict[int, Plan | Infeasible]:
        raise AssertionError("orders were tried")

    monkeypatch.setattr(queue, "triage", triage)
    crowded = situation([ask(number, finish_h=20) for number in range(1, 221)])
    made = plan_queue(crowded)
    assert sum(isinstance(plan, Infeasible) for plan in made.values()) == 200
    assert plan_faults(crowded, made) == []
    assert max(ends(made)) == 220
