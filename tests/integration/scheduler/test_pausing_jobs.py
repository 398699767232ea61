"""Jobs that pause: by plan, by their owners, and what becomes of them then."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scheduler.office import NOW
from tests.integration.scheduler.pausing_office import CLEAN, DIRTY, HOUR, PAUSABLE, pausing_office
from tidewatt.backends.backend import BackendError, PauseMode, StopReason
from tidewatt.backends.clock import moment
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.scheduler.daemon.callers import Caller, asking
from tidewatt.scheduler.daemon.stints import cheaper
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import AttemptState, JobState

SWING = {"DE": [CLEAN, DIRTY, DIRTY, CLEAN, DIRTY, DIRTY, DIRTY]}
SOON = timedelta(minutes=5)
FLAT = {"DE": [CLEAN]}
APART = {"DE": [CLEAN, DIRTY, DIRTY, DIRTY, DIRTY], "FR": [DIRTY, CLEAN, DIRTY, DIRTY, DIRTY]}


def test_job_runs_its_stints_in_the_clean_hours_and_ends_once(tmp_path: Path) -> None:
    with pausing_office(tmp_path, SWING) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        reply = at.submit(duration_s=5400.0, finish_by=NOW + 6 * HOUR, pausing=PAUSABLE)
        assert reply.job.plan is not None
        one, two = reply.job.plan.stints
        assert one.end <= NOW + HOUR + SOON
        assert two.start >= NOW + 3 * HOUR - SOON
        at.round()
        at.until(65)
        assert at.job(1).state is JobState.WAITING
        assert at.job(1).paused == "plan"
        ran = one.end - one.start - timedelta(seconds=PAUSABLE["checkpoint_s"])
        assert at.job(1).progress_ms == pytest.approx(ran / timedelta(milliseconds=1), abs=60_000)
        assert "progress" in at.kinds(1)
        at.until(4 * 60, 2)
        job = at.job(1)
        assert job.state is JobState.DONE
        first, second = at.attempts(1)
        assert second.factors["resumes"] == first.id
        assert abs(moment(second.started_ms) - two.start) <= timedelta(minutes=1)
        assert at.backend.submitted[1].resumes == at.backend.submitted[0].folder


def test_stint_that_began_late_is_made_up_for_later_and_the_job_waits_all_the_same(tmp_path: Path) -> None:
    days = {"DE": [CLEAN, DIRTY, DIRTY, CLEAN, DIRTY, DIRTY, CLEAN, DIRTY, DIRTY, DIRTY]}
    with pausing_office(tmp_path, days) as at:
        at.backend.script = Script(runs_s=130 * 60, restarts_s=120)
        reply = at.submit(duration_s=7800.0, finish_by=NOW + 10 * HOUR, pausing=PAUSABLE)
        assert reply.job.plan is not None
        assert len(reply.job.plan.stints) == 3
        at.shift(90)  # nobody looked for a while
        at.until(70)
        job = at.job(1)
        assert (job.state, job.paused) == (JobState.WAITING, "plan")
        assert job.plan is not None
        assert job.plan.window.start >= NOW + 3 * HOUR - SOON
        at.until(8 * 60, 2)
        assert at.job(1).state is JobState.DONE
        assert moment(at.attempts(1)[1].started_ms) >= NOW + 3 * HOUR - SOON


def test_job_that_may_move_goes_on_in_the_other_region(tmp_path: Path) -> None:
    with pausing_office(tmp_path, APART) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing={**PAUSABLE, "moves": True})
        at.round()
        at.until(3 * 60, 2)
        assert [each.region for each in at.attempts(1)] == ["de", "fr"]
        assert at.job(1).state is JobState.DONE


def test_job_that_may_not_move_stays(tmp_path: Path) -> None:
    with pausing_office(tmp_path, APART) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(5 * 60, 2)
        assert {each.region for each in at.attempts(1)} == {"de"}
        assert at.job(1).state is JobState.DONE


def test_paused_job_meets_its_deadline_when_the_forecast_turns(tmp_path: Path) -> None:
    with pausing_office(tmp_path, SWING) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(65)
        at.site.chain.zones["DE"][2:] = [DIRTY, DIRTY, CLEAN - 50, CLEAN - 50]  # type: ignore[attr-defined]
        at.until(4 * 60, 2)
        assert at.job(1).state is JobState.DONE
        ended_ms = at.job(1).ended_ms
        assert ended_ms is not None
        assert moment(ended_ms) <= NOW + 5 * HOUR


def test_owner_pauses_until_resume(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600, saves_s=30, restarts_s=60)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(20)
        at.pause("1")
        at.until(2)
        job = at.job(1)
        assert (job.state, job.paused, job.plan) == (JobState.PAUSED, "owner", None)
        assert job.progress_ms == 20 * 60_000
        at.until(120, 2)
        assert at.job(1).state is JobState.PAUSED
        at.resume("1")
        at.until(45)
        assert at.job(1).state is JobState.DONE
        assert [each.state for each in at.attempts(1)] == [AttemptState.ENDED] * 2


def test_pause_for_a_while_ends_by_itself(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(5)
        at.pause("1", for_s=1200)
        at.until(10)
        assert at.job(1).state is JobState.PAUSED
        at.until(15)
        assert at.job(1).state is JobState.RUNNING
        assert len(at.attempts(1)) == 2


def test_job_that_stands_still_keeps_its_attempt_and_its_place(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600, wakes_s=5)
        at.submit(duration_s=3600.0)
        at.submit(duration_s=3600.0)
        at.round()
        at.until(10)
        at.pause("1", PauseMode.STOP)
        at.until(30)
        assert at.job(1).state is JobState.PAUSED
        assert at.job(2).state is JobState.WAITING
        at.resume("1")
        at.until(2)
        assert (at.job(1).state, at.job(1).paused) == (JobState.RUNNING, "")
        at.until(49)
        assert at.job(1).state is JobState.DONE
        assert len(at.attempts(1)) == 1


def test_job_without_terms_cannot_be_paused_by_checkpoint(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.submit(duration_s=3600.0)
        at.round()
        with pytest.raises(Refused, match="--pausable"):
            at.pause("1", PauseMode.CHECKPOINT)
        at.pause("1")
        at.shift(1)
        assert at.store.live_attempts()[0].state is AttemptState.SUSPENDED


def test_failed_checkpoint_costs_its_work_and_is_told(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600, saves=False)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(20)
        at.pause("1")
        at.until(1)
        job = at.job(1)
        assert job.progress_ms == 0
        assert any("no whole checkpoint" in each and "20 min lost" in each for each in job.warnings)
        at.resume("1")
        at.until(62)
        assert at.job(1).state is JobState.DONE


def test_owners_pause_that_risks_the_deadline_is_told(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0, finish_by=NOW + 2 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(10)
        at.pause("1")
        at.until(30)
        assert at.job(1).at_risk == ""
        at.until(60)
        assert "its owner paused it" in at.job(1).at_risk


@pytest.mark.parametrize("by_owner", [True, False])
def test_paused_job_is_cancelled_at_once(tmp_path: Path, by_owner: bool) -> None:
    with pausing_office(tmp_path, FLAT if by_owner else SWING) as at:
        at.backend.script = Script(runs_s=5400)
        at.submit(duration_s=5400.0, finish_by=NOW + 6 * HOUR, pausing=PAUSABLE)
        at.round()
        at.until(61)
        if by_owner:
            at.pause("1")
            at.until(1)
        assert at.job(1).paused
        at.changes.cancel("1")
        assert at.job(1).state is JobState.CANCELLED
        at.until(300, 10)
        assert len(at.attempts(1)) == 1


def test_time_limit_holds_for_all_attempts_together(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=7200)
        at.submit(duration_s=3600.0, time_limit_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(40)
        at.pause("1")
        at.until(1)
        at.resume("1")
        at.until(2)
        assert at.backend.submitted[1].time_limit_s == pytest.approx(20 * 60, abs=61)
        at.until(30)
        assert at.job(1).state is JobState.FAILED


def test_daemon_that_is_restarted_between_asking_and_telling_asks_again(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(5)
        at.backend.failing = BackendError("the engine does not answer", transient=True)
        at.pause("1")
        at.backend.failing = None
        assert at.store.live_attempts()[0].state is AttemptState.RUNNING
        at.store.close()
        at.open()
        at.until(2)
        assert at.job(1).state is JobState.PAUSED


def test_failure_after_a_pause_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.backend.scripts["1.2"] = Script(runs_s=300, exit_code=1)
        at.submit(duration_s=3600.0, retries=1, pausing=PAUSABLE)
        at.round()
        at.until(30)
        at.pause("1")
        at.until(1)
        at.resume("1")
        at.until(8)
        one, _, three = at.backend.submitted
        assert three.resumes == one.folder
        at.until(40)
        assert at.job(1).state is JobState.DONE


def test_signal_reaches_the_job(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0)
        at.round()
        at.signal("1", "sigusr1")
        assert at.backend.signalled == [("1.1", "USR1")]
        with pytest.raises(BadInput, match="no signal"):
            at.signal("1", "USR9")


@pytest.mark.parametrize(
    ("sent", "told"), [("KILL", "ended by SIGKILL, as its owner asked"), ("USR1", "lost")]
)
def test_end_by_the_signal_that_its_owner_sent_says_so(tmp_path: Path, sent: str, told: str) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=300, exit_code=None, signal=9, reason="lost")
        at.submit(duration_s=3600.0)
        at.round()
        at.signal("1", sent)
        at.until(10)
        assert (at.job(1).state, at.job(1).reason) == (JobState.FAILED, told)


def test_what_an_operator_did_is_not_called_its_owners_doing(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0)
        at.round()
        with asking(Caller(1, 1, frozenset(), "grace", operator=True)):
            at.signal("1", "USR1")
            at.pause("1")
        reasons = [event["reason"] for event in at.store.events(1)]
        assert "SIGUSR1, as the operator grace asked" in reasons
        assert "the operator grace asked for a pause" in reasons


def test_paused_attempts_are_no_completion(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT) as at:
        at.backend.script = Script(runs_s=3600, exit_code=0)
        at.submit(duration_s=3600.0, pausing=PAUSABLE)
        at.round()
        at.until(5)
        at.pause("1")
        at.until(1)
        folder = at.backend.submitted[0].folder
        assert at.backend.status([folder])[folder].stopped is StopReason.PAUSED
        assert at.job(1).state is JobState.PAUSED


def places(folder: Path) -> dict[str, Any]:
    """Regions that keep checkpoints in folders of their own."""
    return {"region": [{"name": name, "cpus": 1, "checkpoints": str(folder / name)} for name in ("de", "fr")]}


def test_checkpoint_goes_with_the_job_and_its_way_is_told(tmp_path: Path) -> None:
    with pausing_office(tmp_path, APART, **places(tmp_path)) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing={**PAUSABLE, "moves": True})
        at.round()
        saved = tmp_path / "de" / "job-1" / "model.npz"
        saved.parent.mkdir(parents=True)
        saved.write_bytes(b"weights")
        at.until(3 * 60, 2)
        assert [each.region for each in at.attempts(1)] == ["de", "fr"]
        assert (tmp_path / "fr" / "job-1" / "model.npz").read_bytes() == b"weights"
        [carried] = [each for each in at.store.events(1) if each["kind"] == "carried"]
        assert (carried["payload"]["from"], carried["payload"]["to"]) == ("de", "fr")
        assert carried["payload"]["bytes"] == len(b"weights")
        terms = [each.pausing for each in at.backend.submitted]
        assert [each and Path(each.folder).parent.name for each in terms] == ["de", "fr"]
        assert at.job(1).state is JobState.DONE


def test_job_whose_checkpoint_cannot_travel_stays(tmp_path: Path) -> None:
    with pausing_office(tmp_path, APART, **places(tmp_path)) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing={**PAUSABLE, "moves": True})
        at.round()
        at.until(5 * 60, 2)  # nothing was ever saved where it says
        assert {each.region for each in at.attempts(1)} == {"de"}
        assert any("cannot be brought to fr" in each for each in at.job(1).warnings)
        assert at.job(1).state is JobState.DONE


def test_tasks_of_an_array_are_paused_together(tmp_path: Path) -> None:
    with pausing_office(tmp_path, FLAT, cpus=3) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0, array=(0, 1, 2), pausing=PAUSABLE)
        at.round()
        at.until(5)
        at.pause("1")
        at.until(1)
        assert at.states() == "ppp"
        at.resume("1_1")
        at.until(2)
        assert at.states() == "prp"


def test_standing_still_is_chosen_where_it_draws_less(tmp_path: Path) -> None:
    with pausing_office(tmp_path, SWING) as at:
        at.backend.script = Script(runs_s=3600)
        at.submit(duration_s=3600.0, pausing={**PAUSABLE, "suspended_w": 0.001})
        job = at.job(1)
        assert cheaper(job, timedelta(minutes=30), here=True) is PauseMode.STOP
        assert cheaper(job, timedelta(minutes=30), here=False) is PauseMode.CHECKPOINT
        assert cheaper(job, timedelta(hours=2), here=True) is PauseMode.CHECKPOINT
        at.submit(duration_s=3600.0, pausing={**PAUSABLE, "suspended_w": 1000.0})
        assert cheaper(at.job(2), timedelta(minutes=30), here=True) is PauseMode.CHECKPOINT


def test_job_that_only_stands_still_is_planned_to_do_so(tmp_path: Path) -> None:
    short = {"DE": [CLEAN, DIRTY, CLEAN, DIRTY, DIRTY, DIRTY]}
    with pausing_office(tmp_path, short) as at:
        at.backend.script = Script(runs_s=90 * 60)
        at.submit(duration_s=5400.0, finish_by=NOW + 5 * HOUR, pausing={"by": "stop", "suspended_w": 1.0})
        at.round()
        at.until(65)
        assert at.store.live_attempts()[0].state is AttemptState.SUSPENDED
        at.until(120, 2)
        assert at.job(1).state is JobState.DONE
        assert len(at.attempts(1)) == 1
        assert "job.paused" in at.kinds(1)


class Plain:
    """A backend with the first verbs only."""

    def __init__(self, inner: FakeBackend) -> None:
        self.submit, self.status, self.stop = inner.submit, inner.status, inner.stop
        self.logs, self.poison, self.processes = inner.logs, inner.poison, inner.processes


def test_job_whose_backend_cannot_pause_runs_on(tmp_path: Path) -> None:
    with pausing_office(tmp_path, SWING) as at:
        at.backend.script = Script(runs_s=90 * 60)
        at.store.close()
        at.site = replace(at.site, backend=Plain(at.backend))
        at.open()
        at.submit(duration_s=5400.0, finish_by=NOW + 6 * HOUR, pausing=PAUSABLE)
        at.until(10, 2)
        with pytest.raises(Refused, match="cannot pause"):
            at.pause("1")
        at.until(100, 2)
        assert at.job(1).state is JobState.DONE
        assert "pause skipped" in at.kinds(1)
        assert len(at.attempts(1)) == 1
