"""What `queue`, `show` and `release` say of jobs that are held, late or long over."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.unit.scheduler.cli.fake_daemon import NOW, FakeDaemon, job
from tests.unit.scheduler.cli.test_watching import settlement
from tidewatt.scheduler.schemas import EventView, IntervalView, Problem

Tidewatt = Callable[..., Any]


def test_held_job_is_not_said_to_run_at_any_time(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[1] = job(1, state="held", plan=None)
    fake_daemon.jobs[2] = job(2, state="done")
    rows = tidewatt("queue", "--all").out.splitlines()
    assert "held      1  since today 18:00 CET" in rows[1]
    assert "done      1  ended today 18:00 CET" in rows[2]


def test_deadline_that_has_passed_is_told(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    late = {"finish_by": NOW - timedelta(hours=1)}
    fake_daemon.jobs[1] = job(1, state="held", plan=None, **late)
    fake_daemon.jobs[2] = job(2, state="done", **late)
    rows = tidewatt("queue", "--all").out.splitlines()
    assert "today 17:00 CET (passed)" in rows[1]
    assert "passed" not in rows[2]
    assert "finish   by today 17:00 CET (passed)" in tidewatt("show", "1").out


def test_warnings_of_jobs_that_ended_are_left_to_show(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[1] = job(1, state="done", warnings=("over the budget of nlp",))
    fake_daemon.jobs[2] = job(2, warnings=("the code has changed",))
    out = tidewatt("queue", "--all").out
    assert "job 2  warning  the code has changed" in out
    assert "over the budget" not in out
    assert "over the budget" in tidewatt("show", "1").out


def test_release_says_how_a_passed_deadline_is_changed(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[3] = job(3, state="held")
    told = "--finish-by 2026-11-22T16:00Z is in the past (it is 2026-11-22T17:00Z): give a later time"
    fake_daemon.refusal = Problem(title="bad", status=422, detail=told, exit_code=2)
    said = tidewatt("release", "3")
    assert said.code == 2
    assert "give a later time with `tidewatt update 3 --finish-by 18h`" in said.err


def test_account_that_is_settled_again_is_restated(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    events = tuple(EventView(time=NOW, kind="settlement.provisional", reason="") for _ in range(2))
    fake_daemon.jobs[1] = job(1, state="done", events=events)
    history = tidewatt("show", "1").out.partition("history\n")[2].splitlines()
    assert [line.partition("account")[2] for line in history] == [
        " settled, provisionally",
        " settled, provisionally, restated",
    ]


def test_interval_by_next_to_no_known_error_is_not_shown(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    band = IntervalView(
        low_g=9.9, high_g=10.1, draws=2000, quantified=("x",), not_quantified=(), covered=0.004
    )
    told = {"interval": band, "grade": "estimated"}
    ledger = settlement().ledgers[0].model_copy(update=told)
    fake_daemon.jobs[1] = job(1, state="done", settlement=settlement(ledgers=(ledger,)))
    out = " ".join(tidewatt("show", "1").out.split())
    assert "how far it may be off is not known: published errors cover under 1 % of it; estimated" in out
    assert "9.90 g" not in out
