"""A real Ray cluster of two nodes as two regions."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.conftest import House
from tests.backends.contract import Contract
from tests.backends.pause_contract import PauseContract
from tests.backends.stage import Stage
from tests.ray.cluster import RayCluster
from tests.ray.line import RayLine
from tests.ray.troupe import RayTroupe, clear, options
from tests.training.story import play
from tests.training.weights import COUNTING, weight_of
from tidewatt.backends import durable, environment
from tidewatt.backends.backend import BackendError, Launch, PauseMode, PauseTerms, Phase, StopReason
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.ray.client import Client
from tidewatt.backends.ray.engine import RayBackend


@pytest.fixture(scope="module")
def cluster(require_engine: Callable[[str], None]) -> Iterator[RayCluster]:
    require_engine("clients")
    cluster = RayCluster()
    try:
        began = time.monotonic()
        cluster.up()
        print(f"Ray came up in {time.monotonic() - began:.1f} s")
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def stage(cluster: RayCluster, tmp_path: Path) -> Iterator[Stage]:
    line = RayLine(cluster.address)
    stage = Stage(RayTroupe(line), tmp_path)
    yield stage
    for folder in stage.folders:
        clear(folder)
    line.close()


class TestRayContract(Contract, PauseContract):
    """What every backend promises, with real Ray jobs."""


TERMS = PauseTerms(
    signal="USR1", grace_s=20, exit_codes=(85,), file="weights.json", unfinished="*.tmp",
    folder="checkpoints", resume_args=("--resume",),
)  # fmt: skip
STEPS = 120


def training(stage: Stage, attempt: str, **more: Any) -> Launch:
    argv = (sys.executable, str(COUNTING), str(STEPS), "checkpoints")
    return stage.launch(*argv, attempt_id=attempt, pausing=TERMS, **more)


def test_paused_training_goes_on_in_the_other_region_with_the_same_weights(stage: Stage) -> None:
    first = training(stage, "7.1", region="eu")
    stage.backend.submit(first)
    stage.wait(lambda: b"under way" in logs(stage, first))
    stage.backend.pause(first.folder, PauseMode.CHECKPOINT)
    paused = stage.ended(first.folder)
    assert (paused.stopped, paused.exit_code) == (StopReason.PAUSED, 85)
    assert [move.phase for move in paused.moves] == [Phase.PAUSING]
    assert (durable.read(first.folder / "checkpoint.json") or {})["whole"]
    second = training(stage, "7.2", region="us", resumes=first.folder)
    stage.backend.submit(second)
    assert stage.ended(second.folder).exit_code == 0
    said = logs(stage, second).decode()
    assert "resumed at" in said
    assert f"weight {weight_of(STEPS)}" in said
    assert node_of(stage, first) != node_of(stage, second)


def test_job_that_cannot_have_its_gpus_now_is_not_queued_in_ray(stage: Stage) -> None:
    one, other = stage.job(runs_s=30, gpus=1, region="us"), stage.job(attempt_id="2.1", gpus=1, region="us")
    stage.backend.submit(one)
    stage.running(one.folder)
    posts = troupe(stage).line.posts
    with pytest.raises(BackendError, match="not free") as told:
        stage.backend.submit(other)
    assert told.value.transient
    assert stage.status(other.folder).phase is Phase.POISONED
    assert troupe(stage).line.posts == posts


def test_job_knows_the_gpus_that_ray_gave_it(stage: Stage) -> None:
    launch = stage.launch("sh", "-c", "echo gpus=$CUDA_VISIBLE_DEVICES", gpus=2, cpus=2)
    stage.backend.submit(launch)
    stage.ended(launch.folder)
    assert b"gpus=0,1\n" in logs(stage, launch)


def test_all_jobs_of_a_cluster_are_looked_at_in_one_call(stage: Stage) -> None:
    launches = [stage.job(runs_s=30, attempt_id=f"{number}.1") for number in (1, 2)]
    for launch in launches:
        stage.backend.submit(launch)
    line = troupe(stage).line
    before = line.lists
    stage.backend.status([launch.folder for launch in launches])
    assert line.lists == before + 1


def test_capacity_is_told_by_region_and_as_of_now(stage: Stage) -> None:
    stage.wait(lambda: stage.backend.capacity("us").gpus_free == {"GPU": 1})
    eu, us = stage.backend.capacity("eu"), stage.backend.capacity("us")
    assert (eu.cpus, dict(eu.gpus)) == (4, {"GPU": 2})
    assert (us.cpus, dict(us.gpus)) == (4, {"GPU": 1})


def test_attempt_is_metered_beside_its_job_into_its_own_folder(stage: Stage) -> None:
    metered = {name: options(troupe(stage).line.address, name, meter=sys.executable) for name in ("eu",)}
    troupe(stage).backend = RayBackend(metered)
    launch = stage.launch(
        "sh", "-c", "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done", meter_interval_s=0.5
    )
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    stage.wait(lambda: stage.backend.collect(launch.folder))
    assert status.started_ms is not None
    assert status.ended_ms is not None
    used = usage(launch.folder / "readings", launch.attempt_id, (), status.started_ms, status.ended_ms)
    assert used.coverage["cpu"] > 0.9
    assert sum(span.active_uj for span in used.spans) > 0


def test_cluster_that_does_not_see_the_folders_gets_a_package_and_keeps_the_output(stage: Stage) -> None:
    (stage.root / "data.txt").write_text("from the package\n")
    apart = {"eu": options(troupe(stage).line.address, "eu", shared=False, environment=("GREETING",))}
    troupe(stage).backend = RayBackend(apart)
    environment.write(stage.root / "env.json", {"GREETING": "hello", "HF_TOKEN": "hf_secret"})
    launch = stage.launch(
        "sh", "-c", "echo $GREETING$HF_TOKEN; cat data.txt; exit 3", environment_file=stage.root / "env.json"
    )
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert (status.phase, status.exit_code) == (Phase.ENDED, 3)
    assert b"hello\nfrom the package\n" in stage.backend.logs(launch.folder)
    assert "1 environment variables (HF_TOKEN) were not sent to Ray" in status.warnings[0]
    told = requests.get(f"{troupe(stage).line.target}/api/jobs/{launch.token}", timeout=5).text
    assert "hf_secret" not in told


def test_stopped_job_of_a_cluster_without_shared_folders_has_its_grace(stage: Stage) -> None:
    troupe(stage).backend = RayBackend({"eu": options(troupe(stage).line.address, "eu", shared=False)})
    launch = stage.launch("sh", "-c", "trap 'sleep 4; exit 0' TERM; echo ready; sleep 60 & wait", grace_s=10)
    stage.backend.submit(launch)
    stage.wait(lambda: b"ready" in stage.backend.logs(launch.folder))
    began = time.monotonic()
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    status = stage.ended(launch.folder)
    assert (status.stopped, status.phase) == (StopReason.CANCELLED, Phase.ENDED)
    assert time.monotonic() - began > 4  # Ray itself would have killed it after 3 s


def test_without_shared_folders_what_was_lost_can_never_start_once_it_was_given_up(stage: Stage) -> None:
    line = troupe(stage).line
    apart = {"eu": options(line.address, "eu", shared=False)}
    troupe(stage).backend = backend = RayBackend(apart, visible_s=1.0, vanished_s=1.0)
    launch = stage.launch("sh", "-c", f"echo ran > {stage.root / 'ran'}")
    line.loses = True
    with pytest.raises(BackendError):
        backend.submit(launch)
    assert stage.ended(launch.folder).phase is Phase.POISONED
    late = backend.clusters.body(launch, apart["eu"], Client(apart["eu"].place()))
    answer = requests.post(f"{line.target}/api/jobs/", json=late, timeout=10)
    assert (answer.status_code, "already exists" in answer.text) == (500, True)
    assert not (stage.root / "ran").exists()


@pytest.fixture
def house(own_home: Path) -> Iterator[House]:
    made = House(own_home)
    yield made
    made.close()


def test_jobs_of_the_daemon_are_delayed_run_in_the_cleaner_region_paused_and_cancelled(
    house: House, cluster: RayCluster
) -> None:
    regions = {"dirty": "eu", "clean": "us"}
    given = {
        name: f'{{ address = "{cluster.address}", resource = "region_{region}", shared = true,'
        f' python = "{sys.executable}", meter = "{sys.executable}" }}'
        for name, region in regions.items()
    }
    jobs = play(house, "ray", given)
    readings = house.home / "jobs" / str(jobs["delayed"]["id"]) / "1" / "readings"
    assert list(readings.glob("*.jsonl*"))


def test_killed_head_leaves_a_job_unknown_and_one_that_has_forgotten_it_does_not_run_it_again(
    stage: Stage, cluster: RayCluster
) -> None:
    """The last story: its cluster is gone with it."""
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    started_ms = stage.running(launch.folder).started_ms
    cluster.kill("eu")
    assert stage.until(launch.folder, Phase.UNKNOWN, Phase.ENDED).phase is Phase.UNKNOWN
    troupe(stage).line.forgets = True
    status = stage.ended(launch.folder)
    assert (status.phase, status.exit_code, status.started_ms) == (Phase.ENDED, None, started_ms)
    assert "exit status lost" in status.reason
    stage.backend.submit(launch)
    assert stage.copies() == 1


def troupe(stage: Stage) -> RayTroupe:
    assert isinstance(stage.troupe, RayTroupe)
    return stage.troupe


def logs(stage: Stage, launch: Launch) -> bytes:
    found: bytes = stage.backend.logs(launch.folder)
    return found


def node_of(stage: Stage, launch: Launch) -> str:
    """The node that Ray ran it on."""
    found = requests.get(f"{troupe(stage).line.target}/api/jobs/{launch.token}", timeout=5).json()
    return str(found["driver_node_id"])
