"""A Slurm site of two clusters through the real daemon, and without one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import NODE_W, Clusters, running
from tests.slurm.day import SCRIPT, STEPS, ZONES, Day

JOBS = int(os.environ.get("TIDEWATT_SOAK_SLURM", "12"))


@pytest.fixture(scope="module")
def clusters(require_engine: Callable[[str], None]) -> Iterator[Clusters]:
    """Both clusters, as long as this module's tests run."""
    require_engine("slurm")
    with tempfile.TemporaryDirectory(prefix="tw-slurm-") as folder, running(Path(folder)) as clusters:
        yield clusters


@pytest.mark.timeout(1800)
def test_day_of_jobs_on_two_clusters(house: Any, clusters: Clusters) -> None:
    house.environ |= {"SLURM_CONF": str(clusters.conf), "PATH": os.environ["PATH"]}
    day = Day(house, clusters, JOBS)
    day.begin()
    day.pass_by()
    ended = {job["id"]: job for job in day.all()}
    states = {number: ended[number]["state"] for number in day.numbers}
    for number in day.numbers:
        if number in day.cancelled:
            assert states[number] in ("cancelled", "done")
        else:
            assert states[number] == "done", _attempts(house.job(number))
        assert set(day.begun(number).values()) <= {1}  # no attempt began twice
        if states[number] == "done":
            assert sorted(set(day.steps(number))) == list(range(1, STEPS + 1))
            again = day.steps(number) != sorted(set(day.steps(number)))
            assert not again or number in day.taken_away(), house.job(
                number
            )  # by a controller that forgot that it ran
    print({name: len(getattr(day, name)) for name in ("numbers", "cancelled", "moved", "paused")})
    assert day.paused
    assert len(day.cancelled) >= JOBS // 20
    assert len(day.moved) >= JOBS // 40
    house.until(lambda: len(day.energies()) >= JOBS - len(day.cancelled), 60 + JOBS, 1)
    energies = day.energies()
    told_j, true_j = (sum(each) for each in zip(*energies, strict=True))
    print(f"{len(energies)} attempts: {told_j:.0f} J told, {true_j:.0f} J true, {told_j / true_j - 1:+.1%}")
    here, at_once, elsewhere = (sum(each) / len(each) for each in zip(*day.intensities(), strict=True))
    print(
        f"{here:.0f} g/kWh where and when they ran, {at_once:.0f} at home at once, {elsewhere:.0f} elsewhere"
    )
    assert here < at_once
    assert here < elsewhere
    assert told_j == pytest.approx(true_j, rel=0.05)


def test_script_goes_to_slurm_without_a_daemon(house: Any, clusters: Clusters) -> None:
    house.environ |= {"SLURM_CONF": str(clusters.conf), "PATH": os.environ["PATH"]}
    config = house.folder / "config.toml"
    config.write_text(_config(house.folder, clean="us", in_hours=2), encoding="utf-8")
    told = house.folder / "told"
    done = house.tidewatt(
        "sbatch", "--config", str(config), "--finish-by", "18h", "--duration", "5m", "-M", "eu,us",
        str(SCRIPT), str(told), "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    number, _, cluster = done.stdout.strip().partition(";")
    assert cluster == "us"
    begin = int(_show(clusters, number).split("StartTime=")[1].split()[0].replace("Unknown", "0"))
    assert begin == pytest.approx((_hour() + timedelta(hours=2)).timestamp(), abs=120)
    clusters.run("scontrol", "-M", "us", "update", f"JobId={number}", "StartTime=now")

    def settled() -> Any:
        found = house.ask("settle", "--config", str(config), number)["jobs"]
        return found[0] if found[0]["settlement"] else None

    job = house.until(settled, 90, 1)
    assert job["state"] == "done"
    shown = house.tidewatt("settle", "--config", str(config), f"{number};us").stdout
    assert f"  {number};us in Slurm  done" in shown
    assert [line.split()[0] for line in told.read_text().splitlines()].count("begin") == 1
    account = job["settlement"]
    [component] = account["components"]
    assert component["source"] == "Slurm ConsumedEnergy (rapl): node charged whole, GPUs not included"
    [ran] = [phase for phase in account["phases"] if phase["phase"] == "running"]
    assert account["energy_j"] == pytest.approx(NODE_W * ran["seconds"], rel=0.05, abs=NODE_W * 0.5)


def _attempts(job: Any) -> str:
    return "; ".join(f"{each['attempt_id']} {each['state']} {each['reason']}" for each in job["attempts"])


def _show(clusters: Clusters, number: str) -> str:
    return clusters.run("env", "SLURM_TIME_FORMAT=%s", "scontrol", "-M", "us", "-o", "show", "job", number)


def _hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def _config(folder: Path, clean: str, in_hours: int) -> str:
    """A grid that is dirty everywhere but in one region, some hours from now."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,gas"]
    for region, zone in ZONES.items():
        for hour in range(-48, 36):
            grams = 50 if region == clean and hour == in_hours else 400
            start = _hour() + timedelta(hours=hour)
            rows.append(f"{zone},{start.isoformat()},3600,{grams},marginal,direct,consumption,CO2")
    (folder / "grid.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    regions = "".join(
        f'[[region]]\nname = "{name}"\nbackend = "slurm"\noptions = {{ cluster = "{name}" }}\n'
        f'zone = "{zone}"\ncpus = 16\nhome = {str(name == "eu").lower()}\n'
        for name, zone in ZONES.items()
    )
    return (
        f'zone = "{ZONES["eu"]}"\nsignal = "marginal"\n[[source]]\ntype = "file"\n'
        f'path = "{folder / "grid.csv"}"\nhindsight = true\n{regions}'
    )
