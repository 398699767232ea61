"""A person's commands against the real daemon, from the first `up` to the report."""

import csv
import http.client
import io
import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(house: Any) -> Path:
    """A committed script in the folder that commands are given in."""
    folder: Path = house.work
    (folder / "train.py").write_text("print('first version')\n")
    git(folder, "init")
    git(folder, "add", "train.py")
    git(folder, "commit", "-m", "first")
    return folder


def test_run_streams_the_output_and_exits_with_the_jobs_code(house: Any) -> None:
    house.up("--zone", "DE")
    done = house.tidewatt("run", "--", "sh", "-c", "echo hello; echo trouble >&2; exit 7")
    assert done.returncode == 7
    assert "hello" in done.stdout
    assert "trouble" in done.stdout + done.stderr


def test_run_exits_with_128_and_the_signal_that_ended_the_job(house: Any) -> None:
    house.up("--zone", "DE")
    assert house.tidewatt("run", "--", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_run_without_a_daemon_exits_with_120(house: Any) -> None:
    assert house.tidewatt("run", "--", "true").returncode == 120


def test_wait_and_logs_follow_a_job_to_its_end(house: Any) -> None:
    house.up("--zone", "DE")
    number = str(house.ask("submit", "--", "sh", "-c", "echo one; sleep 2; echo two; exit 3")["job"]["id"])
    logs = house.tidewatt("logs", "-f", number)
    assert logs.stdout.split() == ["one", "two"]
    assert house.tidewatt("wait", number).returncode == 3


def test_output_files_are_written_as_by_hand(house: Any) -> None:
    house.up("--zone", "DE")
    command = ("-o", "out-%j.txt", "-e", "err.txt", "--", "sh", "-c", "echo out; echo err >&2")
    job = house.ended(house.ask("submit", *command, umask=0o022)["job"]["id"])
    assert job["state"] == "done"
    out = house.work / f"out-{job['id']}.txt"
    assert (out.read_text(), (house.work / "err.txt").read_text()) == ("out\n", "err\n")
    assert out.stat().st_mode & 0o777 == 0o644


def cleaner_later(path: Path) -> None:
    """A grid whose forecast is dirty for the next ten hours, whatever hour it is now."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    kind = "average,lifecycle,production"
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,issued_at"]
    for hour in range(72):
        start, level = now + timedelta(hours=hour), 500 if hour < 10 else 100
        rows.append(f"DE,{start.isoformat()},3600,{level},{kind},{now.isoformat()}")
    path.write_text("\n".join(rows) + "\n")


def test_hold_release_update_start_and_cancel_move_a_job(house: Any) -> None:
    cleaner_later(house.work / "grid.csv")
    house.up("--zone", "DE", config=f'[[source]]\npath = "{house.work / "grid.csv"}"\n')
    far = ("--duration", "1h", "--finish-by", "40h", "--", "sleep", "30")
    number = str(house.ask("submit", "--hold", *far)["job"]["id"])
    assert house.job(int(number))["state"] == "held"
    house.tidewatt("release", number)
    planned = house.until(lambda: house.job(int(number))["plan"])
    assert planned["why"] == "cleanest"
    assert house.tidewatt("update", number, "--finish-by", "50h").returncode == 0
    assert house.tidewatt("start", number).returncode == 0
    house.until(lambda: house.job(int(number))["state"] == "running")
    assert house.tidewatt("hold", number).returncode == 1
    assert house.tidewatt("cancel", number).returncode == 0
    job = house.ended(int(number))
    assert (job["state"], job["attempts"][0]["signal"]) == ("cancelled", signal.SIGTERM)
    assert house.tidewatt("wait", number).returncode == 121


def test_rerun_takes_the_environment_of_whoever_calls_it(house: Any) -> None:
    house.environ["WHO"] = "ada"
    house.up("--zone", "DE")
    first = house.ended(house.ask("submit", "--", "sh", "-c", "echo $WHO")["job"]["id"])
    house.environ["WHO"] = "grace"
    second = house.ended(house.ask("rerun", str(first["id"]))["job"]["id"])
    read = [Path(job["stdout"]).read_text().strip() for job in (first, second)]
    assert read == ["ada", "grace"]


def test_job_without_room_before_its_deadline_is_refused_and_late_accepts_the_earliest_finish(
    house: Any,
) -> None:
    house.up("--zone", "DE", config='[[region]]\nname = "local"\ncpus = 1\n')
    house.ask("submit", "--duration", "5h", "--", "sleep", "60")
    ask = ("--duration", "1h", "--finish-by", "2h", "--", "true")
    refused = house.tidewatt("submit", *ask)
    assert refused.returncode == 1
    assert "--late" in refused.stderr
    accepted = house.ask("submit", "--late", *ask)["job"]
    assert accepted["plan"]["why"] == "late"


def test_overrunning_job_keeps_its_place_and_those_behind_it_are_told(house: Any) -> None:
    house.up("--zone", "DE", config='margin = "1s"\n[[region]]\nname = "local"\ncpus = 1\n')
    first = house.ask("submit", "--duration", "2s", "--", "sleep", "8")["job"]["id"]
    second = house.ask("submit", "--duration", "2s", "--", "true")["job"]["id"]
    ended = [house.ended(number) for number in (first, second)]
    assert [job["state"] for job in ended] == ["done", "done"]
    told = [event["reason"] for event in ended[1]["events"] if event["kind"] == "plan"]
    assert any(f"job {first} runs longer" in reason for reason in told), told


def test_changed_code_is_warned_about_and_a_snapshot_runs_what_was_submitted(
    house: Any, repository: Path
) -> None:
    house.up("--zone", "DE")
    plain = house.ask("submit", "--hold", "--", "python", "train.py")["job"]["id"]
    kept = house.ask("submit", "--hold", "--snapshot", "--", "python", "train.py")["job"]["id"]
    (repository / "train.py").write_text("print('second version')\n")
    house.tidewatt("release", str(plain), str(kept))
    changed, snapshot = house.ended(plain), house.ended(kept)
    assert len(changed["commit"]) == 40
    assert any("changed" in warning for warning in changed["warnings"]), changed
    assert Path(changed["stdout"]).read_text() == "second version\n"
    assert snapshot["warnings"] == []
    assert Path(snapshot["stdout"]).read_text() == "first version\n"


def test_tcp_is_answered_with_the_token_only(house: Any) -> None:
    done = house.tidewatt("up", "--zone", "DE", "--listen", "127.0.0.1:0", "--json")
    if done.returncode == 2:
        pytest.fail(done.stderr)
    answer = json.loads(done.stdout)
    port = int(answer["listen"].rpartition(":")[2])

    def get(headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/api/v1/status", headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    token = {"Authorization": f"Bearer {answer['token']}"}
    assert get(token) == 200
    assert get({}) == 401
    assert get({"Authorization": "Bearer guess"}) == 401
    assert get(token | {"Host": "evil.example"}) == 421
    assert get(token | {"Origin": "http://evil.example"}) == 403
    assert answer["token"] not in house.log()


def test_daemon_survives_the_end_of_its_session_and_jobs_survive_the_daemon(house: Any) -> None:
    with subprocess.Popen(
        [str(house.command), "up", "--zone", "DE"], env=house.environ, cwd=house.work, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as shell:  # fmt: skip
        shell.wait()
    with pytest.raises(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGHUP)
    number = house.ask("submit", "--", "sleep", "3")["job"]["id"]
    house.until(lambda: house.job(number)["state"] == "running")
    down = house.tidewatt("down")
    assert down.returncode == 0
    assert str(number) in down.stdout
    house.until(lambda: (house.home / "jobs" / str(number) / "1" / "exit.json").exists())
    house.up("--zone", "DE")
    assert house.ended(number)["state"] == "done"


def test_report_is_read_back_as_csv_and_groups_add_up(house: Any) -> None:
    house.up("--zone", "DE")
    for project in ("nlp", "vision"):
        house.ended(house.ask("submit", "--project", project, "--", "sleep", "1")["job"]["id"])
    house.until(lambda: house.client().report(None, "none")["total"]["energy_kwh"] is not None)
    text = house.tidewatt("report", "--by", "project", "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    named = {row["project"] if "project" in row else next(iter(row.values())) for row in rows}
    assert {"nlp", "vision"} <= named


def test_plan_against_a_recorded_file_needs_no_daemon(house: Any) -> None:
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(48):
        value = 100 if hour % 24 in (2, 3) else 400
        start = f"2022-06-{15 + hour // 24}T{hour % 24:02}:00:00+00:00"
        rows.append(f"DE,{start},3600,{value},average,lifecycle,production")
    (house.work / "grid.csv").write_text("\n".join(rows) + "\n")
    reply = house.ask(
        "plan", "--grid", "grid.csv", "--now", "2022-06-15T00:00Z", "--zone", "DE", "--hindsight",
        "--duration", "2h", "--finish-by", "12h",
    )  # fmt: skip
    assert reply["plan"]["start"].startswith("2022-06-15T02:00")
    assert reply["plan"]["mean_gco2_per_kwh"] == pytest.approx(100)
    assert reply["empty_queue"]
    assert reply["hindsight"]
