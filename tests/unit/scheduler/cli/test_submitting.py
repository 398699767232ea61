"""What `submit`, `run`, `plan` and `rerun` ask the daemon for, and what they say."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import NOW, FakeDaemon, attempt, job, status_view
from tidewatt.scheduler.cli.text import shown
from tidewatt.scheduler.schemas import Problem

Tidewatt = Callable[..., Any]


def test_submit_asks_for_what_the_flags_say(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    said = tidewatt(
        "submit", "-J", "bert", "--finish-by", "18h", "--duration", "3h", "-t", "1-02:00:00", "-G", "a100:2",
        "-c", "4", "--mem", "16G", "-o", "out.txt", "-e", "err-%j.txt", "-D", "run", "--project", "nlp",
        "--label", "team=x", "--region", "local", "--exclude-region", "annex", "--late", "--hold",
        "--env", "A=1",
        "--no-env", "--", "sh", "-c", "pass", "--epochs", "3",
    )  # fmt: skip
    assert said.code == 0
    (asked,) = fake_daemon.submitted
    assert asked.argv == ("sh", "-c", "pass", "--epochs", "3")
    assert asked.finish_by == NOW + timedelta(hours=18)
    assert (asked.duration_s, asked.time_limit_s) == (3 * 3600, 26 * 3600)
    assert (asked.gpus, asked.gpu_kind, asked.cpus, asked.mem_mb) == (2, "a100", 4, 16384)
    assert asked.cwd == str(tmp_path / "run")
    assert (asked.stdout, asked.stderr) == (str(tmp_path / "run/out.txt"), str(tmp_path / "run/err-%j.txt"))
    assert (asked.name, asked.project, asked.labels) == ("bert", "nlp", {"team": "x"})
    assert (asked.regions, asked.exclude_regions, asked.late, asked.hold) == (
        ("local",),
        ("annex",),
        True,
        True,
    )
    assert asked.env == {"A": "1"}


def test_submit_says_when_where_why_and_on_what(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    said = tidewatt("submit", "--finish-by", "18h", "true")
    assert "job 7 is planned" in said.out
    assert "starts   tomorrow 02:00 CET (in 8 h) in region local on A100" in said.out
    assert "why      waits 8 h for cleaner electricity" in said.out
    assert "210 g/kWh (average), 630 g CO2" in said.out
    assert "starting today 18:00 CET would be 420 g/kWh: 50 % less" in said.out
    assert "source   file de.csv, issued 16:00" in said.out
    assert "finish   by tomorrow 12:00 CET" in said.out
    assert "6 h of slack: 12 %" in said.out
    assert "24 h of slack" not in said.out  # nothing is known of it, so nothing is said


def test_options_end_at_the_command_with_or_without_dashes(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon
) -> None:
    assert tidewatt("submit", "sh", "--version").code == 0
    assert fake_daemon.submitted[0].argv == ("sh", "--version")


def test_time_is_that_of_the_daemon(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    then = NOW - timedelta(days=2000)
    fake_daemon.status = status_view(now=then, replaying=True)
    tidewatt("submit", "--finish-by", "6h", "true")
    assert fake_daemon.submitted[0].finish_by == then + timedelta(hours=6)


def test_defaults_of_the_folder_give_way_to_variables_and_flags(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidewatt.toml").write_text('project = "file"\nduration = "2h"\ngpus = 1\nno_env = true\n')
    tidewatt("submit", "true")
    monkeypatch.setenv("TIDEWATT_PROJECT", "variable")
    tidewatt("submit", "true")
    tidewatt("submit", "--project", "flag", "true")
    asked = fake_daemon.submitted
    assert [each.project for each in asked] == ["file", "variable", "flag"]
    assert {(each.duration_s, each.gpus, each.env) for each in asked} == {(7200.0, 1, None)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('zone = "DE"', "tidewatt.toml:1: zone is no default of submit"),
        ('\nprojct = "x"', "tidewatt.toml:2: projct is no default of submit: did you mean project?"),
        ("cpus = true", "tidewatt.toml:1: cpus must be a number, it is True"),
        ("label = [1]", "tidewatt.toml:1: label must be a list of texts"),
        ("x", "cannot be read as TOML"),
    ],
)
def test_wrong_defaults_are_told_with_their_line(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "tidewatt.toml").write_text(text)
    said = tidewatt("submit", "true")
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


def test_source_and_commit_are_recorded(tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path) -> None:
    for line in (
        ["init", "-q"],
        ["add", "train.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        (tmp_path / "train.py").write_text("pass")
        subprocess.run(["git", *line], check=True, cwd=tmp_path)
    tidewatt("submit", "true")
    source = fake_daemon.submitted[0].source
    assert source is not None
    assert len(source.commit) == 40


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--finish-by", "whenever", "true"), "--finish-by 'whenever' cannot be read"),
        (("--duration", "3", "true"), "has no unit"),
        (("-t", "long", "true"), "not a duration"),
        (("-G", "two", "true"), "the GPUs 'two' cannot be read"),
        (("-c", "0", "true"), "greater than or equal to 1"),
        (("--mem", "lots", "true"), "the memory 'lots'"),
        (("--label", "x", "true"), "KEY=VALUE"),
        (("-D", "nowhere", "true"), "nowhere does not exist"),
        (("-o", "nowhere/out", "true"), "output cannot go to"),
        (("trainn",), "the command 'trainn' does not exist in PATH"),
        (("./train.sh",), "the command './train.sh' does not exist in"),
        (("--deadline", "18h", "true"), "--finish-by is the time by which"),
        (("--begin", "18h", "true"), "--start-by the latest time"),
        ((), "COMMAND"),
        (("--env", "NOT_SET_ANYWHERE", "true"), "NOT_SET_ANYWHERE"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_submitted(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, arguments: tuple[str, ...], sentence: str
) -> None:
    said = tidewatt("submit", *arguments)
    assert (said.code, said.out, fake_daemon.submitted) == (2, "", [])
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.err.startswith("tidewatt: ")


@pytest.mark.parametrize(("exit_code", "status"), [(1, 409), (2, 422)])
def test_refusal_is_told_with_its_code(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, exit_code: int, status: int
) -> None:
    fake_daemon.refusal = Problem(
        title="no", status=status, detail="earliest finish 20:00, --late", exit_code=exit_code
    )
    said = tidewatt("submit", "true")
    assert (said.code, said.err) == (exit_code, "tidewatt: earliest finish 20:00, --late\n")


@pytest.mark.parametrize(
    "command", [("submit", "true"), ("queue",), ("status",), ("show", "1"), ("cancel", "1"), ("down",)]
)
def test_without_a_daemon_commands_say_how_to_start_it(tidewatt: Tidewatt, command: tuple[str, ...]) -> None:
    said = tidewatt(*command)
    assert (said.code, said.err) == (3, "tidewatt: no daemon is running here: start it with `tidewatt up`\n")


def test_rerun_takes_the_environment_of_whoever_calls_it(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.jobs[3] = job(3)
    assert tidewatt("rerun", "3", "--env", "A=2", "--no-env").code == 0
    assert fake_daemon.asked[0] == ("POST", "/api/v1/jobs/3/rerun", {"env": {"A": "2"}})


def test_plan_shows_power_length_and_offers(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    said = tidewatt("plan", "--finish-by", "18h", "--duration", "3h")
    assert "at 300 W (assumed)" in said.out
    assert "length   3 h (yours)" in said.out
    assert "empty queue" not in said.out
    assert tidewatt("plan", "--json").json["power_w"] == 300


def test_plan_on_a_recorded_file_asks_no_daemon(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    grid(tmp_path / "de.csv")
    said = tidewatt(
        "plan", "--grid", "de.csv", "--now", "2026-11-22T00:00Z", "--zone", "DE", "--hindsight",
        "--finish-by", "18h", "--duration", "2h", "--gpus", "8",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert fake_daemon.asked == []
    assert "plan for an empty queue" in said.out
    assert "in hindsight" in said.out
    assert "starts   today 04:00 CET (in 3 h)" in said.out
    assert "100 g/kWh (average)" in said.out


def test_plan_for_hardware_that_is_not_here_says_so(tidewatt: Tidewatt, tmp_path: Path) -> None:
    grid(tmp_path / "de.csv")
    known = ("plan", "--grid", "de.csv", "--now", "2026-11-22T00:00Z", "--zone", "DE", "--hindsight")
    assert "for assumed hardware: this host does not have 90000 CPUs" in tidewatt(*known, "-c", "90000").out
    assert "note     for assumed" in tidewatt(*known, "-c", "90000", "--frontier").out
    assert "assumed hardware" not in tidewatt(*known, "-c", "1").out


def test_plan_that_is_accepted_as_late_ends_as_early_as_it_can(tidewatt: Tidewatt, tmp_path: Path) -> None:
    grid(tmp_path / "de.csv")
    known = ("plan", "--grid", "de.csv", "--now", "2026-11-22T00:00Z", "--zone", "DE", "--hindsight")
    late = tidewatt(*known, "--finish-by", "1h", "--duration", "2h", "--late")
    assert (late.code, "finishes as early as it can" in late.out) == (0, True)
    assert "--late" in tidewatt(*known, "--finish-by", "1h", "--duration", "2h").err


def test_plan_on_a_file_needs_a_zone(tidewatt: Tidewatt, tmp_path: Path) -> None:
    grid(tmp_path / "de.csv")
    said = tidewatt("plan", "--grid", "de.csv", "--now", "2026-11-22T00:00Z")
    assert (said.code, "--zone" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--grid", "gone.csv", "--zone", "DE"), "gone.csv"),
        (("--zone", "Atlantis"), "Atlantis"),
        (("--zone", "DE", "--signal", "neither"), "signal must be"),
        (("--zone", "DE", "--now", "2026-11-22T00:00Z", "--finish-by", "2026-11-21T00:00Z"), "past"),
        (("--zone", "DE", "--finish-by", "1h", "--duration", "2h"), "2"),
        (("--config", "gone.toml"), "gone.toml does not exist"),
        (("--zone", "DE", "--now", "9999-12-31T23:59Z"), "not within the years"),
        (("--zone", "DE", "--now", "9999-12-31T23:59-05:00"), "outside the years"),
    ],
)
def test_impossible_plan_is_one_sentence(tidewatt: Tidewatt, arguments: tuple[str, ...], word: str) -> None:
    said = tidewatt("plan", *arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert word in said.err


def grid(path: Path) -> None:
    """A day of observations: 400 g/kWh, but 100 from 3 to 5 UTC."""
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(24):
        value = 100 if hour in (3, 4) else 400
        lines.append(f"DE,2026-11-22T{hour:02}:00:00Z,3600,{value},average,lifecycle,production")
    path.write_text("\n".join(lines) + "\n")


def test_run_streams_the_output_and_exits_with_the_code(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    out = tmp_path / "out.txt"
    out.write_text("of an earlier job\n")
    fake_daemon.jobs[7] = job(7, stdout=str(out), stderr=str(out))
    ended = job(
        7, state="failed", reason="exit code 3", stdout=str(out), stderr=str(out), attempts=(attempt(3),)
    )
    fake_daemon.script[7] = [job(7, state="running", stdout=str(out), stderr=str(out)), ended]

    def go_on() -> None:
        with out.open("a") as file:
            file.write("step\n")

    fake_daemon.on_question = go_on
    said = tidewatt("run", "-o", str(out), "true")
    assert said.code == 3
    assert set(said.out.splitlines()) == {"step"}
    assert "exit code 3" in said.err


@pytest.mark.parametrize(
    ("state", "attempts", "code"),
    [
        ("done", (attempt(0),), 0),
        ("failed", (attempt(None, 9),), 137),
        ("failed", (attempt(127),), 127),
        ("failed", (attempt(None, None),), 121),
        ("cancelled", (attempt(0),), 121),
        ("cancelled", (), 121),
    ],
)
def test_run_exits_with_what_became_of_the_job(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, state: str, attempts: tuple[Any, ...], code: int
) -> None:
    fake_daemon.script[7] = [job(7, state=state, attempts=attempts)]
    assert tidewatt("run", "true").code == code
    assert tidewatt("wait", "7").code == code


def test_run_says_by_its_codes_what_was_not_the_jobs_doing(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon
) -> None:
    fake_daemon.refusal = Problem(title="no", status=409, detail="no room", exit_code=1)
    assert tidewatt("run", "true").code == 121


def test_run_without_a_daemon_is_120(tidewatt: Tidewatt) -> None:
    assert tidewatt("run", "true").code == 120
    assert tidewatt("wait", "1").code == 120


def test_control_characters_of_a_command_do_not_reach_the_terminal() -> None:
    assert shown("ls \x1b[2J\nname ü") == "ls \\x1b[2J\\nname ü"
