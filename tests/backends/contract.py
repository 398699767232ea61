"""What every backend promises, as stories: a test class of each kind of backend is made from them.

To join, write a `Troupe` (see `stage`) and, in a test module of your own:

    class TestSlurmContract(Contract):
        @pytest.fixture
        def stage(self, tmp_path, clusters) -> Stage:
            return Stage(SlurmTroupe(clusters), tmp_path)

A story that cannot happen there is skipped, with the reason that `lacks` gives.
"""

import time

import pytest

from tests.backends.stage import Stage
from tidewatt.backends.backend import BackendError, Phase, Read, Rehearse, Reschedule, StopReason, Withdraw

LIVE = (Phase.LAUNCHING, Phase.RUNNING, Phase.UNKNOWN)


class RunContract:
    """Submit, status, stop and logs."""

    @pytest.mark.parametrize("code", [0, 3])
    def test_job_ends_with_its_exit_code(self, stage: Stage, code: int) -> None:
        launch = stage.job(runs_s=0.1, code=code)
        stage.backend.submit(launch)
        status = stage.ended(launch.folder)
        assert (status.phase, status.exit_code, status.signal) == (Phase.ENDED, code, None)
        assert status.stopped is None
        assert status.started_ms is not None
        assert status.ended_ms is not None
        assert status.ended_ms >= status.started_ms

    def test_running_job_is_seen_running_since_its_start(self, stage: Stage) -> None:
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        status = stage.running(launch.folder)
        assert status.started_ms is not None
        assert status.ended_ms is None

    def test_submitting_twice_starts_one_job(self, stage: Stage) -> None:
        launch = stage.job(runs_s=0.1)
        for _ in range(3):
            stage.backend.submit(launch)
        first = stage.ended(launch.folder)
        stage.backend.submit(launch)
        assert stage.status(launch.folder) == first
        assert stage.copies() == 1

    def test_two_attempts_are_told_apart(self, stage: Stage) -> None:
        one, other = stage.job(runs_s=0.1, code=3), stage.job(runs_s=60, attempt_id="2.1")
        for launch in (one, other):
            stage.backend.submit(launch)
        assert stage.ended(one.folder).exit_code == 3
        stage.until(other.folder, Phase.RUNNING)
        found = stage.backend.status([one.folder, other.folder])
        assert [status.phase for status in found.values()] == [Phase.ENDED, Phase.RUNNING]

    def test_stopped_job_is_not_done(self, stage: Stage) -> None:
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        stage.backend.stop(launch.folder, StopReason.TIME_LIMIT)
        status = stage.ended(launch.folder)
        assert status.stopped is StopReason.CANCELLED
        assert "cancelled" in status.reason

    def test_exit_code_0_after_our_stop_is_not_done(self, stage: Stage) -> None:
        stage.needs("grace")
        launch = stage.job(runs_s=60, stop_code=0)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        status = stage.ended(launch.folder)
        assert status.stopped is StopReason.CANCELLED

    def test_job_that_ignores_the_stop_signal_is_killed_after_its_grace_period(self, stage: Stage) -> None:
        stage.needs("grace")
        launch = stage.job(runs_s=60, heeds_stop=False, grace_s=0.5)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        status = stage.ended(launch.folder)
        assert status.exit_code in (None, 137)  # 128 + 9, where the engine knows only exit codes
        assert status.signal in (None, 9)

    def test_time_limit_ends_a_job(self, stage: Stage) -> None:
        stage.needs("limit")
        launch = stage.job(runs_s=60, time_limit_s=0.5)
        stage.backend.submit(launch)
        assert stage.ended(launch.folder).stopped is StopReason.TIME_LIMIT

    def test_attempt_stopped_before_its_submit_never_starts(self, stage: Stage) -> None:
        stage.needs("early stop")
        launch = stage.job(runs_s=0.1)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        stage.backend.submit(launch)
        status = stage.ended(launch.folder)
        assert status.phase is Phase.POISONED
        assert "cancelled" in status.reason
        assert stage.copies() == 0

    def test_stopping_an_ended_job_changes_nothing(self, stage: Stage) -> None:
        launch = stage.job(runs_s=0.1)
        stage.backend.submit(launch)
        before = stage.ended(launch.folder)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        assert stage.status(launch.folder) == before

    def test_attempt_that_was_not_submitted_yet_is_launching(self, stage: Stage) -> None:
        assert stage.status(stage.job().folder).phase is Phase.LAUNCHING

    def test_output_is_read_on_from_where_one_was(self, stage: Stage) -> None:
        stage.needs("logs")
        launch = stage.job(runs_s=0.1)
        stage.backend.submit(launch)
        stage.ended(launch.folder)
        whole = stage.wait(lambda: stage.backend.logs(launch.folder))
        assert b"ready\n" in whole
        assert stage.backend.logs(launch.folder, 2, 3) == whole[2:5]
        assert stage.backend.logs(launch.folder, len(whole)) == b""


