"""Two Kubernetes clusters as regions of the real daemon: jobs wait, pause, move and are cancelled there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kubernetes.server import StandIn

START = datetime(2026, 6, 15, 6, tzinfo=UTC)
FACTOR = 600  # ten minutes a second
CLEAN = START + timedelta(minutes=120)  # twelve seconds after the daemon came up
CONFIG = """
zone = "DE"
signal = "average"
min_wait = "1m"
margin = "1m"
tick_s = 0.2
grace_s = 5
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "eu"
backend = "kubernetes"
zone = "DE"
cpus = 8
home = true
[region.options]
kubeconfig = "{kubeconfig}"
context = "eu"
image = "python:3.11"
working_dir = "{work}"
[[region]]
name = "us"
backend = "kubernetes"
zone = "US-CAL-CISO"
cpus = 8
[region.options]
kubeconfig = "{kubeconfig}"
context = "us"
image = "python:3.11"
working_dir = "{work}"
"""


@pytest.fixture
def clusters() -> Iterator[dict[str, StandIn]]:
    """Two clusters, of two releases."""
    with StandIn("1.30") as eu, StandIn("1.37") as us:
        yield {"eu": eu, "us": us}


def grid() -> str:
    """Both zones are dirty at first; then Germany is clean, and California less so."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for at in range(2 * 288):
        start = START - timedelta(hours=12) + at * timedelta(minutes=5)
        for zone, clean in (("DE", 100), ("US-CAL-CISO", 300)):
            value = 600 if start < CLEAN else clean
            rows.append(f"{zone},{start.isoformat()},300,{value},average,lifecycle,production")
    return "\n".join(rows) + "\n"


def up(house: Any, clusters: dict[str, StandIn]) -> None:
    kubeconfig = clusters["eu"].kubeconfig(house.folder / "kubeconfig", **clusters)
    (house.folder / "grid.csv").write_text(grid(), encoding="utf-8")
    config = CONFIG.format(kubeconfig=kubeconfig, work=house.work)
    replay = ("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR), "--hindsight")
    house.up(*replay, config=config)


def submitted(house: Any, script: str, *flags: str) -> int:
    number: int = house.ask("submit", *flags, "--", "sh", "-c", script)["job"]["id"]
    return number


def began(house: Any, job_id: int) -> list[Any]:
    return [each for each in house.job(job_id)["attempts"] if each["started"]]


def pods(clusters: dict[str, StandIn], job_id: int) -> list[tuple[str, str]]:
    """Every pod that there ever was of a job, with its cluster."""
    return sorted(
        {
            (name, key.name)
            for name, cluster in clusters.items()
            for _, _, key, form in cluster.store.changes
            if key.plural == "pods" and form["metadata"]["labels"].get("tidewatt/job") == str(job_id)
        }
    )


def runs_in(house: Any, job_id: int, region: str) -> bool:
    live = [each for each in house.job(job_id)["attempts"] if each["state"] == "running"]
    return [each["region"] for each in live] == [region]


@pytest.mark.timeout(180)
def test_jobs_wait_pause_move_and_are_cancelled_on_two_clusters(
    house: Any, clusters: dict[str, StandIn]
) -> None:
    up(house, clusters)
    delayed = submitted(house, "echo clean; sleep 0.5", "--finish-by", "6h", "--duration", "20m")
    saves = "trap 'echo saved; exit 85' TERM; echo begun $TIDEWATT_RESUME; sleep 3 & wait $!; echo whole"
    pausing = (
        "--pausable",
        "--moves",
        "--done-when",
        "exit:85",
        "--checkpoint-time",
        "1m",
        "--restart-time",
        "1m",
    )
    paused = submitted(house, saves, "--finish-by", "6h", "--duration", "30m", *pausing)
    cancelled = submitted(house, "sleep 60", "--finish-by", "25m", "--duration", "10m")
    never = submitted(house, "echo never", "--finish-by", "8h", "--duration", "20m")
    house.until(lambda: runs_in(house, cancelled, "eu"))
    assert house.tidewatt("cancel", str(never)).returncode == 0
    assert house.tidewatt("cancel", str(cancelled)).returncode == 0

    house.until(lambda: runs_in(house, paused, "eu"))
    house.ask("pause", str(paused))
    house.until(lambda: house.job(paused)["state"] == "paused")
    house.ask("update", str(paused), "--region", "us")
    house.ask("resume", str(paused))

    ended = {number: house.ended(number, 90) for number in (delayed, paused, cancelled, never)}
    states = [ended[number]["state"] for number in (delayed, paused, cancelled, never)]
    assert states == ["done", "done", "cancelled", "cancelled"], ended
    [attempt] = began(house, delayed)
    assert attempt["region"] == "eu"
    assert datetime.fromisoformat(attempt["started"]) >= CLEAN - timedelta(seconds=FACTOR)
    assert [each["region"] for each in began(house, paused)] == ["eu", "us"]
    for number in (delayed, paused, cancelled):
        assert len(pods(clusters, number)) == len(began(house, number))
    assert pods(clusters, never) == []
    logs = house.tidewatt("logs", str(paused)).stdout
    assert "begun 1" in logs
    assert "whole" in logs
    for cluster in clusters.values():
        house.until(lambda cluster=cluster: not cluster.store.of("jobs"), 60)


@pytest.mark.timeout(120)
def test_daemon_that_is_killed_finds_its_jobs_in_the_cluster_again(
    house: Any, clusters: dict[str, StandIn]
) -> None:
    up(house, clusters)
    shown = house.tidewatt(
        "submit", "--dry-run", "--finish-by", "25m", "--duration", "10m", "--", "sleep", "4"
    )
    assert "POST /apis/batch/v1/namespaces/default/jobs" in shown.stdout, (shown.stdout, shown.stderr)
    assert not any(line.startswith("POST") for each in clusters.values() for line in each.requests)
    number = submitted(house, "sleep 4; exit 3", "--finish-by", "25m", "--duration", "10m")
    house.until(lambda: runs_in(house, number, "eu"))
    house.kill_daemon()
    up(house, clusters)
    job = house.ended(number, 60)
    [attempt] = began(house, number)
    assert attempt["exit_code"] == 3, job
    assert len(pods(clusters, number)) == 1
