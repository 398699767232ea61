"""What commands show of jobs and of the daemon."""

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import NOW, FakeDaemon, attempt, job, serving, status_view
from tidewatt.scheduler.paths import paths
from tidewatt.scheduler.schemas import (
    ComponentView,
    EventView,
    IntervalView,
    LedgerView,
    LeversView,
    PhaseView,
    Problem,
    SettlementView,
)
from tidewatt.scheduler.status_schema import ForeignView

Tidewatt = Callable[..., Any]


def settlement(**changes: Any) -> SettlementView:
    """A settled job that saved by one baseline and lost by the other; its memory was not metered."""
    ledger = LedgerView(
        signal="average", source="file de.csv", g=12.0, actual_g=10.0, feasible_g=20.0, hypothetical_g=8.0,
        saved_feasible_g=10.0, saved_hypothetical_g=-2.0,
    )  # fmt: skip
    gpu = ComponentView(
        component="gpu",
        how="measured",
        source="NVML energy counter",
        energy_j=72000,
        active_j=60000,
        coverage=1.0,
    )
    dram = ComponentView(
        component="dram", how="missing", source="no dram meter", energy_j=None, active_j=None, coverage=0.0
    )
    values: dict[str, Any] = {
        "state": "provisional", "settled_at": NOW, "energy_j": 72000.0, "facility_j": 86400.0, "pue": 1.2,
        "pue_source": "stated", "components": (gpu, dram), "ledgers": (ledger,), "waited_s": 7200.0,
        "idle_gpu_s": 3600.0, "feasible_start": NOW, "notes": ("a note",),
    }  # fmt: skip
    return SettlementView(**values | changes)


