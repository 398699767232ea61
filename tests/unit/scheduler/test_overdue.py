"""Delays that nobody planned: how long a job was past its plan's start and its turn, without running."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.quantity import span
from tidewatt.scheduler.accounting.runs import overdue_ms

NINE = time_ms(datetime(2026, 3, 1, 9, tzinfo=UTC))
HOUR = 3_600_000
MINUTE = 60_000

Step = tuple[str, float] | tuple[str, float, float]


def told(*steps: Step, factor: int = 1) -> Iterator[dict[str, Any]]:
    """Events of (kind, hours after nine, hours after nine that a plan or a start is for)."""
    for kind, at, *meant in steps:
        payload: dict[str, Any] = {}
        if kind == "plan":
            payload = {"start_ms": NINE + round(meant[0] * HOUR)}
        elif kind == "attempt.launching" and factor != 1:
            payload = {"replay_factor_milli": 1000 * factor}
        elif kind == "attempt.running" and meant:
            payload = {"started_ms": NINE + round(meant[0] * HOUR)}
        yield {"kind": kind, "time_ms": NINE + round(at * HOUR), "payload": payload}


def launched(at: float) -> tuple[Step, Step]:
    return ("attempt.launching", at), ("attempt.running", at, at)


def test_a_daemon_that_was_down_for_five_hours_is_five_hours_late() -> None:
    assert overdue_ms(told(("plan", 0, 0), ("plan", 5, 5), *launched(5))) == 5 * HOUR
    assert overdue_ms(told(("plan", 0, 0), *launched(5))) == 5 * HOUR


def test_a_wait_that_plans_asked_for_is_not_late_however_often_they_changed() -> None:
    assert overdue_ms(told(("plan", 0, 5), *launched(5))) == 0
    assert overdue_ms(told(("plan", 0, 2), ("plan", 1, 5), ("plan", 4, 7), *launched(7))) == 0


def test_only_the_part_after_the_plan_counts_and_all_such_parts_do() -> None:
    assert overdue_ms(told(("plan", 0, 3), *launched(5))) == 2 * HOUR
    assert overdue_ms(told(("plan", 0, 1), ("plan", 3, 6), *launched(7))) == 3 * HOUR


def test_a_plan_for_a_time_that_is_over_is_late_from_when_it_was_made() -> None:
    assert overdue_ms(told(("plan", 4, 0), *launched(5))) == HOUR


def test_a_job_that_its_owner_holds_is_not_late() -> None:
    assert overdue_ms(told(("plan", 0, 1), ("job.held", 0.5), ("plan", 6, 6), *launched(6))) == 0
    assert overdue_ms(told(("plan", 0, 1), ("plan void", 0.5), ("plan", 6, 6), *launched(6))) == 0


def test_before_its_turn_no_job_is_late() -> None:
    """Who ran before took longer than estimated: in the baseline, too."""
    steps: tuple[Step, ...] = ("plan", 0, 1), *launched(5)
    assert overdue_ms(told(*steps), moment(NINE + 5 * HOUR)) == 0
    assert overdue_ms(told(*steps), moment(NINE + 4 * HOUR)) == HOUR


def test_a_launch_that_hung_or_came_to_nothing_is_late_until_something_runs() -> None:
    assert overdue_ms(told(("plan", 0, 0), ("attempt.launching", 0), ("attempt.running", 3, 3))) == 3 * HOUR
    hung: tuple[Step, ...] = ("attempt.launching", 0), ("attempt.poisoned", 2)
    assert overdue_ms(told(("plan", 0, 0), *hung, ("plan", 2, 2), *launched(2))) == 2 * HOUR


def test_a_start_that_is_seen_late_is_not_a_late_start() -> None:
    assert overdue_ms(told(("plan", 0, 0), ("attempt.launching", 0), ("attempt.running", 5, 0))) == 0


def test_later_attempts_count_likewise_and_running_time_never() -> None:
    first: tuple[Step, ...] = ("plan", 0, 0), *launched(0), ("plan", 1, 1), ("attempt.ended", 4)
    assert overdue_ms(told(*first, ("plan", 4, 6), *launched(7))) == HOUR
    late: tuple[Step, ...] = ("plan", 0, 0), *launched(2), ("attempt.ended", 4)
    assert overdue_ms(told(*late, ("plan", 4, 6), *launched(7))) == 3 * HOUR


@pytest.mark.parametrize(("minutes", "factor", "late"), [(2, 1, 0), (3, 1, 3), (120, 60, 0), (123, 60, 123)])
def test_two_real_minutes_are_on_time_at_any_speed_of_replay(minutes: int, factor: int, late: int) -> None:
    steps: tuple[Step, ...] = ("plan", 0, 0), *launched(minutes / 60)
    assert overdue_ms(told(*steps, factor=factor)) == late * MINUTE


def test_of_a_long_wait_one_percent_more_is_on_time() -> None:
    assert overdue_ms(told(("plan", 0, 20), *launched(20 + 14 / 60))) == 0
    assert overdue_ms(told(("plan", 0, 20), *launched(20 + 15 / 60))) == 15 * MINUTE


def test_a_job_that_never_ran_and_one_without_a_plan_are_not_late() -> None:
    assert overdue_ms(told(("plan", 0, 0), ("job.cancelled", 5))) == 0
    assert overdue_ms(told(*launched(5))) == 0
    assert overdue_ms([]) == 0


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (17_700_000, "4 h 55 min"),
        (7_200_000, "2 h"),
        (300_000, "5 min"),
        (3_599_999, "1 h"),
        (40_000, "40 s"),
    ],
)
def test_a_span_has_hours_and_minutes(ms: int, words: str) -> None:
    assert span(ms) == words
