"""The demo's jobs fit its two days."""

from datetime import timedelta

import pytest

from tidewatt.scheduler.demo.scenario import DAYS, FACTOR, START, SUBMISSIONS, Submission


def test_jobs_are_submitted_in_order() -> None:
    assert [each.at for each in SUBMISSIONS] == sorted(each.at for each in SUBMISSIONS)


@pytest.mark.parametrize("each", SUBMISSIONS, ids=lambda each: each.name)
def test_job_lies_within_the_recorded_days_with_slack(each: Submission) -> None:
    assert each.at >= START
    assert each.finish_by <= START + DAYS
    assert each.finish_by - each.at > each.duration + timedelta(hours=1)


@pytest.mark.parametrize("each", SUBMISSIONS, ids=lambda each: each.name)
def test_job_trains_for_a_few_real_seconds(each: Submission) -> None:
    assert 3 <= each.training_s(FACTOR) <= 12
