"""What becomes of pauses that something comes in between."""

from pathlib import Path

from tests.integration.scheduler.office import NOW
from tests.integration.scheduler.outpost import outpost
from tests.integration.scheduler.pausing_office import CLEAN, DIRTY, HOUR, PAUSABLE, pausing_office
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import Script
from tidewatt.scheduler.jobs import JobState

FLAT = {"DE": [CLEAN]}
TWICE = {"DE": [CLEAN, DIRTY, CLEAN, DIRTY, CLEAN, DIRTY, DIRTY]}


def test_job_pauses_as_often_as_planned(tmp_path: Path) -> None:
    with pausing_office(tmp_path, TWICE) as at:
        at.backend.script = Script(runs_s=150 * 60, restarts_s=120)
        at.submit(duration_s=150 * 60.0, finish_by=NOW + 7 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(7 * 60, 2)
        assert at.job(1).state is JobState.DONE
        assert len(at.attempts(1)) == 3


def test_owner_can_pause_a_job_that_its_plan_had_paused_before(tmp_path: Path) -> None:
    with pausing_office(tmp_path, TWICE) as at:
        at.backend.script = Script(runs_s=150 * 60, restarts_s=120)
        at.submit(duration_s=150 * 60.0, finish_by=NOW + 7 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(130, 2)
        assert len(at.attempts(1)) == 2
        assert at.job(1).state is JobState.RUNNING
        at.pause("1")
        at.until(4)
        assert (at.job(1).state, at.job(1).paused) == (JobState.PAUSED, "owner")


def test_pause_that_its_owner_wants_outlives_a_failure(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=600, exit_code=1)
        at.submit(duration_s=3600.0, pausing=PAUSABLE, retries=1)
        at.round()
        at.until(5)
        at.backend.failing = BackendError("no answer", transient=True)
        at.pause("1")
        at.until(10)
        at.backend.failing = None
        at.until(10)
        assert (at.job(1).state, at.job(1).paused) == (JobState.PAUSED, "owner")
        at.backend.script = Script(runs_s=600)
        at.resume("1")
        at.until(15)
        assert at.job(1).state is JobState.DONE


def test_pause_that_its_owner_wants_outlives_a_preemption(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600, preempted_after_s=600)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(5)
        at.backend.failing = BackendError("no answer", transient=True)
        at.pause("1")
        at.until(10)
        at.backend.failing = None
        at.until(10)
        assert (at.job(1).state, at.job(1).paused) == (JobState.PAUSED, "owner")


def test_failed_job_is_tried_again_with_its_whole_time_limit(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.scripts = {"1.1": Script(runs_s=3000, exit_code=1), "1.2": Script(runs_s=3000)}
        at.submit(duration_s=3000.0, time_limit_s=3600.0, retries=1)
        at.round()
        at.until(110)
        assert at.job(1).state is JobState.DONE


def test_job_whose_place_was_taken_away_gets_its_whole_time_limit(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.scripts = {"1.1": Script(preempted_after_s=2000, runs_s=3000), "1.2": Script(runs_s=3000)}
        at.submit(duration_s=3000.0, time_limit_s=3600.0)
        at.round()
        at.until(90)
        assert at.job(1).state is JobState.DONE


def test_job_that_goes_on_has_what_is_left_of_its_time_limit(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=5000)
        at.submit(duration_s=3000.0, time_limit_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(20)
        at.pause("1")
        at.until(10)
        at.resume("1")
        at.round()
        assert at.backend.submitted[-1].time_limit_s == 2400
        at.until(60)
        assert at.job(1).reason == "stopped: time limit"


def test_failed_job_that_waits_in_a_queue_again_stays_there_with_its_time_limit(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.scripts = {
            "1.1": Script(runs_s=3000, exit_code=1),
            "1.2": Script(starts_after_s=1200, runs_s=3000),
        }
        job = at.submit(duration_s=3000.0, time_limit_s=3600.0, retries=1).job.id
        for _ in range(150):
            at.shift(60)
        assert at.job(job).state is JobState.DONE
        assert len(at.store.attempts([job])[job]) == 2