def test_queue_lists_what_waits_and_runs(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    running = attempt().model_copy(update={"started": NOW - timedelta(minutes=5), "ended": None})
    fake_daemon.jobs = {
        2: job(2, at_risk="no GPU is free before 20:00", finish_by=NOW + timedelta(hours=18)),
        1: job(1, state="running", attempts=(running,)),
        3: job(3, state="done"),
    }
    said = tidewatt("queue")
    rows = said.out.splitlines()
    assert rows[0].split() == ["JOB", "NAME", "STATE", "GPUS", "RUNS", "FINISH", "BY", "REGION", "COMMAND"]
    assert "waiting     1  tomorrow 02:00 CET for 1 h  tomorrow 12:00 CET" in rows[1]
    assert "running     1  for 5 min" in rows[2]
    assert "done" not in said.out
    assert "job 2  AT RISK  no GPU is free before 20:00" in said.out
    assert len(tidewatt("queue", "--all", "--json").json["jobs"]) == 3


def test_empty_queue_says_so(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    assert "no jobs wait or run" in tidewatt("queue").out


def test_state_that_does_not_exist_is_told(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    said = tidewatt("queue", "--state", "sleeping")
    assert (said.code, "known are waiting" in said.err) == (2, True)


def test_show_tells_how_every_number_was_got(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    event = EventView(time=NOW, kind="submitted", reason="by ada")
    fake_daemon.jobs[1] = job(
        1, state="done", attempts=(attempt(0),), settlement=settlement(), events=(event,)
    )
    out = " ".join(tidewatt("show", "1").out.split())  # lines are wrapped
    assert "energy 20.0 Wh used here; 24.0 Wh with PUE 1.2 (stated)" in out
    assert "gpu: 20.0 Wh (measured: NVML energy counter)" in out
    assert "dram: not measured (missing: no dram meter, 0 % of the run covered)" in out
    assert "average 12.0 g CO2 in all" in out
    assert "10.0 g above idle instead of 20.0 g by starting in its turn: location-based footprint" in out
    assert "footprint 10.0 g less (50.0 % of the draw above idle)" in out
    assert "instead of 8.00 g by starting at submission: location-based footprint 2.00 g more (25.0 %" in out
    assert "settled provisional" in out
    assert "waited 2 h, 1 GPU-hours left idle meanwhile" in out
    assert "today 18:00:00 CET submitted: by ada" in out


def test_marginal_saving_has_its_own_name_and_keeps_its_sign(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon
) -> None:
    ledger = LedgerView(
        signal="marginal", source="file", g=1, actual_g=3, feasible_g=2, hypothetical_g=None,
        saved_feasible_g=-1,
        saved_hypothetical_g=None,
    )  # fmt: skip
    fake_daemon.jobs[1] = job(1, state="done", settlement=settlement(ledgers=(ledger,)))
    out = " ".join(tidewatt("show", "1").out.split())  # lines are wrapped
    assert "no avoided emissions: an estimated 1.00 g more (50.0 % of the draw above idle)" in out
    assert "against starting at submission: not known" in out


def test_show_takes_a_saving_apart_within_80_columns(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    levers = LeversView(
        time_feasible_g=14.0, time_hypothetical_g=2.0, region_g=0.0, efficiency_g=0.0, pauses_g=-3.0,
        lost_work_g=-1.0, transfer_g=0.0, unverified_efficiency_g=5.0,
    )  # fmt: skip
    interval = IntervalView(
        low_g=9.0, high_g=11.0, draws=2000, quantified=("NVML",), not_quantified=("PUE", "grid"), covered=0.96
    )
    told = {"levers": levers, "interval": interval, "grade": "inconclusive", "forecast_saved_g": 12.0}
    ledger = settlement().ledgers[0].model_copy(update=told)
    lost = settlement().ledgers[0].model_copy(update={"signal": "marginal", "saved_feasible_g": -1.0})
    phases = (
        PhaseView(phase="waiting", seconds=7200, energy_j=None, active_j=None),
        PhaseView(phase="running", label="train", seconds=3600, energy_j=60000, active_j=50000),
        PhaseView(phase="suspended", seconds=600, energy_j=None, active_j=None),
        PhaseView(phase="running", lost=True, seconds=120, energy_j=7200, active_j=6000),
    )
    fake_daemon.jobs[1] = job(
        1,
        state="done",
        attempts=(attempt(0),),
        settlement=settlement(
            ledgers=(ledger, lost), phases=phases, counts={"tokens": 10**6}, boundary="components only",
            signals_disagree=True,
        ),
    )  # fmt: skip
    out = tidewatt("show", "1").out
    account = out[out.index("  energy") : out.index("  note")]
    assert max(map(len, account.splitlines())) <= 80
    said = " ".join(account.split())
    assert "9.00 g to 11.0 g less with 90 % confidence, covers 96 % of what is at stake, 2 errors not" in said
    assert "not quantified; inconclusive, as the signals disagree" in said
    assert "of it by waiting 14.0 g less, pauses 3.00 g more, work that was lost 1.00 g more" in said
    assert "efficiency, unverified: 5.00 g less by stated speed and power, in no number here" in said
    assert "the plan at launch promised 12.0 g less than starting at once" in said
    assert 'phases running "train" 1 h, 16.7 Wh suspended 10 min, not measured' in said
    assert "running 2 min, 2.00 Wh, lost: no later attempt kept its work" in said
    assert "reported 1,000,000 tokens" in said
    assert "components only" in said
    assert (
        "signals disagree: waiting saved carbon by the average signal, and cost carbon by the marginal"
        in said
    )


def test_energy_that_was_not_measured_is_never_zero(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    nothing = settlement(state="none", energy_j=None, facility_j=None, components=(), ledgers=())
    fake_daemon.jobs[1] = job(1, state="done", settlement=nothing)
    out = tidewatt("show", "1").out
    assert "not settled yet" in out
    assert "0 J" not in out


def test_job_that_does_not_exist_is_told(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    said = tidewatt("show", "99")
    assert (said.code, said.err) == (1, "tidewatt: there is no job 99\n")
    assert tidewatt("show", "bert").code == 2


def test_logs_keep_both_streams_apart(tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("result\n")
    (tmp_path / "err").write_text("talk\n")
    fake_daemon.jobs[1] = job(1, state="done", stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
    said = tidewatt("logs", "1")
    assert (said.out, said.err) == ("result\n", "talk\n")


def test_logs_of_a_waiting_job_say_when_it_starts(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[1] = job(1, stdout="/nowhere/out")
    assert "planned for tomorrow 02:00 CET" in tidewatt("logs", "1").err


def test_following_survives_a_restart_of_the_daemon(
    tidewatt: Tidewatt, own_home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.write_text("before\n")
    files = {"stdout": str(out), "stderr": str(out)}
    place = paths(os.environ)
    place.make()
    first, again = FakeDaemon(), FakeDaemon()
    first.jobs[1] = job(1, state="running", **files)
    again.jobs[1] = job(1, state="done", attempts=(attempt(0),), **files)
    asked_twice, gone = threading.Event(), threading.Event()
    first.on_question = lambda: asked_twice.set() if len(first.asked) >= 3 else None

    def restart() -> None:
        with serving(first, place.socket):
            up.set()
            asked_twice.wait(30)
        out.write_text("before\nmeanwhile\n")
        with serving(again, place.socket):
            gone.wait(30)

    up = threading.Event()
    thread = threading.Thread(target=restart)
    thread.start()
    up.wait(30)
    said = tidewatt("logs", "-f", "1")
    gone.set()
    thread.join()
    assert (said.code, said.out) == (0, "before\nmeanwhile\n")


def test_wait_exits_with_the_first_code_that_is_not_zero(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs = {
        1: job(1, state="done"),
        2: job(2, state="failed", attempts=(attempt(4),)),
        3: job(3, state="failed", attempts=(attempt(5),)),
    }
    assert tidewatt("wait", "1", "2", "3").code == 4
    assert tidewatt("wait", "1").code == 0


def test_changing_several_jobs_goes_on_after_a_refusal(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs = {2: job(2, state="cancelled", reason="cancelled by ada")}
    said = tidewatt("cancel", "1", "2")
    assert said.code == 1
    assert "there is no job 1" in said.err
    assert "job 2 (bert) is cancelled: cancelled by ada" in said.out


def test_start_does_not_show_the_plan_that_it_voids(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[1] = job(1)
    assert tidewatt("start", "1").out == "job 1 (bert) starts as soon as it fits, whatever the grid does\n"


@pytest.mark.parametrize("verb", ["cancel", "hold", "release", "start"])
def test_verbs_reach_the_daemon(tidewatt: Tidewatt, fake_daemon: FakeDaemon, verb: str) -> None:
    fake_daemon.jobs[1] = job(1)
    assert tidewatt(verb, "1", "--json").json["id"] == 1
    assert fake_daemon.asked[0][:2] == ("POST", f"/api/v1/jobs/1/{verb}")


def test_update_sends_only_what_was_given(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[1] = job(1)
    assert tidewatt("update", "1", "--finish-by", "6h", "--region", "annex").code == 0
    sent = next(body for method, _, body in fake_daemon.asked if method == "PATCH")
    assert sent == {"finish_by": (NOW + timedelta(hours=6)).isoformat(), "regions": ["annex"]}
    assert tidewatt("update", "1").code == 2


def test_status_shows_regions_jobs_and_strangers(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    stranger = ForeignView(gpu_uuid="GPU-1", pid=4711, command="python", user="bob", since=NOW)
    fake_daemon.status = status_view(
        foreign=(stranger,), jobs={"running": 1, "waiting": 2}, next=job(2),
        running=(job(1, state="running"),),
        at_risk=(job(3, at_risk="no GPU"),), warnings=("no zone",), replaying=True, replay_factor=60.0,
    )  # fmt: skip
    out = tidewatt("status").out
    assert "local (home)  DE    420 g/kWh  average        1/2         6/8  file de.csv" in out
    assert "jobs: 1 running, 2 waiting" in out
    assert "next: job 2 (bert) tomorrow 02:00 CET: python train.py" in out
    assert "AT RISK  no GPU" in out
    assert "GPU-1 is used by pid 4711 python of bob since today 18:00 CET" in out
    assert "60 times as fast" in out
    assert "warning: no zone" in out
    assert "\x1b" not in out  # not a terminal: no colours


def test_up_says_when_one_runs_already(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    said = tidewatt("up")
    assert (said.code, "was running already (pid 1)" in said.out) == (0, True)
    assert tidewatt("up", "--zone", "DEU").code == 0
    other = tidewatt("up", "--zone", "FR")
    assert (other.code, "its zone is DE" in other.err) == (1, True)


def test_up_takes_a_daemon_of_the_same_configuration_for_its_own(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "same.toml").write_text('zone = "DE"\n')
    (tmp_path / "other.toml").write_text('zone = "DE"\nsignal = "marginal"\n[[region]]\nname = "annex"\n')
    assert tidewatt("up", "--config", "same.toml").code == 0
    other = tidewatt("up", "--config", "other.toml", "--listen", "127.0.0.1:0", "--hindsight")
    assert other.code == 1
    for difference in ("by both signals", "regions are local", "no TCP port", "not plan in hindsight"):
        assert difference in other.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--config", "gone.toml"), "gone.toml does not exist"),
        (("--zone", "Atlantis"), "Atlantis"),
        (("--replay-from", "then"), "then"),
        (("--listen", "0.0.0.0:80"), "0.0.0.0:80"),
    ],
)
def test_daemon_that_cannot_start_says_why(
    tidewatt: Tidewatt, arguments: tuple[str, ...], sentence: str
) -> None:
    said = tidewatt("up", *arguments)
    assert said.code == 2
    assert sentence in said.err.splitlines()[-1]
    assert "Traceback" not in said.err


def test_report_is_a_table_sentences_csv_or_json(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    total = {
        "key": "all", "jobs": 1, "provisional": 0, "final": 1, "unverified": 0, "unsettled": 0,
        "unmetered": 0,
        "energy_kwh": 1.5, "facility_kwh": 1.8, "signals": [], "signals_disagree": False, "waited_h": 2.0,
        "held_back_h": 1.0, "idle_gpu_h": 0.0,
    }  # fmt: skip
    fake_daemon.report = {"since": None, "by": "none", "groups": [total], "total": total}
    out = tidewatt("report", "--since", "30d").out
    assert fake_daemon.asked[0][1] == "/api/v1/report?by=none&baseline=feasible&since_s=2592000.0"
    assert "1.50 kWh" in out
    assert "Carbon is not known" in out
    assert tidewatt("report", "--csv").out.startswith("none,jobs,")
    assert tidewatt("report", "--json").json["total"]["jobs"] == 1
    assert tidewatt("report", "--csv", "--json").code == 2
    assert tidewatt("report", "--since", "30").code == 2


def test_hanging_or_foreign_answers_are_one_sentence(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.refusal = Problem(title="broken", status=500, detail="", exit_code=1)
    said = tidewatt("cancel", "1")
    assert (said.code, said.err) == (1, "tidewatt: broken\n")
