"""Arrays, predecessors, priorities and retries, from the verb to the launch."""

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.backend import StopReason
from tidewatt.backends.fake import Script
from tidewatt.scheduler.daemon.launching import NotFree
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.daemon.sweeping import sweep
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.plan import Why
from tidewatt.scheduler.request_schema import RerunRequest, UpdateRequest
from tidewatt.scheduler.schemas import ArrayView, JobView
from tidewatt.scheduler.store import StoreError, Transaction


def test_array_never_runs_more_tasks_at_a_time_than_it_may(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        reply = at.submit(array=tuple(range(6)), array_limit=2)
        assert reply.array is not None
        assert (reply.array.key, reply.array.size, reply.array.tasks) == ("1", 6, {"waiting": 6})
        seen = []
        for _ in range(6):
            at.round()
            seen.append(len(at.running()))
            at.shift(61)
        assert max(seen) == 2
        assert at.states() == "dddddd"


def test_full_array_is_refused_at_the_launch_whatever_was_planned(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(0, 1), array_limit=1)
        at.round()
        found = queue(at.site, at.store, (), NOW)
        [waiting] = found.waiting
        with pytest.raises(NotFree, match="1 task runs of array 1, of which at most 1 may at a time"):
            at.launcher.launch(waiting, at.site.regions[0], "", found, "a plan that lies")


def test_task_knows_its_number_and_has_files_of_its_own(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(3, 7), stdout=str(tmp_path / "out_%j_%a.log"))
        at.round()
        told = {launch.attempt_id: dict(launch.variables) for launch in at.backend.submitted}
        assert {name: value for name, value in told["2.1"].items() if "ARRAY" in name} == {
            "TIDEWATT_ARRAY_JOB_ID": "1",
            "TIDEWATT_ARRAY_TASK_ID": "7",
            "TIDEWATT_ARRAY_COUNT": "2",
        }
        assert [Path(job.stdout).name for job in at.store.jobs()] == ["out_1_3.log", "out_1_7.log"]


def test_tasks_share_their_environment_until_the_last_of_them_has_ended(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(3, 7), env={"KEPT": "yes"})
        at.round()
        files = {launch.environment_file for launch in at.backend.submitted}
        assert files == {at.paths.jobs / "1" / "env.json"}
        [kept] = [file for file in files if file is not None]
        assert json.loads(kept.read_text()) == {"KEPT": "yes"}
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE((at.paths.jobs / "2").stat().st_mode) == 0o700
        at.changes.cancel("1_3")
        at.round()
        sweep(at.site, at.store)
        assert kept.exists(), "the other task still needs it"
        at.shift(61)
        assert not kept.exists()


def test_job_without_an_array_learns_nothing_of_arrays(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit()
        at.round()
        assert not [name for name in at.backend.submitted[0].variables if "ARRAY" in name]


def test_array_is_held_released_and_cancelled_as_a_whole_or_task_by_task(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(0, 1, 2), hold=True)
        assert at.states() == "hhh"
        released = at.changes.release("1")
        assert isinstance(released, ArrayView)
        assert [job.state for job in released.jobs] == ["waiting"] * 3
        assert all(job.plan is not None for job in released.jobs)
        held = at.changes.hold("1_2")
        assert isinstance(held, JobView)
        assert (held.key, held.state) == ("1_2", "held")
        at.round()
        assert at.states() == "rrh"
        at.changes.cancel("1")
        at.round()
        assert at.states() == "ccc"
        with pytest.raises(Refused, match="job 1 is cancelled already"):
            at.changes.cancel("1")
        with pytest.raises(BadInput, match="there is no job 1_9"):
            at.changes.hold("1_9")


def test_array_that_has_no_room_is_refused_with_nothing_left_behind(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        soon = NOW + timedelta(minutes=5)
        with pytest.raises(Refused, match="no room for all 9 tasks"):
            at.submit(array=tuple(range(9)), finish_by=soon)
        assert at.store.jobs() == []
        assert list(at.paths.jobs.iterdir()) == []
        at.submit(array=tuple(range(2)), finish_by=soon)
        assert at.states() == "ww"


def test_array_does_not_cost_a_waiting_job_its_deadline(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        promised = at.submit(finish_by=NOW + timedelta(minutes=4)).job
        with pytest.raises(Refused):
            at.submit(array=(0, 1, 2, 3), finish_by=NOW + timedelta(minutes=4))
        at.submit(array=(0, 1), finish_by=NOW + timedelta(minutes=6))
        for _ in range(8):
            at.shift(61)
        assert at.states() == "ddd"
        assert at.job(promised.id).ended_ms is not None
        assert (at.job(promised.id).ended_ms or 0) <= round((NOW.timestamp() + 240) * 1000)


def test_jobs_are_taken_in_though_the_planner_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sick(*_asked: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    for around in ("board.Board", "standing.Standing"):
        monkeypatch.setattr(f"tidewatt.scheduler.planning.{around}.options", sick)
    with office(tmp_path) as at:
        soon = NOW + timedelta(minutes=30)
        assert at.submit(finish_by=soon).offers == ()
        at.submit(array=(0, 1), finish_by=soon)
        assert [job.plan is not None for job in at.store.jobs()] == [True] * 3
        with pytest.raises(Refused):
            at.submit(array=tuple(range(300)), finish_by=soon)


def test_array_that_cannot_be_stored_whole_is_not_stored_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with office(tmp_path) as at:
        stored = Transaction.tell_plan

        def full_at_the_third(on: Transaction, job_id: int, *told: Any) -> None:
            if job_id == 3:
                raise StoreError("the disk is full")
            stored(on, job_id, *told)

        monkeypatch.setattr(Transaction, "tell_plan", full_at_the_third)
        with pytest.raises(StoreError, match="the disk is full"):
            at.submit(array=tuple(range(5)), env={"SECRET": "1"})
        assert (at.store.jobs(), at.store.events()) == ([], [])
        sweep(at.site, at.store)
        assert list(at.paths.jobs.iterdir()) == []


def test_job_starts_when_those_before_it_are_done(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(0, 1))
        at.submit(after=("1",))
        at.submit(after=("3",))
        assert [job.plan is not None for job in at.store.jobs()] == [True] * 4
        seen = []
        for _ in range(4):
            at.round()
            seen.append(at.states())
            at.shift(61)
        assert seen[0] == "rrww"
        assert at.states() == "dddd"
        starts = [at.store.attempts([number])[number][0].launched_ms for number in (1, 2, 3, 4)]
        ends = [at.job(number).ended_ms or 0 for number in (1, 2, 3)]
        assert starts[2] >= max(ends[:2])
        assert starts[3] >= ends[2]


def test_predecessors_are_called_by_their_keys_and_a_whole_array_by_its_number(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(0, 1, 2))
        at.submit()
        follower = at.submit(after=("1", "4"), after_any=("1_2", "1_0")).job
        assert (follower.after, follower.after_any) == (("1", "4"), ("1_0", "1_2"))


def test_launch_is_refused_before_the_predecessors_are_done_whatever_was_planned(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit()
        at.submit(after=("1",))
        at.round()
        found = queue(at.site, at.store, (), NOW)
        with pytest.raises(NotFree, match="it waits for job 1, which is running"):
            at.launcher.launch(at.job(2), at.site.regions[0], "", found, "a plan that lies")


def test_job_longer_than_its_deadline_is_away_is_taken_where_it_may_be_late(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        with pytest.raises(BadInput, match="accept the earliest finish with --late"):
            at.submit(duration_s=7200, finish_by=NOW + timedelta(hours=1))
        at.submit(duration_s=7200, finish_by=NOW + timedelta(hours=1), late=True)
        plan = at.job(1).plan
        assert plan is not None
        assert (plan.why, plan.window.start) == (Why.LATE, NOW)


@pytest.mark.parametrize("end", ["failure", "cancel", "cancel while it waits"])
def test_followers_of_a_job_that_was_not_done_are_cancelled_with_the_reason(tmp_path: Path, end: str) -> None:
    with office(tmp_path) as at:
        at.backend.script = Script(runs_s=60, exit_code=1 if end == "failure" else 0)
        at.submit(env={"A": "1"})
        at.submit(after=("1",), env={"A": "1"})
        at.submit(after=("2",), hold=True)
        at.submit(after_any=("1",))
        if end != "cancel while it waits":
            at.round()
        at.backend.script = Script()
        if end != "failure":
            assert at.changes.cancel("1").also == ("2", "3")
        at.shift(61)
        became = "failed" if end == "failure" else "was cancelled"
        assert at.job(2).state is JobState.CANCELLED
        assert at.job(2).reason == f"job 1, after which it was to run, {became}"
        assert at.job(3).state is JobState.CANCELLED
        assert at.job(3).reason == "job 2, after which it was to run, was cancelled"
        assert not (at.paths.jobs / "2" / "env.json").exists()
        at.shift(61)
        at.shift(61)
        assert at.job(4).state is JobState.DONE, "it was to run however the first ended"


def test_turn_of_a_follower_begins_when_those_before_it_have_ended(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit()
        at.submit(after=("1",))
        at.round()
        at.shift(61)
        ended_ms = at.job(1).ended_ms or 0
        assert at.job(1).frozen["submitted_ms"] == round(NOW.timestamp() * 1000)
        assert at.job(2).frozen["submitted_ms"] >= ended_ms


def test_followers_of_held_jobs_are_planned_when_those_are_released(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(hold=True)
        at.submit(after=("1",))
        at.submit(after=("2",))
        at.round()
        assert at.states() == "hww"
        assert [at.job(number).plan for number in (2, 3)] == [None, None]
        at.changes.release("1")
        at.round()
        assert at.states() == "rww"
        assert None not in [at.job(number).plan for number in (2, 3)]
        at.changes.hold("2")
        at.round()
        assert at.job(3).plan is None
        assert at.store.events(3)[-1]["kind"] == "plan void"


def test_follower_of_a_held_job_is_at_risk_when_its_latest_start_has_come(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(hold=True)
        at.submit(after=("1",), finish_by=NOW + timedelta(minutes=10))
        at.shift(60)
        assert at.job(2).at_risk == ""
        at.shift(8 * 60 + 1)
        assert at.job(2).at_risk == "its latest start has come, but a job before it is held"
        at.changes.release("1")
        for _ in range(3):
            at.shift(61)
        assert at.states() == "dd"


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"after": ("9",)}, BadInput, "there is no job 9"),
        ({"after": ("nine",)}, BadInput, "'nine' is no job's number"),
        ({"after": ("3",)}, Refused, "job 3, after which it was to run, was cancelled"),
        (
            {"after": ("2",), "finish_by": NOW + timedelta(hours=2, minutes=30), "duration_s": 3600},
            BadInput,
            "job 2, after which it is to run, cannot end before 2026-03-10 11:00 UTC, and then 1h do not fit"
            " before --finish-by 2026-03-10 11:30 UTC",
        ),
        (
            {"after": ("2",), "start_by": NOW + timedelta(hours=1)},
            BadInput,
            "which is later than --start-by",
        ),
        ({"array": tuple(range(1001))}, BadInput, "at most 1000 tasks, this one has 1001"),
    ],
)
def test_what_can_never_be_is_refused_in_one_sentence(
    tmp_path: Path, asked: Any, error: type[Exception], told: str
) -> None:
    with office(tmp_path) as at:
        at.submit(duration_s=3600)
        at.submit(duration_s=3600, after=("1",))
        at.submit(hold=True)
        at.changes.cancel("3")
        with pytest.raises(error, match=told):
            at.submit(**asked)
        assert len(at.store.jobs()) == 3


def test_failed_job_is_tried_again_with_longer_and_longer_pauses(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.backend.script = Script(runs_s=10, exit_code=3)
        at.backend.scripts["1.3"] = Script(runs_s=10)
        at.submit(retries=5, env={"A": "1"})
        at.submit(after=("1",))
        starts = []
        for _ in range(60):
            at.shift(1)
            starts = [each.launched_ms for each in at.store.attempts([1])[1]]
            assert at.job(2).state is JobState.WAITING or at.job(1).state is JobState.DONE
        assert at.job(1).state is JobState.DONE
        assert (at.job(1).retried, len(starts)) == (2, 3)
        assert starts[1] - starts[0] >= 12_000
        assert starts[2] - starts[1] >= 20_000
        reasons = [event["reason"] for event in at.store.events(1) if event["kind"] == "job.waiting"]
        assert [reason.partition(", not")[0] for reason in reasons] == [
            "failed (exit code 3): tried again, 1 of 5",
            "failed (exit code 3): tried again, 2 of 5",
        ]
        assert not (at.paths.jobs / "1" / "env.json").exists()


def test_job_has_failed_when_its_retries_are_used_up(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.backend.script = Script(runs_s=1, signal=9, exit_code=None)
        at.submit(retries=1)
        for _ in range(10):
            at.shift(1)
        assert (at.job(1).state, at.job(1).reason) == (JobState.FAILED, "ended by signal 9")
        assert [each.id for each in at.store.attempts([1])[1]] == ["1.1", "1.2"]


@pytest.mark.parametrize("stopped", [StopReason.CANCELLED, StopReason.TIME_LIMIT])
def test_job_that_was_stopped_for_good_is_not_tried_again(tmp_path: Path, stopped: StopReason) -> None:
    with office(tmp_path) as at:
        at.backend.script = Script(runs_s=600)
        at.submit(retries=3)
        at.round()
        if stopped is StopReason.CANCELLED:
            at.changes.cancel("1")
        else:
            at.backend.stop(at.paths.jobs / "1" / "1", stopped)
        at.shift(1)
        expected = JobState.CANCELLED if stopped is StopReason.CANCELLED else JobState.FAILED
        assert at.job(1).state is expected


def test_pause_before_a_retry_gives_way_to_the_deadline(tmp_path: Path) -> None:
    with office(tmp_path, margin="1s") as at:
        at.backend.script = Script(runs_s=10, exit_code=3)
        at.submit(retries=4, finish_by=NOW + timedelta(seconds=200), duration_s=60)
        for _ in range(75):
            at.shift(1)
        third = at.store.attempts([1])[1][2]
        waited_ms = third.launched_ms - (at.store.attempts([1])[1][1].ended_ms or 0)
        assert waited_ms >= 10_000, "while there is time, the pause is kept"
        for _ in range(70):
            at.shift(1)
        fourth = at.store.attempts([1])[1][3]
        assert fourth.launched_ms <= round((NOW.timestamp() + 142) * 1000), "50 s later it would be too late"


def test_job_of_higher_priority_gets_what_becomes_free(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        at.submit()
        at.round()
        at.submit(name="low")
        at.submit(name="high", priority=10)
        at.shift(61)
        assert at.states() == "dwr"
        at.changes.update("2", UpdateRequest(priority=5, retries=2))
        assert (at.job(2).priority, at.job(2).retries) == (5, 2)


def test_only_acceptable_kinds_of_gpu_are_used(tmp_path: Path) -> None:
    with office(tmp_path, "NVIDIA A100", "NVIDIA T4", "NVIDIA T4") as at:
        at.submit(gpus=1, kinds=({"kind": "a100"}, {"kind": "h100", "speed": 2.0, "power": 1.5}))
        at.submit(gpus=2, kinds=({"kind": "t4"},))
        at.round()
        assert [launch.gpu_uuids for launch in at.backend.submitted] == [("GPU-0",), ("GPU-1", "GPU-2")]
        job = at.store.jobs()[0]
        found = queue(at.site, at.store, (), NOW)
        with pytest.raises(NotFree, match="it does not take NVIDIA T4 GPUs"):
            at.launcher.launch(job, at.site.regions[0], "NVIDIA T4", found, "a plan that lies")


def test_job_on_a_faster_kind_is_expected_to_end_sooner_and_learnt_from_as_if_it_were_not(
    tmp_path: Path,
) -> None:
    kinds = ({"kind": "a100"}, {"kind": "h100", "speed": 2.0, "power": 1.5})
    with office(tmp_path, "NVIDIA H100") as at:
        at.backend.script = Script(runs_s=300)
        for _ in range(2):
            at.submit("python", "train.py", gpus=1, kinds=kinds, duration_s=600)
            at.round()
            found = queue(at.site, at.store, (), at.site.clock.now())
            [[number, end]] = found.ends.items()
            assert end == at.site.clock.now() + timedelta(seconds=300)
            assert found.bookings[0].power_w == pytest.approx(1.5 * at.job(number).power_mw / 1000)
            at.shift(301)
        learnt = at.submit("python", "train.py", gpus=1, kinds=kinds, duration_s=None).job
        assert learnt.duration_s == pytest.approx(600, rel=0.02)


def test_ended_array_is_run_again_with_its_numbers(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(array=(3, 5), array_limit=1, priority=2, after_any=())
        with pytest.raises(Refused, match="can be run again when it has ended"):
            at.service.rerun("1", RerunRequest())
        for _ in range(3):
            at.shift(61)
        at.service.rerun("1", RerunRequest())
        at.service.rerun("1_5", RerunRequest())
        assert [job.key for job in at.store.jobs()] == ["1_3", "1_5", "3_3", "3_5", "5_5"]
        assert at.job(3).priority == 2


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.backend.scripts["1.1"] = Script(runs_s=1, exit_code=3)
        at.submit(array=(0, 1, 2), array_limit=2, retries=1)
        at.submit(after=("1",))
        at.round()
        at.open()  # the one before was never closed, as after a kill
        for _ in range(5):
            at.shift(61)
            assert len([key for key in at.running() if key.startswith("1_")]) <= 2
            at.open()
        assert at.states() == "dddd"
        assert [len(each) for each in at.store.attempts([1, 2, 3, 4]).values()] == [2, 1, 1, 1]


def test_shares_are_gpu_hours_over_weights(tmp_path: Path) -> None:
    with office(tmp_path, "A100", "A100", shares={"vision": 2.0}) as at:
        at.submit(gpus=2, project="vision", duration_s=60)
        at.round()
        at.shift(1800)
        shares = queue(at.site, at.store, (), at.site.clock.now()).shares
        assert shares["vision"] == pytest.approx(2 * 60 / 3600 / 2, rel=0.05)


def test_office_without_weights_reckons_no_shares(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit()
        at.round()
        assert queue(at.site, at.store, (), NOW).shares == {}


def had_run(at: Office, seconds: float, times: int, **asked: Any) -> None:
    """Runs of `train.py` that took so long."""
    at.backend.script = Script(runs_s=seconds)
    for number in range(times):
        at.submit("python", "train.py", str(number), duration_s=1000.0, **asked)
    at.round()
    at.shift(seconds + 1)
    assert set(at.states()) == {"d"}


def test_duration_is_learnt_from_earlier_runs_and_the_deadline_kept_with_the_longer_one(
    tmp_path: Path,
) -> None:
    with office(tmp_path) as at:
        had_run(at, 500, 8)
        job = at.submit("python", "train.py", "x", duration_s=2000.0, finish_by=NOW + timedelta(hours=9)).job
        assert "learnt: 8 earlier runs of train.py" in job.duration_source
        assert "33m20s was yours" in job.duration_source
        assert job.guard_s is not None
        assert 1000 < job.duration_s < job.guard_s < 2000
        assert at.job(job.id).estimate_ms == 2_000_000
        known = at.submit("python", "train.py", "5", duration_s=None).job
        assert known.duration_s == pytest.approx(500, rel=0.1)
        had_run_before = at.service.rerun("1", RerunRequest())
        assert at.job(had_run_before.job.id).estimate_ms == 1_000_000


def test_experience_never_makes_a_deadline_impossible_that_the_estimate_keeps(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        had_run(at, 2000, 8)
        soon = at.site.clock.now() + timedelta(seconds=1100)
        job = at.submit("python", "train.py", "x", duration_s=1000.0, finish_by=soon).job
        assert job.duration_s == 1000
        assert job.duration_source.startswith("yours, though 8 earlier runs of train.py")
        with pytest.raises(BadInput, match="does not fit before --finish-by, 18m20s away"):
            at.submit("python", "train.py", "7", duration_s=None, finish_by=soon)


def test_time_limit_bounds_what_is_learnt(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        had_run(at, 500, 3)
        job = at.submit("python", "train.py", "1", duration_s=None, time_limit_s=450.0).job
        assert (job.duration_s, job.guard_s) == (450, 450)


def test_plan_history_is_told_by_events_with_their_causes(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        at.submit(duration_s=600)
        at.round()
        at.submit()
        at.submit(after=("1",), priority=0)
        at.changes.cancel("1")
        at.shift(1)
        shown = at.service.view("2")
        assert isinstance(shown, JobView)
        plans = [event for event in shown.events if event.kind == "plan"]
        assert [event.reason for event in plans] == ["submitted", "job 1 ended"]
        first, second = (int(event.detail["start_ms"]) for event in plans)
        assert first > second
