"""What every backend promises, told with real processes and with the backend in memory."""

from typing import TYPE_CHECKING

import pytest

from tidewatt.backends.backend import Phase, StopReason

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage


@pytest.mark.parametrize("code", [0, 3])
def test_job_ends_with_its_exit_code(stage: "Stage", code: int) -> None:
    launch = stage.job(runs_s=0.1, code=code)
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert (status.phase, status.exit_code, status.signal, status.stopped) == (Phase.ENDED, code, None, None)
    assert status.started_ms is not None
    assert status.ended_ms is not None
    assert status.ended_ms > status.started_ms


def test_running_job_is_seen_running_since_its_start(stage: "Stage") -> None:
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    status = stage.running(launch.folder)
    assert status.started_ms is not None
    assert status.ended_ms is None


def test_submitting_twice_starts_one_job(stage: "Stage") -> None:
    launch = stage.job(runs_s=0.1)
    for _ in range(3):
        stage.backend.submit(launch)
    first = stage.ended(launch.folder)
    stage.backend.submit(launch)
    assert stage.status(launch.folder) == first


def test_stopped_job_is_not_done(stage: "Stage") -> None:
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    stage.backend.stop(launch.folder, StopReason.TIME_LIMIT)
    status = stage.ended(launch.folder)
    assert status.stopped is StopReason.CANCELLED
    assert status.reason.startswith("stopped: cancelled")


def test_job_that_ignores_the_stop_signal_is_killed_after_its_grace_period(stage: "Stage") -> None:
    launch = stage.job(runs_s=60, heeds_stop=False, grace_s=0.5)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    status = stage.ended(launch.folder)
    assert (status.exit_code, status.signal) == (None, 9)


def test_time_limit_ends_a_job(stage: "Stage") -> None:
    launch = stage.job(runs_s=60, time_limit_s=0.5)
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert status.stopped is StopReason.TIME_LIMIT
    assert status.exit_code is None


def test_poisoned_attempt_never_starts(stage: "Stage") -> None:
    launch = stage.job(runs_s=0.1)
    assert stage.backend.poison(launch.folder)
    stage.backend.submit(launch)
    assert stage.status(launch.folder).phase is Phase.POISONED
    assert stage.backend.poison(launch.folder)


def test_started_attempt_cannot_be_poisoned(stage: "Stage") -> None:
    launch = stage.job(runs_s=0.3)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    assert not stage.backend.poison(launch.folder)
    stage.ended(launch.folder)
    assert not stage.backend.poison(launch.folder)


def test_attempt_stopped_before_its_submit_never_starts(stage: "Stage") -> None:
    launch = stage.job(runs_s=0.1)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert status.phase is Phase.POISONED
    assert "cancelled" in status.reason


def test_stopping_an_ended_job_changes_nothing(stage: "Stage") -> None:
    launch = stage.job(runs_s=0.1)
    stage.backend.submit(launch)
    before = stage.ended(launch.folder)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.status(launch.folder) == before


def test_attempt_that_was_not_submitted_yet_is_launching(stage: "Stage") -> None:
    launch = stage.job()
    assert stage.status(launch.folder).phase is Phase.LAUNCHING
