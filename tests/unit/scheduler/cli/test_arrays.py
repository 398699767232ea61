"""Arrays, predecessors, priorities, retries and kinds of GPU on the command line."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.conftest import Said
from tests.unit.scheduler.cli.fake_daemon import NOW, FakeDaemon, array_view, attempt, job
from tidewatt.scheduler.schemas import EventView, KindView

Tidewatt = Callable[..., Said]


def test_everything_that_was_asked_reaches_the_daemon(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    said = tidewatt(
        "submit", "--array", "0-6:2%2", "--after", "3,4_1", "--after", "any:5", "--priority", "7",
        "--retries", "2", "--gpus", "2", "--gpu-kind", "a100", "--gpu-kind", "h100:speed=1.8,power=1.3",
        "--data", "1.5T", "--output", "out_%j_%a.log", "--", "true",
    )  # fmt: skip
    assert said.code == 0, said.err
    [request] = fake_daemon.submitted
    assert (request.array, request.array_limit) == ((0, 2, 4, 6), 2)
    assert (request.after, request.after_any) == (("3", "4_1"), ("5",))
    assert (request.priority, request.retries, request.gpus, request.data_gb) == (7, 2, 2, 1500)
    assert request.kinds == (KindView(kind="a100"), KindView(kind="h100", speed=1.8, power=1.3))
    assert "4 tasks" in said.out
    assert "each started at once 1.00 kg: 50 % less" in said.out


def test_defaults_of_a_folder_hold_for_the_new_flags_too(
    fake_daemon: FakeDaemon, tidewatt: Tidewatt, tmp_path: Path
) -> None:
    (tmp_path / "tidewatt.toml").write_text('retries = 3\npriority = -5\ngpu_kind = ["a100"]\n')
    assert tidewatt("submit", "--priority", "1", "--", "true").code == 0
    [request] = fake_daemon.submitted
    assert (request.retries, request.priority, request.gpus) == (3, 1, 1)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--array", "9-1"), "from 9 down to 1"),
        (("--array", "0-3", "--output", "one.log"), "put %a, the number of the task, into --output"),
        (("--after", "some:3"), "write 12, 12,13 or any:12"),
        (("--after", "x"), "'x' is no job's number"),
        (("--priority", "101"), "from -100 to 100"),
        (("--retries", "-1"), "from 0 to 100"),
        (("--gpu-kind", "h100:fast"), "write a word of its name"),
        (("--gpu-kind", "h100:speed=0"), "write a word of its name"),
        (("--gpus", "a100:2", "--gpu-kind", "h100"), "--gpus names the kind 'a100' already"),
        (("--data", "some"), "write for example 40G"),
        (("--cpus", "1000000"), "at most 100,000"),
        (("--gpus", "9" * 5000), "at most 100,000"),
        (("--mem", "99999999999999T"), "more than any machine has"),
        (("--mem", "2000T"), "at most 1024T"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    fake_daemon: FakeDaemon, tidewatt: Tidewatt, flags: tuple[str, ...], told: str
) -> None:
    said = tidewatt("submit", *flags, "--", "true")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert told in said.err
    assert fake_daemon.submitted == []


def test_run_takes_no_array(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    assert "--array" in tidewatt("submit", "--help").out
    assert "--array" not in tidewatt("run", "--help").out


def test_array_is_one_line_of_the_queue_unless_its_tasks_are_asked_for(
    fake_daemon: FakeDaemon, tidewatt: Tidewatt
) -> None:
    counts = {"waiting": 28, "running": 4}
    fake_daemon.jobs[7] = job(7, key="7_0", array=7, tasks=counts, priority=3)
    said = tidewatt("queue")
    assert "7_[32]" in said.out
    assert "28 waiting, 4 running" in said.out
    assert "tasks=false" in fake_daemon.asked[0][1]
    tidewatt("queue", "--tasks")
    assert "tasks=false" not in fake_daemon.asked[-2][1]


def test_array_is_shown_with_its_tasks(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    tasks = [job(7 + n, key=f"7_{n}", array=7, array_task=n, state="waiting") for n in range(3)]
    fake_daemon.arrays["7"] = array_view(*tasks, limit=2)
    said = tidewatt("show", "7")
    assert "job 7 (sweep) is waiting: 3 waiting; at most 2 run at a time" in said.out
    assert "the first tomorrow 02:00 CET; the last ends about tomorrow 14:00 CET" in said.out
    assert [line.split()[0] for line in said.out.splitlines()[-3:]] == ["0", "1", "2"]
    assert "is an array: name one of its tasks, for example 7_0" in tidewatt("logs", "7").err


def test_array_that_has_ended_says_when_it_ran(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    done = job(7, key="7_0", state="done", attempts=(attempt(0),))
    fake_daemon.arrays["7"] = array_view(done, state="done")
    out = tidewatt("show", "7").out
    assert "the last ends about" not in out
    assert "ran      from today 18:00 CET to today 18:00 CET" in out


def test_cancel_says_which_jobs_go_with_it(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    fake_daemon.arrays["1"] = job(1, state="cancelled", also=("2", "3"))
    assert "also     cancelled, as only to run after it: 2, 3" in tidewatt("cancel", "1").out
    fake_daemon.arrays["1"] = job(1, state="running", also=("2",))
    assert (
        "also     to be cancelled once it has stopped, as only to run after it: 2"
        in tidewatt("cancel", "1").out
    )


def test_job_that_never_ran_has_nothing_to_settle(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    fake_daemon.jobs[1] = job(state="cancelled")
    assert "not settled yet" not in tidewatt("show", "1").out


def test_history_is_told_in_words(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    happened: list[tuple[str, str, dict[str, int | str]]] = [
        ("updated", "duration_ms, duration_source, finish_by_ms, late", {}),
        ("attempt.launching", "", {}),
        ("attempt.ended", "", {"exit_code": 3}),
        ("job.failed", "exit code 3", {}),
        ("settlement.none", "", {}),
    ]
    events = tuple(
        EventView(time=NOW, kind=kind, reason=reason, detail=detail) for kind, reason, detail in happened
    )
    fake_daemon.jobs[1] = job(state="failed", events=events)
    told = [line.split("CET  ")[1] for line in tidewatt("show", "1").out.splitlines()[-5:]]
    assert told == [
        "changed: length, deadline, may be late",
        "is being started",
        "its process has ended with exit code 3",
        "failed: exit code 3",
        "account not settled yet",
    ]


def test_verbs_and_wait_take_arrays_and_tasks(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    done = job(7, key="7_0", state="done")
    failed = job(8, key="7_1", state="failed", attempts=(attempt(3),))
    fake_daemon.arrays["7"] = array_view(done, failed, state="failed")
    fake_daemon.arrays["7_1"] = failed
    assert tidewatt("cancel", "7").out.startswith("job 7 (sweep) is failed: ")
    assert fake_daemon.asked[0][:2] == ("POST", "/api/v1/jobs/7/cancel")
    assert "job 7_1 (bert) is failed" in tidewatt("hold", "7_1").out
    assert tidewatt("wait", "7").code == 3


def test_update_sends_priority_and_retries(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    fake_daemon.jobs[1] = job()
    assert tidewatt("update", "1", "--priority", "9", "--retries", "0").code == 0
    assert fake_daemon.asked[0][2] == {"priority": 9, "retries": 0}


def plan_event(hour: int, region: str, saved_percent: int, cause: str, why: str = "waits") -> EventView:
    detail: dict[str, Any] = {
        "start_ms": round((NOW + timedelta(hours=hour)).timestamp() * 1000),
        "region": region,
        "pool": "",
        "reason": why,
        "expected_ug": 1_000_000 - 10_000 * saved_percent,
        "immediate_ug": 1_000_000,
    }
    return EventView(time=NOW, kind="plan", reason=cause, detail=detail)


def test_show_tells_how_the_plan_moved_and_why(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    fake_daemon.jobs[1] = job(
        events=(
            plan_event(8, "local", 31, "submitted", "waits 8 h for cleaner electricity"),
            plan_event(10, "local", 33, "a look at the newest forecast"),
            plan_event(3, "eu-north", 60, "job 4 ended"),
        ),
        after=("3", "4_1"),
        after_any=("5",),
        priority=2,
        retries=3,
        retried=1,
        kinds=(KindView(kind="a100"), KindView(kind="h100", speed=1.8, power=1.3)),
        guard_s=5400.0,
    )
    out = tidewatt("show", "1").out
    assert "moved    2 times, 1 of them later" in out
    assert (
        "plan: starts tomorrow 02:00 CET in local; expected to save 31 %; waits 8 h for cleaner electricity"
        in out
    )
    assert (
        "plan: 2 h later, from tomorrow 02:00 CET to tomorrow 04:00 CET; expected to save 33 % instead of"
        " 31 %; because of: a look at the newest forecast" in out
    )
    assert "7 h earlier, from tomorrow 04:00 CET to today 21:00 CET, from local to eu-north;" in out
    assert "after    3 (has to be done), 4_1 (has to be done), 5 (has to have ended)" in out
    assert "kinds    a100; h100 (1.8 x as fast, 1.3 x the power)" in out
    assert "retries  1 of 3 used" in out
    assert "its deadline is kept with 1 h 30 min" in out


def test_job_after_held_ones_says_why_it_has_no_plan(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    fake_daemon.jobs[7] = job(7, plan=None, after=("3",))
    submitted = tidewatt("submit", "--after", "3", "--", "true").out
    assert submitted.startswith("job 7 (bert) is waiting\n")
    for out in (submitted, tidewatt("show", "7").out):
        assert "not planned yet: a job before it is held" in out


def test_status_tells_how_good_the_plan_is(fake_daemon: FakeDaemon, tidewatt: Tidewatt) -> None:
    assert "possible saving" not in tidewatt("status").out
    certificate = {"planner": "whole queue planner", "jobs": 12, "gap": 0.021, "captured": 0.964}
    fake_daemon.status = fake_daemon.status.model_validate(
        fake_daemon.status.model_dump() | {"certificate": certificate}
    )
    assert (
        "plan: 12 jobs by the whole queue planner, at most 2.1 % above the best possible, 96 % of the"
        " possible saving, proved" in tidewatt("status").out
    )
