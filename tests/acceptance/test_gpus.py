"""GPUs are leased one job each, other people's processes are seen, energy goes to the job that had them."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.fake_nvml import FakeNvml, build

ONE, TWO = (f"GPU-0000000{number}-1111-2222-3333-444444444444" for number in (1, 2))
SLEEP = ("--", "python", "-c", "import time; time.sleep(6)")


@pytest.fixture(scope="module")
def library(require_engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_engine("gcc")
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(house: Any, library: Path) -> FakeNvml:
    made = FakeNvml.in_folder(house.folder, library)
    made.add(ONE, idle_w=60)
    made.add(TWO, idle_w=60)
    house.environ |= made.environ()
    return made


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is not ours."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process.pid
        process.kill()


def test_two_jobs_get_a_gpu_each_and_a_third_waits(house: Any, nvml: FakeNvml) -> None:
    house.up("--zone", "DE")
    jobs = [house.ask("submit", "--gpus", "1", *SLEEP)["job"]["id"] for _ in range(3)]
    house.until(lambda: house.client().status()["jobs"].get("running") == 2)
    running = [house.job(job) for job in jobs[:2]]
    assert {job["attempts"][0]["gpu_uuids"][0] for job in running} == {ONE, TWO}
    assert house.job(jobs[2])["state"] == "waiting"
    assert [house.ended(job)["state"] for job in jobs] == ["done"] * 3


def test_parts_of_a_divided_gpu_are_leased_one_each_and_never_with_the_whole(
    house: Any, nvml: FakeNvml
) -> None:
    parts = {f"MIG-{number}aaaaaaa-1111-2222-3333-444444444444" for number in (1, 2)}
    nvml.divide(*((part, ONE, 3) for part in sorted(parts)))
    house.up("--zone", "DE")
    jobs = [house.ask("submit", "--gpus", "1", "--gpu-kind", "3g.30gb", *SLEEP)["job"]["id"] for _ in "123"]
    house.until(lambda: house.client().status()["jobs"].get("running") == 2)
    assert {house.job(job)["attempts"][0]["gpu_uuids"][0] for job in jobs[:2]} == parts
    assert house.job(jobs[2])["state"] == "waiting"
    assert [house.ended(job)["state"] for job in jobs] == ["done"] * 3


def test_gpu_energy_of_a_job_is_that_of_its_gpu(house: Any, nvml: FakeNvml) -> None:
    house.up("--zone", "DE")
    nvml.set_power(ONE, 300)
    nvml.set_power(TWO, 200)
    job = house.ended(house.ask("submit", "--gpus", "2", *SLEEP)["job"]["id"])
    [attempt] = job["attempts"]
    seconds = _s(attempt["ended"]) - _s(attempt["started"])
    settled = house.until(lambda: house.job(job["id"])["settlement"])
    [gpu] = [each for each in settled["components"] if each["component"] == "gpu"]
    assert gpu["how"] == "measured"
    assert gpu["energy_j"] == pytest.approx(500 * seconds, rel=0.01)
    assert settled["feasible_start"] is not None  # the baseline knows the GPUs that there were at submit


def test_gpu_with_a_foreign_process_is_not_used_and_status_says_whose_it_is(
    house: Any, nvml: FakeNvml, stranger: int
) -> None:
    nvml.set_processes((ONE, stranger))
    house.up("--zone", "DE")
    foreign = house.until(lambda: house.client().status()["foreign"])
    assert (foreign[0]["gpu_uuid"], foreign[0]["pid"]) == (ONE, stranger)
    assert str(stranger) in house.tidewatt("status").stdout
    job = house.ended(house.ask("submit", "--gpus", "1", *SLEEP)["job"]["id"])
    assert job["attempts"][0]["gpu_uuids"] == [TWO]


def test_job_at_its_latest_start_without_a_free_gpu_is_at_risk_and_runs_when_one_is_free(
    house: Any, nvml: FakeNvml, stranger: int
) -> None:
    house.up("--zone", "DE", config='margin = "2s"\nmin_wait = "0s"\n')
    nvml.set_processes((ONE, stranger), (TWO, stranger))
    house.until(lambda: len(house.client().status()["foreign"]) == 2)
    submitted = house.ask("submit", "--late", "--gpus", "1", "--duration", "3s", "--finish-by", "8s", *SLEEP)
    number = submitted["job"]["id"]
    job = house.until(lambda: found if (found := house.job(number))["at_risk"] else None)
    assert str(stranger) in job["at_risk"]
    nvml.set_processes()
    assert house.ended(number)["state"] == "done"


def test_running_job_is_adopted_by_the_next_daemon(house: Any, nvml: FakeNvml) -> None:
    house.up("--zone", "DE")
    number = house.ask("submit", "--gpus", "1", *SLEEP)["job"]["id"]
    house.until(lambda: house.job(number)["state"] == "running")
    house.kill_daemon()
    house.up("--zone", "DE")
    job = house.ended(number)
    assert job["state"] == "done"
    assert [attempt["state"] for attempt in job["attempts"] if attempt["started"]] == ["ended"]


def test_gpu_that_another_state_folder_has_leased_is_waited_for(house: Any, nvml: FakeNvml) -> None:
    other = {**house.environ, "TIDEWATT_HOME": str(house.folder / "other")}
    house.tidewatt("up", "--zone", "DE", env=other)
    try:
        house.tidewatt("submit", "--gpus", "2", *SLEEP, env=other)
        house.up("--zone", "DE")
        job = house.ended(house.ask("submit", "--gpus", "1", *SLEEP)["job"]["id"])
        assert job["state"] == "done"
        theirs = house.tidewatt("show", "1", "--json", env=other).stdout
        assert '"done"' in theirs
    finally:
        house.tidewatt("down", env=other)


def _s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
