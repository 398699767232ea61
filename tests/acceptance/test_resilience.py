"""What breaks beside a job does not keep it from its time: hanging sources, lost sockets, damaged files."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

CONFIG = 'zone = "DE"\nmargin = "2s"\nmin_wait = "0s"\n[[source]]\ntype = "file"\npath = "grid.csv"\n'
GRID = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"


def write_grid(path: Path) -> None:
    """An hour of a day long past: it is there, and says nothing of today."""
    path.write_text(GRID + "DE,2022-06-15T00:00:00+00:00,3600,300,average,lifecycle,production\n")


def test_job_starts_at_its_latest_start_though_its_source_hangs(house: Any) -> None:
    write_grid(house.folder / "grid.csv")
    house.up(config=CONFIG)
    ask = ("--duration", "10s", "--finish-by", "40s", "--", "true")
    number = house.ask("submit", *ask)["job"]["id"]
    (house.folder / "grid.csv").unlink()
    os.mkfifo(house.folder / "grid.csv")  # whoever opens it waits for ever
    assert house.ended(number)["state"] == "done"
    assert house.tidewatt("status").returncode == 0
    assert house.tidewatt("submit", "--", "true").returncode == 0
    assert house.tidewatt("down").returncode == 0


def test_daemon_outlives_its_runtime_folder_and_opens_its_socket_again(house: Any) -> None:
    runtime = house.folder / "run"
    house.up("--zone", "DE")
    pid = house.daemon_pid()
    shutil.rmtree(runtime)
    runtime.write_text("a file now: no folder can be made here")
    number = 1
    house.until(lambda: "socket.gone" in house.log())
    os.kill(pid, 0)
    runtime.unlink()
    runtime.mkdir(mode=0o700)
    house.until(lambda: house.client().path.exists())
    assert house.ended(house.ask("submit", "--", "true")["job"]["id"])["id"] == number


def test_outputs_survive_a_lost_database_and_their_numbers_are_not_given_again(house: Any) -> None:
    house.up("--zone", "DE")
    first = house.ended(house.ask("submit", "--", "echo", "precious")["job"]["id"])
    house.tidewatt("down")
    for file in house.home.glob("tidewatt.db*"):
        file.unlink()
    house.up("--zone", "DE")
    assert Path(first["stdout"]).read_text() == "precious\n"
    assert house.ask("submit", "--", "true")["job"]["id"] > first["id"]


def test_damaged_attempt_keeps_neither_the_daemon_nor_other_jobs_from_working(house: Any) -> None:
    house.up("--zone", "DE")
    number = house.ask("submit", "--", "sleep", "30")["job"]["id"]
    house.until(lambda: house.job(number)["state"] == "running")
    house.kill_daemon()
    (house.home / "jobs" / str(number) / "1" / "claim").write_text("")
    house.up("--zone", "DE")
    other = house.ended(house.ask("submit", "--", "true")["job"]["id"])
    assert other["state"] == "done"
    damaged = house.job(number)
    assert damaged["attempts"][0]["state"] == "unknown", damaged


@pytest.mark.parametrize(
    "args",
    [
        ("--gpus", "400"),
        ("--region", "nowhere"),
        ("--finish-by", "1m", "--duration", "5h"),
        ("--start-by", "9999-12-31T23:30Z"),
    ],
)
def test_impossible_job_is_refused_though_it_is_held(house: Any, args: tuple[str, ...]) -> None:
    house.up("--zone", "DE")
    done = house.tidewatt("submit", "--hold", *args, "--", "true")
    assert done.returncode == 2, done.stderr
    assert house.ask("queue", "--all") == {"jobs": []}


def test_start_is_forgotten_when_the_job_is_held_again(house: Any) -> None:
    house.up("--zone", "DE", config='[[region]]\nname = "local"\ncpus = 1\n')
    house.ask("submit", "--duration", "1h", "--", "sleep", "60")
    number = str(house.ask("submit", "--duration", "1h", "--finish-by", "40h", "--", "true")["job"]["id"])
    for verb in ("start", "hold", "release"):
        assert house.tidewatt(verb, number).returncode == 0
    assert house.job(int(number))["plan"]["why"] != "asked"


def test_rerun_writes_where_the_first_run_was_asked_to(house: Any) -> None:
    house.up("--zone", "DE")
    first = house.ended(house.ask("submit", "-o", "out-%j.txt", "--", "echo", "x")["job"]["id"])
    second = house.ended(house.ask("rerun", str(first["id"]))["job"]["id"])
    assert Path(second["stdout"]) == house.work / f"out-{second['id']}.txt"


def test_daemon_told_to_end_by_a_service_manager_ends_well(house: Any) -> None:
    house.up("--zone", "DE")
    os.kill(house.daemon_pid(), signal.SIGTERM)
    house.until(lambda: "daemon.stopped" in house.log())
    assert not house.client().path.exists()


def test_name_with_control_characters_is_refused(house: Any) -> None:
    house.up("--zone", "DE")
    number = str(house.ask("submit", "--hold", "--", "true")["job"]["id"])
    assert house.tidewatt("submit", "--name", "a\x1b[2Jb", "--", "true").returncode == 2
    assert house.tidewatt("update", number, "--name", "a\x1b[2Jb").returncode == 2
