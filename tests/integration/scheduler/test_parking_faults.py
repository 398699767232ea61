"""What becomes of jobs elsewhere when lines break, daemons are killed, and looks at the queue grow old."""

from pathlib import Path

import pytest

from tests.integration.scheduler.outpost import Outpost, hours, outpost
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeEngine, FakeQueue
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.request_schema import UpdateRequest
from tidewatt.scheduler.store.transaction import MoveError

NO_ANSWER = BackendError("no answer", transient=True)
both = pytest.mark.parametrize("kind", [FakeQueue, FakeEngine])


class Away(FakeQueue):
    """A cluster to whose folders there is no way for some seconds: nothing is kept, nothing is sent."""

    opens_ms = 0

    def submit(self, launch: Launch) -> None:
        if self.cluster.now_ms() < Away.opens_ms:
            raise BackendError("no route to its folders", transient=True)
        FakeQueue.submit(self, launch)


def submitted(at: Outpost, **more: object) -> int:
    """A job of an hour that has until the evening; it is planned for noon, in `eu`."""
    asked = {"duration_s": 3600.0, "finish_by": at.site.clock.now() + hours(10), "gpus": 1} | more
    number = at.submit(**asked).job.id
    at.round()
    return number


def hurried(at: Outpost, number: int) -> None:
    """As the guard does it at the latest start."""
    attempt = at.store.attempts([number])[number][0]
    at.parking.hurry(at.job(number), attempt, at.site.clock.now())


def test_start_that_the_guard_could_not_tell_is_told_when_the_line_is_back(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at)
        at.cluster.down = NO_ANSWER
        hurried(at, job)
        at.round()
        at.cluster.down = None
        at.shift(30)
        at.shift(30)
        assert at.cluster.running() == ["1.1"]