class FaultContract:
    """Lines that break, and engines that forget."""

    def test_submit_that_was_accepted_without_an_answer_runs_once(self, stage: Stage) -> None:
        stage.needs("timeout")
        launch = stage.job(runs_s=0.3)
        stage.troupe.mute()
        _unanswered(stage, launch)
        assert stage.ended(launch.folder).exit_code == 0
        stage.backend.submit(launch)
        assert stage.copies() == 1

    def test_submit_is_repeated_while_what_was_accepted_cannot_be_seen(self, stage: Stage) -> None:
        stage.needs("timeout", "hide")
        launch = stage.job(runs_s=0.3)
        stage.troupe.mute()
        stage.troupe.hide()
        _unanswered(stage, launch)
        assert stage.status(launch.folder).phase in LIVE
        stage.backend.submit(launch)
        assert stage.ended(launch.folder).exit_code == 0
        assert stage.copies() == 1

    def test_submit_that_was_lost_never_starts_once_that_is_certain(self, stage: Stage) -> None:
        stage.needs("loss")
        launch = stage.job(runs_s=0.1)
        stage.troupe.lose()
        _unanswered(stage, launch)
        assert stage.ended(launch.folder).phase is Phase.POISONED
        stage.backend.submit(launch)
        assert stage.status(launch.folder).phase is Phase.POISONED
        assert stage.copies() == 0

    def test_attempt_of_unknown_fate_that_is_stopped_does_not_go_on(self, stage: Stage) -> None:
        stage.needs("timeout")
        launch = stage.job(runs_s=60)
        stage.troupe.mute()
        _unanswered(stage, launch)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        status = stage.ended(launch.folder)
        assert status.phase is Phase.POISONED or status.stopped is StopReason.CANCELLED
        assert stage.copies() <= 1

    def test_vanished_job_has_lost_its_exit_status(self, stage: Stage) -> None:
        stage.needs("vanish")
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.troupe.vanish(launch.folder)
        status = stage.ended(launch.folder)
        assert (status.phase, status.exit_code, status.signal) == (Phase.ENDED, None, None)
        assert "exit status lost" in status.reason
        stage.backend.submit(launch)
        assert stage.copies() == 1

    def test_id_that_belongs_to_another_now_is_not_taken_for_ours(self, stage: Stage) -> None:
        stage.needs("reuse")
        launch = stage.job(runs_s=0.1, code=3)
        stage.backend.submit(launch)
        stage.until(launch.folder, Phase.RUNNING, Phase.ENDED)
        stage.troupe.reuse(launch.folder)
        status = stage.ended(launch.folder)
        assert status.exit_code in (3, None)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)  # must not end the other's

    def test_running_job_is_followed_after_a_restart(self, stage: Stage) -> None:
        stage.needs("restart")
        launch = stage.job(runs_s=2.0, code=3)  # it has to be seen running, by a slow line too
        stage.backend.submit(launch)
        started_ms = stage.running(launch.folder).started_ms
        stage.troupe.restart()
        status = stage.ended(launch.folder)
        assert status.exit_code == 3
        assert status.started_ms == started_ms
        assert stage.copies() == 1

    def test_engine_that_does_not_answer_leaves_its_attempts_unknown(self, stage: Stage) -> None:
        stage.needs("down")
        launch = stage.job(runs_s=60)
        stage.backend.submit(launch)
        stage.running(launch.folder)
        stage.troupe.down(yes=True)
        assert stage.until(launch.folder, Phase.UNKNOWN).reason
        stage.troupe.down(yes=False)
        assert stage.until(launch.folder, Phase.RUNNING, Phase.ENDED).phase is Phase.RUNNING
        assert stage.copies() == 1


