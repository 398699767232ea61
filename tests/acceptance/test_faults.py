"""Bad input and bad luck: each gets a clear sentence, and nothing is lost."""

import os
import sqlite3
import subprocess
from contextlib import closing
from typing import Any

import pytest

from tests.disk.library import preloaded

HEADER = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"
ROW = "DE,2022-06-15T00:00:00+00:00,3600,300,average,lifecycle,production\n"
DO_NOTHING = ("--", "true")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--finish-by", "soonish", "--duration", "1h"), "soonish"),
        (("--finish-by", "2001-01-01T00:00Z", "--duration", "1h"), "in the past"),
        (("--finish-by", "1h", "--duration", "3h"), "does not fit"),
        (("--duration", "3 bananas"), "3 bananas"),
        (("--deadline", "6h"), "--finish-by"),
        (("--begin", "6h"), "--start-by"),
        (("--gpus", "lots"), "lots"),
        (("--gpus", "4096"), "no region"),
        (("--region", "atlantis"), "atlantis"),
        (("--chdir", "/nowhere/at/all"), "/nowhere/at/all"),
    ],
)
def test_bad_submit_is_told_and_leaves_no_job(house: Any, args: tuple[str, ...], sentence: str) -> None:
    house.up("--zone", "DE")
    done = house.tidewatt("submit", *args, *DO_NOTHING)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert house.ask("queue", "--all") == {"jobs": []}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        (HEADER.replace("gco2_per_kwh", "lb_per_mwh") + ROW, "lb_per_mwh"),
        (HEADER + ROW.replace("+00:00", ""), "time zone"),
        (HEADER + ROW.replace("DE", "Atlantis"), "Atlantis"),
        (HEADER + ROW.replace(",300,", ",-300,"), "-300"),
        (HEADER + ROW + ROW, "overlap"),
    ],
)
def test_bad_grid_file_is_told_when_the_daemon_starts(house: Any, content: str | None, sentence: str) -> None:
    if content is not None:
        (house.folder / "grid.csv").write_text(content)
    (house.folder / "config.toml").write_text('zone = "DE"\n[[source]]\ntype = "file"\npath = "grid.csv"\n')
    done = house.tidewatt("up", *house.flags)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "grid.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_zone_is_told_with_near_names(house: Any) -> None:
    done = house.tidewatt("up", "--zone", "Germnay")
    assert done.returncode == 2
    assert "Germnay" in done.stderr
    assert "tidewatt zones" in done.stderr


def test_command_that_does_not_exist_fails_its_job_with_that_sentence(house: Any) -> None:
    house.up("--zone", "DE")
    done = house.tidewatt("submit", "--", "trainn")
    assert (done.returncode, "trainn" in done.stderr) == (2, True)
    script = house.work / "train.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    number = house.ask("submit", "--hold", "--", str(script))["job"]["id"]
    script.unlink()
    house.tidewatt("release", str(number))
    job = house.ended(number)
    assert job["state"] == "failed"
    assert str(script) in job["reason"]


def test_commands_without_a_daemon_say_how_to_start_one(house: Any) -> None:
    for args in (("status",), ("queue",), ("submit", *DO_NOTHING), ("cancel", "1")):
        done = house.tidewatt(*args)
        assert done.returncode == 3, args
        assert "tidewatt up" in done.stderr


def test_secrets_of_the_environment_are_kept_in_one_private_file_until_the_job_has_ended(house: Any) -> None:
    secret = "hunter2-is-not-a-password"
    house.environ["WANDB_API_KEY"] = secret
    house.up("--zone", "DE")
    house.environ["WANDB_API_KEY"] = secret
    number = house.ask("submit", "--hold", "--", "sh", "-c", 'test -n "$WANDB_API_KEY"')["job"]["id"]
    file = house.home / "jobs" / str(number) / "env.json"
    assert secret in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    house.tidewatt("release", str(number))
    job = house.ended(number)
    assert job["state"] == "done"
    assert not file.exists()
    assert secret not in str(job)
    holding = [
        path for path in house.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert holding == []


def test_denied_names_never_reach_a_job(house: Any) -> None:
    house.environ["AWS_SECRET_ACCESS_KEY"] = "x"
    house.up("--zone", "DE", config='env_deny = ["AWS_*"]\n')
    job = house.ended(house.ask("submit", "--", "sh", "-c", 'test -z "$AWS_SECRET_ACCESS_KEY"')["job"]["id"])
    assert job["state"] == "done"


def test_time_limit_ends_a_job_and_duration_does_not(house: Any) -> None:
    house.up("--zone", "DE")
    limited = house.ask("submit", "--time", "0:02", "--", "sleep", "60")["job"]["id"]
    estimated = house.ask("submit", "--duration", "1s", "--", "sleep", "4")["job"]["id"]
    job = house.ended(limited)
    assert (job["state"], "time limit" in job["reason"]) == ("failed", True)
    over = house.ended(estimated)
    assert over["state"] == "done"
    assert "overrun" in [event["kind"] for event in over["events"]]


def test_full_disk_refuses_new_jobs_and_loses_no_running_one(
    house: Any, require_engine: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require_engine("gcc")
    library = preloaded(tmp_path_factory.mktemp("disk"))
    full = house.folder / "the-disk-is-full"
    house.environ |= {"LD_PRELOAD": str(library), "DISK_CONTROL": str(full)}
    house.up("--zone", "DE")
    number = house.ask("submit", "--", "sleep", "3")["job"]["id"]
    house.until(lambda: house.job(number)["state"] == "running")
    full.touch()
    refused = house.tidewatt("submit", *DO_NOTHING)
    assert refused.returncode == 2, refused.stderr
    assert "full" in refused.stderr or "No space" in refused.stderr
    house.until(lambda: not _sleeping(house))
    assert house.tidewatt("status").returncode == 0
    full.unlink()
    assert house.ended(number)["state"] == "done"
    assert house.ended(house.ask("submit", *DO_NOTHING)["job"]["id"])["state"] == "done"
    with closing(sqlite3.connect(house.home / "tidewatt.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def _sleeping(house: Any) -> bool:
    return any(process.name() == "sleep" for process in house.processes() if process.is_running())


def test_second_daemon_on_one_state_folder_is_refused(house: Any) -> None:
    house.up("--zone", "DE")
    pid = house.daemon_pid()
    done = house.tidewatt("up", "--zone", "DE")
    assert done.returncode == 0
    assert str(pid) in done.stdout
    assert house.daemon_pid() == pid


def test_another_user_cannot_speak_to_the_daemon(house: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    house.up("--zone", "DE")
    socket = house.client().path
    for folder in (house.folder, socket.parent):
        folder.chmod(0o711)  # so that only the daemon's own check stands in the way
    socket.chmod(0o666)
    code = (
        "import http.client, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /api/v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(len(s.recv(100)))\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code, str(socket)], capture_output=True, text=True, user="nobody", cwd="/"
    )
    assert done.stdout.strip() in {"", "0"}, done.stdout
    assert house.ask("status")["pid"] == house.daemon_pid()


def test_job_of_real_time_is_not_mixed_with_a_replay(house: Any) -> None:
    house.up("--zone", "DE")
    house.tidewatt("down")
    done = house.tidewatt("up", "--zone", "DE", "--replay-from", "2022-06-15T00:00Z", "--replay-factor", "60")
    assert done.returncode == 2
    assert "real time" in done.stderr
