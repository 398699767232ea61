"""What every backend promises that can interrupt attempts.

A backend joins by a class of its own with a fixture `stage`, as with `Contract`. A troupe without a way to
let jobs stand still says so in `lacks["standing"]`, one whose jobs cannot be asked to save in
`lacks["saving"]`.
"""

from pathlib import Path

import pytest

from tests.backends.stage import Stage
from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Pause,
    PauseMode,
    PauseTerms,
    Phase,
    StopReason,
)

TERMS = PauseTerms(grace_s=20.0, exit_codes=(0, 85, 143))


def phases(status: AttemptStatus) -> list[Phase]:
    """Its moves, without their times."""
    return [move.phase for move in status.moves]


class PauseContract:
    """The stories."""

    def standing(self, stage: Stage) -> Path:
        """An attempt that was asked to stand still, and does."""
        stage.needs("standing")
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.pause(launch.folder, PauseMode.STOP)
        stage.until(launch.folder, Phase.SUSPENDED)
        stage.troupe.pass_time()
        return launch.folder

    def test_backend_that_can_pause_shows_it(self, stage: Stage) -> None:
        assert isinstance(stage.backend, Pause)

    def test_attempt_that_stood_still_goes_on_as_the_same(self, stage: Stage) -> None:
        folder = self.standing(stage)
        stage.backend.resume(folder)
        status = stage.until(folder, Phase.RUNNING)
        assert status.ended_ms is None
        assert phases(status)[-1] is Phase.RUNNING
        assert Phase.SUSPENDED in phases(status)
        assert stage.copies() == 1

    def test_moves_are_in_order_and_stay_when_it_has_ended(self, stage: Stage) -> None:
        folder = self.standing(stage)
        stage.backend.resume(folder)
        before = stage.until(folder, Phase.RUNNING).moves
        stage.troupe.pass_time()
        stage.backend.stop(folder, StopReason.CANCELLED)
        status = stage.ended(folder)
        assert status.moves[: len(before)] == before
        times = [move.at_ms for move in status.moves]
        assert times == sorted(times)
        assert status.started_ms is not None
        assert status.ended_ms is not None
        assert status.started_ms <= times[0]
        assert times[-1] <= status.ended_ms

    def test_attempt_that_stands_still_can_be_stopped(self, stage: Stage) -> None:
        folder = self.standing(stage)
        stage.backend.stop(folder, StopReason.CANCELLED)
        assert stage.ended(folder).stopped is StopReason.CANCELLED

    def test_pausing_twice_is_pausing_once(self, stage: Stage) -> None:
        folder = self.standing(stage)
        before = stage.status(folder).moves
        stage.backend.pause(folder, PauseMode.STOP)
        assert stage.until(folder, Phase.SUSPENDED).moves == before

    def test_attempt_that_stands_still_does_so_after_a_restart(self, stage: Stage) -> None:
        stage.needs("restart")
        folder = self.standing(stage)
        stage.troupe.restart()
        assert stage.until(folder, Phase.SUSPENDED).phase is Phase.SUSPENDED
        stage.backend.resume(folder)
        stage.until(folder, Phase.RUNNING)

    def test_attempt_that_was_asked_to_save_ends_as_paused_and_not_as_done(self, stage: Stage) -> None:
        stage.needs("saving")
        launch = stage.job(runs_s=60, stop_code=85, pausing=TERMS)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
        status = stage.ended(launch.folder)
        assert status.stopped is StopReason.PAUSED
        assert set(phases(status)) <= {Phase.PAUSING}  # where it saves at once there is no such phase

    def test_next_attempt_goes_on_with_the_work_of_a_paused_one(self, stage: Stage) -> None:
        stage.needs("saving")
        launch = stage.job(runs_s=60, stop_code=85, pausing=TERMS)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
        stage.ended(launch.folder)
        again = stage.job(runs_s=0.1, attempt_id="1.2", pausing=TERMS, resumes=launch.folder)
        stage.backend.submit(again)
        status = stage.ended(again.folder)
        assert (status.phase, status.exit_code, status.stopped) == (Phase.ENDED, 0, None)

    def test_attempt_without_a_way_to_save_is_refused_and_runs_on(self, stage: Stage) -> None:
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        with pytest.raises(BackendError) as refused:
            stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
        assert not refused.value.transient
        assert stage.status(launch.folder).phase is Phase.RUNNING
        assert stage.status(launch.folder).moves == ()

    def test_attempt_that_has_ended_cannot_be_paused(self, stage: Stage) -> None:
        launch = stage.job(runs_s=0.1, pausing=TERMS)
        stage.backend.submit(launch)
        before = stage.ended(launch.folder)
        with pytest.raises(BackendError):
            stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
        assert stage.status(launch.folder) == before
