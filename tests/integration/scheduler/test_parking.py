"""Jobs that lie in the queues of clusters until their time has come."""

from pathlib import Path
from unittest.mock import patch

import pytest

from tests.integration.scheduler.outpost import Outpost, hours, outpost
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeQueue
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.request_schema import UpdateRequest

NOON = 12 * 60


class Young(FakeQueue):
    """A cluster whose jobs age from their begin on."""

    def ages_while_delayed(self, _region: str) -> bool:
        return False


def submitted(at: Outpost, **more: object) -> int:
    """A job of an hour that has until the evening; it is planned for noon, in `eu`."""
    asked = {"duration_s": 3600.0, "finish_by": at.site.clock.now() + hours(10), "gpus": 1} | more
    number = at.submit(**asked).job.id
    at.round()
    return number


def attempts(at: Outpost, number: int) -> list[AttemptState]:
    return [attempt.state for attempt in at.store.attempts([number])[number]]


def test_planned_job_is_handed_over_at_once_and_waits_for_its_hour(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        assert at.job(job).state is JobState.WAITING
        assert attempts(at, job) == [AttemptState.LAUNCHING]
        assert at.begin("1.1") == NOON
        at.shift(3 * 3600 - 60)
        assert at.cluster.running() == []
        at.shift(60)
        assert at.cluster.running() == ["1.1"]
        assert at.job(job).state is JobState.RUNNING
        assert at.store.attempts([1])[1][0].started_ms == at.cluster.begun[0].starts_ms()


def test_parked_job_is_planned_on_and_its_start_moves_with_the_plan(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.changes.update("1", UpdateRequest(finish_by=at.site.clock.now() + hours(2.5)))
        at.round()
        plan = at.job(job).plan
        assert plan is not None
        assert at.begin("1.1") == plan.window.start.hour * 60 + plan.window.start.minute < NOON
        assert attempts(at, job) == [AttemptState.LAUNCHING]
        assert "rescheduled" in at.events(job)


def test_parked_job_takes_no_place_twice(tmp_path: Path) -> None:
    with outpost(tmp_path, regions=("eu",)) as at:
        for _ in range(3):
            submitted(at)
        starts = [plan.window.start.hour for number in (1, 2, 3) if (plan := at.job(number).plan)]
        assert starts == [12, 12, 13]


def test_job_that_is_planned_elsewhere_starts_there_only_when_it_is_out_of_the_first_queue(
    tmp_path: Path,
) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.cluster.down = BackendError("no answer", transient=True)
        at.changes.update("1", UpdateRequest(exclude_regions=("eu",)))
        at.round()
        at.shift(30)
        assert attempts(at, job) == [AttemptState.LAUNCHING]
        at.cluster.down = None
        at.shift(30)
        at.shift(30)
        assert attempts(at, job) == [AttemptState.POISONED, AttemptState.LAUNCHING]
        assert at.store.attempts([1])[1][1].region == "us"
        at.shift(3 * 3600)
        assert at.cluster.running() == ["1.2"]


def test_held_job_is_held_in_its_queue_and_goes_on_when_it_is_released(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.changes.hold("1")
        at.round()
        assert at.begin("1.1") == -1
        at.shift(4 * 3600)
        assert at.job(job).state is JobState.HELD
        assert at.cluster.begun == []
        at.changes.release("1")
        at.round()
        at.round()
        assert at.cluster.running() == ["1.1"]


def test_job_that_began_before_the_hold_reached_it_runs(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.cluster.down = BackendError("no answer", transient=True)
        at.changes.hold("1")
        at.round()
        at.shift(3 * 3600)
        at.cluster.down = None
        at.cluster.running()
        at.round()
        assert at.job(job).state is JobState.RUNNING
        assert at.cluster.running() == ["1.1"]


def test_parked_job_that_is_cancelled_goes_through_its_engine(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.cluster.down = BackendError("no answer", transient=True)
        at.changes.cancel("1")
        at.round()
        assert at.job(job).state is JobState.WAITING
        assert at.job(job).stopping
        at.cluster.down = None
        at.shift(15)
        assert at.job(job).state is JobState.CANCELLED
        at.shift(4 * 3600)
        assert at.cluster.begun == []


def test_job_that_is_to_start_now_is_let_begin_where_it_lies(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        submitted(at)
        at.changes.start("1")
        at.round()
        assert at.cluster.running() == ["1.1"]


def test_guard_lets_a_parked_job_begin_and_never_doubles_it(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at, finish_by=at.site.clock.now() + hours(4.5))
        assert at.begin("1.1") == NOON
        at.cluster.begin(1, at.cluster.now_ms() + 10**8)  # somebody has moved it there by hand
        at.wait(hours(3.55))  # and no round came by
        at.guardian.turn()
        at.guardian.turn()
        assert at.cluster.running() == ["1.1"]
        at.shift(1)
        assert at.job(job).state is JobState.RUNNING
        assert len(at.cluster.submits) == 1


def test_job_that_began_while_the_daemon_was_down_is_taken_up_with_its_true_start(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.store.close()
        at.wait(hours(3.5))
        at.open()
        at.round()
        started_ms = at.store.attempts([job])[job][0].started_ms
        assert at.job(job).state is JobState.RUNNING
        assert started_ms is not None
        assert started_ms // 60_000 % 1440 == NOON
        assert len(at.cluster.submits) == 1


def test_attempt_that_was_committed_and_not_sent_is_sent_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outpost(tmp_path) as at:
        with monkeypatch.context() as killed:
            killed.setattr(at.launcher.polls, "tell", lambda *_: None)
            job = submitted(at)
        assert at.cluster.submits == []
        at.restart()
        at.shift(3 * 3600)
        assert [launch.attempt_id for launch in at.cluster.submits] == ["1.1"]
        assert at.job(job).state is JobState.RUNNING


def test_engine_that_gives_no_age_to_delayed_jobs_gets_them_earlier_by_the_learnt_wait(
    tmp_path: Path,
) -> None:
    with outpost(tmp_path, Young) as at:
        at.cluster.script = Script(starts_after_s=600, runs_s=60)
        for _ in range(5):
            at.submit(duration_s=60.0, gpus=0)
            at.round()
            at.shift(601)
            at.shift(61)
        at.shift(60)
        asked = {"duration_s": 3600.0, "finish_by": at.site.clock.now() + hours(9), "gpus": 1}
        at.submit(**asked)
        at.round()
        assert at.begin("6.1") == NOON - 10


@pytest.mark.parametrize("times", [1, 6])
def test_job_whose_place_is_taken_away_is_tried_again_at_no_cost_but_not_for_ever(
    tmp_path: Path, times: int
) -> None:
    with outpost(tmp_path) as at:
        for attempt in range(1, times + 1):
            at.cluster.scripts[f"1.{attempt}"] = Script(runs_s=3600, preempted_after_s=600)
        at.submit(duration_s=3600.0)
        at.round()
        for _ in range(times):
            at.shift(601)
            at.shift(2)
        job = at.job(1)
        assert job.retried == 0
        if times == 1:
            assert at.cluster.running() == ["1.2"]
            at.shift(3600)
            assert at.job(1).state is JobState.DONE
        else:
            assert job.state is JobState.FAILED
            assert at.events(1).count("preempted") == 5


def test_vanished_job_has_ended_and_is_never_started_again(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.scripts["1.1"] = Script(runs_s=3600, vanishes_after_s=60)
        at.submit(duration_s=3600.0, retries=3)
        at.round()
        at.shift(61)
        at.shift(3600)
        job = at.job(1)
        assert (job.state, job.retried) == (JobState.FAILED, 0)
        assert "exit status lost" in job.reason
        assert len(at.cluster.submits) == 1


def test_poll_that_fails_keeps_the_place_of_what_runs(tmp_path: Path) -> None:
    with outpost(tmp_path, regions=("eu",)) as at:
        at.submit(duration_s=3600.0, gpus=2)
        at.round()
        at.shift(1)
        at.cluster.down = BackendError("ssh: connect to host login: timed out", transient=True)
        at.submit(duration_s=60.0, gpus=2)
        at.shift(60)
        assert attempts(at, 1) == [AttemptState.UNKNOWN]
        assert at.begin_of(2) == 10 * 60  # as soon as the first should be over
        assert at.watcher.health()["eu"].error.startswith("ssh")
        at.cluster.down = None
        at.shift(60)
        assert attempts(at, 1) == [AttemptState.RUNNING]
        assert at.watcher.health()["eu"].error == ""


def test_engine_that_refuses_a_job_for_good_says_so(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.submit(duration_s=3600.0)
        at.cluster.down = BackendError("partition gpu-long does not exist")
        at.round()
        at.cluster.down = None
        at.shift(1)
        reasons = [event["reason"] for event in at.store.events(1) if event["kind"] == "attempt.poisoned"]
        assert reasons == ["partition gpu-long does not exist"]


@pytest.mark.parametrize("restarts", [False, True])
def test_parked_job_whose_name_is_changed_is_handed_over_again_under_that_one(
    tmp_path: Path, restarts: bool
) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.changes.update("1", UpdateRequest(name="other"))
        if restarts:
            at.restart()
        for _ in range(4):
            at.round()
        assert attempts(at, job) == [AttemptState.POISONED, AttemptState.LAUNCHING]
        launched = {each.launch.attempt_id: each.launch.name for each in at.cluster.jobs.values()}
        assert launched["1.2"] == "other"
        leaving = [event for event in at.store.events(job) if event["kind"] == "leaving"]
        assert [event["reason"] for event in leaving] == ["changed: name"]
        at.shift(3 * 3600)
        assert at.cluster.running() == ["1.2"]


@pytest.mark.parametrize(("column", "word"), [("cpus", "cores"), ("mem_mb", "memory"), ("gpus", "GPUs")])
def test_parked_job_that_needs_something_else_is_handed_over_again(
    tmp_path: Path, column: str, word: str
) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        with at.store.transaction() as transaction:
            transaction.change_job(job, **{column: 2})
        for _ in range(4):
            at.round()
        assert attempts(at, job) == [AttemptState.POISONED, AttemptState.LAUNCHING]
        told = [event["reason"] for event in at.store.events(job) if event["kind"] == "leaving"]
        assert told == [f"changed: {word}"]


def test_change_that_the_engine_need_not_know_leaves_it_where_it_lies(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.changes.update("1", UpdateRequest(project="bert", priority=3))
        for _ in range(3):
            at.round()
        assert attempts(at, job) == [AttemptState.LAUNCHING]


def test_many_jobs_are_handed_over_in_several_rounds(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        for _ in range(3):
            at.submit(duration_s=3600.0, finish_by=at.site.clock.now() + hours(10), cpus=1)
        seconds = iter(range(1, 1000))  # each look at the clock takes one
        with patch("tidewatt.scheduler.daemon.parking.time.monotonic", lambda: float(next(seconds))):
            at.launch()
            assert len(at.store.live_attempts()) == 1
        at.round()
        assert len(at.store.live_attempts()) == 3