def test_job_that_is_held_after_its_latest_start_and_released_starts(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.script = Script(starts_after_s=900, runs_s=600)
        job = submitted(at)
        hurried(at, job)
        at.changes.hold("1")
        at.round()
        assert at.begin("1.1") == -1
        at.changes.release("1")
        at.round()
        for _ in range(60):
            at.shift(300)
        assert at.job(job).state is JobState.DONE


def test_submit_that_failed_before_anything_was_kept_is_made_good(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Away) as at:
        Away.opens_ms = at.cluster.now_ms() + 25_000
        job = submitted(at, finish_by=None)
        for _ in range(4):
            at.shift(10)
        assert at.cluster.running() == ["1.1"]
        at.shift(4000)
        assert at.job(job).state is JobState.DONE
        assert len(at.cluster.submits) == 1


@both
def test_job_that_is_cancelled_before_it_was_sent_is_not_sent_by_the_next_daemon(
    tmp_path: Path, kind: type[FakeEngine]
) -> None:
    with outpost(tmp_path, kind=kind) as at:
        at.launcher.polls.tell = lambda *_: None  # type: ignore[method-assign]
        job = submitted(at, finish_by=None)
        at.changes.cancel("1")
        at.restart()
        at.round()
        assert at.cluster.submits == []
        assert at.job(job).state is JobState.CANCELLED


def test_attempt_that_was_to_be_taken_back_before_it_was_sent_is_not_sent_by_the_next_daemon(
    tmp_path: Path,
) -> None:
    with outpost(tmp_path) as at:
        at.launcher.polls.tell = lambda *_: None  # type: ignore[method-assign]
        job = submitted(at)
        at.changes.update("1", UpdateRequest(exclude_regions=("eu",)))
        at.round()
        assert "leaving" in at.events(job)
        at.wait(hours(3.5))
        at.restart()
        at.shift(30)
        assert [each.region for each in at.cluster.submits] == ["us"]
        assert at.cluster.running() == ["1.2"]


@both
def test_who_looked_at_the_queue_before_a_launch_cannot_launch_the_job_once_more(
    tmp_path: Path, kind: type[FakeEngine]
) -> None:
    """The guard starts jobs beside a round that hangs, by what it has seen itself."""
    with outpost(tmp_path, kind=kind) as at:
        at.submit(duration_s=600.0)
        at.plan("")
        found = queue(at.site, at.store, (), at.site.clock.now())
        at.launch()
        with pytest.raises(MoveError, match=r"attempt 1\.1 of job 1 lives"):
            at.launcher.launch(found.waiting[0], at.site.regions[0], "", found, "again")
        assert at.cluster.running() == ["1.1"]


@both
@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_who_looked_at_the_queue_before_a_job_was_cancelled_or_held_cannot_launch_it(
    tmp_path: Path, kind: type[FakeEngine], verb: str
) -> None:
    with outpost(tmp_path, kind=kind) as at:
        at.submit(duration_s=600.0)
        at.plan("")
        found = queue(at.site, at.store, (), at.site.clock.now())
        getattr(at.changes, verb)("1")
        with pytest.raises(MoveError, match="no attempt of it can be launched"):
            at.launcher.launch(found.waiting[0], at.site.regions[0], "", found, "again")
        assert at.cluster.submits == []
        assert at.store.live_attempts() == []


def test_attempt_elsewhere_is_live_until_its_engine_says_otherwise(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        job = submitted(at, finish_by=None)
        at.cluster.down = NO_ANSWER
        for _ in range(20):
            at.shift(3600)
        assert at.job(job).state is JobState.RUNNING
        assert [each.state for each in at.store.live_attempts()] == [AttemptState.UNKNOWN]


@both
@pytest.mark.parametrize("queue_s", [0, 1500])
def test_tasks_of_an_array_that_wait_in_queues_run_as_few_at_a_time_as_asked(
    tmp_path: Path, kind: type[FakeEngine], queue_s: int
) -> None:
    with outpost(tmp_path, kind=kind) as at:
        at.cluster.script = Script(starts_after_s=queue_s, runs_s=1200)
        at.submit(duration_s=600.0, array=[0, 1, 2, 3, 4], array_limit=2)
        assert most_at_a_time(at) == 2


@both
def test_limit_of_running_jobs_holds_for_those_that_wait_in_queues(
    tmp_path: Path, kind: type[FakeEngine]
) -> None:
    with outpost(tmp_path, kind=kind, limits={"running": 1}) as at:
        at.cluster.script = Script(starts_after_s=300, runs_s=1200)
        for until_h in (4, 4, 9):
            at.submit(duration_s=600.0, finish_by=at.site.clock.now() + hours(until_h))
        assert most_at_a_time(at) == 1


def test_jobs_that_lie_in_a_queue_for_later_keep_nobody_from_starting_now(tmp_path: Path) -> None:
    with outpost(tmp_path, regions=("eu",)) as at:
        at.cluster.script = Script(runs_s=600)
        for _ in range(2):
            submitted(at, cpus=8, gpus=0, finish_by=at.site.clock.now() + hours(10))
        assert len(at.cluster.submits) == 2
        submitted(at, cpus=8, gpus=0, duration_s=600.0, finish_by=None)
        assert at.cluster.running() == ["3.1"]


def most_at_a_time(at: Outpost) -> int:
    """How many ran together until all were done."""
    most = 0
    for _ in range(250):
        at.shift(120)
        most = max(most, len(at.cluster.running()))
        if all(job.state is JobState.DONE for job in at.store.jobs()):
            return most
    raise AssertionError([(job.id, job.state, job.reason, job.at_risk) for job in at.store.jobs()])


def test_start_that_has_come_keeps_its_turn_in_the_queue(tmp_path: Path) -> None:
    with outpost(tmp_path, regions=("eu",)) as at:
        at.cluster.script = Script(starts_after_s=1500, runs_s=600)
        job = submitted(at, finish_by=None)
        for _ in range(20):
            at.shift(60)
        assert "rescheduled" not in at.events(job)
        at.shift(400)
        assert at.cluster.running() == ["1.1"]


@both
def test_region_that_is_taken_away_strands_nobody(tmp_path: Path, kind: type[FakeEngine]) -> None:
    with outpost(tmp_path, kind=kind) as at:
        at.submit(duration_s=600.0, finish_by=at.site.clock.now() + hours(10))
        at.submit(duration_s=600.0)
        at.round()
        at._regions = ("us",)
        at.restart()
        for _ in range(120):
            at.shift(300)
        assert {job.state for job in at.store.jobs()} == {JobState.DONE}
        assert len(at.cluster.begun) == 2


def test_job_whose_place_is_taken_away_again_and_again_ends(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.script = Script(runs_s=1200, preempted_after_s=30)
        job = at.submit(duration_s=600.0).job.id
        for _ in range(30):
            at.shift(60)
        assert at.job(job).state is JobState.FAILED
        assert at.events(job).count("preempted") == 5
        assert len(at.cluster.begun) == 6
