"""The guard that starts jobs whatever else is broken."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tidewatt.scheduler.planning.guard import Deadline, due, latest_start

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


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


def test_guard_needs_no_planner_and_no_arrays() -> None:
    heavy = {"numpy", "tidewatt.scheduler.planning.planner"}
    loaded = f"import sys, tidewatt.scheduler.planning.guard; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "set()"
