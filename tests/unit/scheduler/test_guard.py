"""The guard that starts jobs whatever else is broken."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.planning.guard import Deadline, anywhere, at_speed, due, latest_start

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
hours = st.integers(0, 72 * 60).map(lambda minutes: timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("finish_by", "start_by", "expected"),
    [
        (None, None, None),
        (NOW + 5 * HOUR, None, NOW + 2 * HOUR - 2 * MINUTE),
        (None, NOW + HOUR, NOW + HOUR - 2 * MINUTE),
        (NOW + 5 * HOUR, NOW + HOUR, NOW + HOUR - 2 * MINUTE),
        (NOW + 5 * HOUR, NOW + 3 * HOUR, NOW + 2 * HOUR - 2 * MINUTE),
    ],
)
def test_latest_start_keeps_both_deadlines_with_a_margin(
    finish_by: datetime | None, start_by: datetime | None, expected: datetime | None
) -> None:
    assert latest_start(Deadline(1, 3 * HOUR, finish_by, start_by), 2 * MINUTE) == expected


def test_jobs_at_their_latest_start_are_due_most_urgent_first() -> None:
    waiting = [
        Deadline(1, HOUR, NOW + HOUR + 2 * MINUTE),  # exactly now
        Deadline(2, HOUR, NOW + HOUR + 3 * MINUTE),  # in a minute
        Deadline(3, HOUR, NOW),  # an hour too late
        Deadline(4, HOUR),
    ]
    assert due(waiting, NOW, 2 * MINUTE) == (3, 1)


def test_a_job_that_often_takes_longer_has_to_start_so_much_earlier() -> None:
    deadline = Deadline(1, 3 * HOUR, NOW + 10 * HOUR, guard_duration=5 * HOUR)
    assert latest_start(deadline, 2 * MINUTE) == NOW + 5 * HOUR - 2 * MINUTE


def test_a_shorter_guard_duration_never_starts_a_job_later_than_its_estimate_does() -> None:
    deadline = Deadline(1, 3 * HOUR, NOW + 10 * HOUR, guard_duration=HOUR)
    assert latest_start(deadline, 2 * MINUTE) == NOW + 7 * HOUR - 2 * MINUTE


def test_a_paused_job_needs_its_rest_its_restart_and_its_turn_in_the_queue() -> None:
    deadline = Deadline(
        1,
        8 * HOUR,
        NOW + 10 * HOUR,
        guard_duration=9 * HOUR,
        restart=10 * MINUTE,
        queue_wait=20 * MINUTE,
        remaining=2 * HOUR,
    )
    assert latest_start(deadline, 2 * MINUTE) == NOW + 8 * HOUR - 32 * MINUTE


def test_the_queue_of_a_backend_is_entered_before_start_by_too() -> None:
    deadline = Deadline(1, HOUR, None, NOW + 3 * HOUR, queue_wait=30 * MINUTE)
    assert latest_start(deadline, 2 * MINUTE) == NOW + 2 * HOUR + 28 * MINUTE


def test_a_job_whose_longer_run_time_leaves_no_slack_is_due_at_once() -> None:
    assert due([Deadline(1, HOUR, NOW + 2 * HOUR, guard_duration=3 * HOUR)], NOW, MINUTE) == (1,)


def test_run_times_longer_than_any_date_are_due_and_no_error() -> None:
    far = timedelta(days=999_999_999)
    early = datetime(3, 1, 1, tzinfo=UTC)
    waiting = [Deadline(1, far, NOW, guard_duration=far, restart=far), Deadline(2, far, early)]
    assert set(due(waiting, NOW, far)) == {1, 2}


@given(
    duration=hours,
    guarded=hours,
    restart=hours,
    wait=hours,
    finish=st.integers(0, 100),
    margin=st.integers(0, 60),
)
def test_started_when_due_a_job_that_takes_no_longer_than_guarded_is_in_time(
    duration: timedelta, guarded: timedelta, restart: timedelta, wait: timedelta, finish: int, margin: int
) -> None:
    finish_by = NOW + finish * HOUR
    deadline = Deadline(1, duration, finish_by, guard_duration=guarded, restart=restart, queue_wait=wait)
    start = latest_start(deadline, margin * MINUTE)
    assert start is not None
    assert not due([deadline], start - timedelta(microseconds=1), margin * MINUTE)
    assert due([deadline], start, margin * MINUTE) == (1,)
    assert start + wait + restart + max(duration, guarded) + margin * MINUTE == finish_by


def test_guard_needs_no_planner_and_no_arrays() -> None:
    heavy = {"numpy", "tidewatt.scheduler.planning.planner"}
    loaded = f"import sys, tidewatt.scheduler.planning.guard; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "set()"


def test_on_slow_hardware_a_job_has_to_start_so_much_earlier() -> None:
    deadline = Deadline(1, 4 * HOUR, NOW + 10 * HOUR, guard_duration=4.5 * HOUR)
    slow = anywhere(deadline, (0.5, 2.0), NOW, MINUTE)
    assert latest_start(slow, MINUTE) == NOW + HOUR - MINUTE
    assert latest_start(at_speed(deadline, 2.0), MINUTE) == NOW + 7.75 * HOUR - MINUTE


def test_hardware_that_could_never_keep_the_deadline_hurries_nobody() -> None:
    deadline = Deadline(1, 4 * HOUR, NOW + 6 * HOUR)
    assert anywhere(deadline, (0.5, 1.0, 2.0), NOW, MINUTE) == deadline
    assert anywhere(deadline, (0.25, 0.5), NOW, MINUTE) == at_speed(deadline, 0.5)
    assert anywhere(deadline, (), NOW, MINUTE) == deadline
