"""Days on which planners fail: deadlines are kept whatever fails."""

import pytest

from benchmarks.planner_faults import FAULTS, Day, Fault

JOBS = 14


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("seed", [3, 4])
def test_no_job_is_late_that_starting_at_once_would_have_kept(fault: Fault, seed: int) -> None:
    day = Day(seed, fault, JOBS).lived()
    assert len(day.submitted) == JOBS
    assert day.avoidable == set()
    assert day.missed == set()  # what was accepted was promised
    assert len(day.refused) < JOBS / 4


def test_on_these_days_starting_at_once_in_turn_is_not_always_enough() -> None:
    days = [Day(seed, FAULTS[0], 30) for seed in range(2)]
    assert any(len(outcome.at_once) < len(outcome.submitted) for outcome in (day.lived() for day in days))