class MoreContract:
    """Verbs that only some backends have."""

    def test_poisoned_attempt_never_starts(self, stage: Stage) -> None:
        _has(stage, Withdraw)
        launch = stage.job(runs_s=0.1)
        assert stage.backend.poison(launch.folder)
        stage.backend.submit(launch)
        assert stage.status(launch.folder).phase is Phase.POISONED
        assert stage.backend.poison(launch.folder)

    def test_started_attempt_cannot_be_poisoned(self, stage: Stage) -> None:
        _has(stage, Withdraw)
        launch = stage.job(runs_s=2.0)  # it has to be seen running
        stage.backend.submit(launch)
        stage.running(launch.folder)
        assert not stage.backend.poison(launch.folder)
        stage.ended(launch.folder)
        assert not stage.backend.poison(launch.folder)

    def test_rehearsal_shows_the_command_and_sends_nothing(self, stage: Stage) -> None:
        _has(stage, Rehearse)
        launch = stage.job(runs_s=0.1)
        assert "sleep" in stage.backend.rehearse(launch)
        assert stage.status(launch.folder).phase is Phase.LAUNCHING
        assert stage.copies() == 0
        assert not (launch.folder / "launch.json").exists()

    def test_attempt_begins_when_it_may_and_not_before(self, stage: Stage) -> None:
        _has(stage, Reschedule)
        launch = stage.job(runs_s=0.1, not_before_ms=_far())
        stage.backend.submit(launch)
        stage.troupe.pass_time()
        status = stage.status(launch.folder)
        assert (status.phase, stage.copies()) == (Phase.LAUNCHING, 0)
        assert status.reason.startswith("pending")
        stage.backend.reschedule(launch.folder, 0)
        assert stage.ended(launch.folder).exit_code == 0
        assert stage.copies() == 1

    def test_held_attempt_waits_until_it_is_moved_again(self, stage: Stage) -> None:
        _has(stage, Reschedule)
        launch = stage.job(runs_s=0.1, not_before_ms=_far())
        stage.backend.submit(launch)
        stage.backend.reschedule(launch.folder, None)
        stage.troupe.pass_time()
        assert stage.status(launch.folder).phase is Phase.LAUNCHING
        stage.backend.reschedule(launch.folder, 0)
        assert stage.ended(launch.folder).exit_code == 0

    def test_stopping_one_that_is_not_to_start_yet_poisons_it(self, stage: Stage) -> None:
        _has(stage, Reschedule)
        launch = stage.job(runs_s=0.1, not_before_ms=_far())
        stage.backend.submit(launch)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
        assert stage.ended(launch.folder).phase is Phase.POISONED
        assert stage.copies() == 0

    def test_readings_of_an_ended_attempt_come_to_an_end(self, stage: Stage) -> None:
        _has(stage, Read)
        launch = stage.job(runs_s=0.1)
        stage.backend.submit(launch)
        stage.ended(launch.folder)
        stage.wait(lambda: stage.backend.collect(launch.folder))
        assert stage.backend.collect(launch.folder)  # and stay so


class Contract(RunContract, FaultContract, MoreContract):
    """All of it."""


def _unanswered(stage: Stage, launch: object) -> None:
    with pytest.raises(BackendError) as told:
        stage.backend.submit(launch)
    assert told.value.transient


def _has(stage: Stage, verbs: type) -> None:
    if not isinstance(stage.backend, verbs):
        pytest.skip(f"{type(stage.backend).__name__} has not the verbs of {verbs.__name__}")


def _far() -> int:
    """Real milliseconds a day from now."""
    return time.time_ns() // 1_000_000 + 86_400_000
