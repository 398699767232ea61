"""SkyPilot by the record of its client: what we call, and what we make of its answers."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.stage import RealJobs, Stage
from tests.sky.recorded import ClusterStatus, Sky
from tidewatt.backends import reference
from tidewatt.backends.backend import BackendError, PauseMode, Phase, StopReason
from tidewatt.backends.skypilot.engine import SkyPilotBackend, SkyPilotEngine
from tidewatt.backends.skypilot.options import SkyPilotOptions


@dataclass
class SkyTroupe(RealJobs):
    """SkyPilot, as the stories of the contract play on it."""

    sky: Sky
    region: str = "north"
    patience_s: float = 20.0
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "hide": "a cluster is found by its name at once",
            "reuse": "a name is our own token",
            "loss": "SkyPilot may still get the request: see below",
            "grace": "a cluster is ended with all that is on it",
        }
    )

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        given = {"infra": "aws/eu-north-1", "spot": True, "python": sys.executable, "idle_minutes": 30}
        options = {"north": SkyPilotOptions.model_validate(given)}
        self.backend = SkyPilotBackend(options, self.sky, visible_s=0.5, vanished_s=0.3)

    def ready(self, attempt_id: str, output: Path) -> bool:
        return output.with_name(f"{attempt_id}.ran").exists()

    def pass_time(self) -> None:
        time.sleep(0.02)

    def mute(self) -> None:
        self.sky.mutes = True

    def lose(self) -> None:
        self.sky.loses = True

    def hide(self) -> None:
        raise NotImplementedError

    def vanish(self, folder: Path) -> None:
        found = reference.read(folder)
        assert found is not None
        self.sky.vanish(found.token)

    def reuse(self, _folder: Path) -> None:
        raise NotImplementedError

    def down(self, *, yes: bool) -> None:
        self.sky.down_now = yes


@pytest.fixture
def sky(tmp_path: Path) -> Iterator[Sky]:
    sky = Sky(tmp_path)
    yield sky
    sky.close()


@pytest.fixture
def stage(sky: Sky, tmp_path: Path) -> Stage:
    return Stage(SkyTroupe(sky), tmp_path)


class TestSkyPilotContract(Contract):
    """What every backend promises."""


def test_job_is_sent_to_the_place_that_was_planned_and_its_cluster_ends_by_itself(
    stage: Stage, sky: Sky
) -> None:
    launch = stage.job(runs_s=30, cpus=4, mem_mb=9000, gpus=2, gpu_kind="A100")
    stage.backend.submit(launch)
    task = sky.clusters[launch.token].task
    assert task.resources is not None
    assert (task.resources.infra, task.resources.use_spot) == ("aws/eu-north-1", True)
    assert (task.resources.cpus, task.resources.memory) == ("4+", "9+")
    assert task.resources.accelerators == {"A100": 2}
    assert "idle_minutes_to_autostop=30" in stage.backend.rehearse(launch)


def test_ended_job_leaves_its_output_here_and_no_cluster(stage: Stage, sky: Sky) -> None:
    launch = stage.job(runs_s=0.1, code=3)
    stage.backend.submit(launch)
    assert stage.ended(launch.folder).exit_code == 3
    assert sky.clusters == {}
    assert b"ready\n" in stage.backend.logs(launch.folder)


def test_all_clusters_are_looked_at_in_one_call(stage: Stage, sky: Sky) -> None:
    launches = [stage.job(runs_s=30, attempt_id=f"{number}.1") for number in (1, 2, 3)]
    for launch in launches:
        stage.backend.submit(launch)
    sky.calls.clear()
    stage.backend.status([launch.folder for launch in launches])
    assert sky.calls == ["status", "queue", "queue", "queue"]


def test_spot_cluster_that_was_taken_away_is_a_preemption(stage: Stage, sky: Sky) -> None:
    launch = stage.job(runs_s=30)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    sky.clusters[launch.token].status = ClusterStatus.STOPPED
    status = stage.ended(launch.folder)
    assert (status.phase, status.stopped) == (Phase.ENDED, StopReason.PREEMPTED)


def test_launch_without_an_answer_stays_unknown_until_its_owner_gives_it_up(stage: Stage, sky: Sky) -> None:
    launch = stage.job(runs_s=30)
    sky.loses = True
    with pytest.raises(BackendError):
        stage.backend.submit(launch)
    status = stage.until(launch.folder, Phase.UNKNOWN, Phase.POISONED)
    assert status.phase is Phase.UNKNOWN
    assert "its job waits for that" in status.reason
    stage.backend.stop(launch.folder, StopReason.PAUSED)
    assert stage.status(launch.folder).phase is Phase.UNKNOWN
    other = stage.job(runs_s=30, attempt_id="2.1")
    sky.loses = True
    with pytest.raises(BackendError):
        stage.backend.submit(other)
    stage.backend.stop(other.folder, StopReason.CANCELLED)
    assert "look there for" in stage.until(other.folder, Phase.POISONED).reason


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_launch_that_still_waits_in_skypilot_is_not_given_up_before_it_has_failed(
    stage: Stage, sky: Sky, state: str
) -> None:
    launch = stage.job(runs_s=30)
    sky.refuses = state
    stage.backend.submit(launch)
    time.sleep(0.5)  # longer than a cluster may be missing
    for _ in range(5):
        assert stage.status(launch.folder).phase is Phase.UNKNOWN
        time.sleep(0.1)
    sky.launching = dict.fromkeys(sky.launching, "FAILED")
    assert stage.status(launch.folder).phase is Phase.POISONED


def test_pause_is_refused_and_the_job_runs_on(stage: Stage) -> None:
    launch = stage.job(runs_s=30)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    with pytest.raises(BackendError, match="cannot be paused"):
        stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
    assert stage.status(launch.folder).phase is Phase.RUNNING


def test_without_skypilot_the_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sky", None)
    with pytest.raises(BackendError, match=r"tidewatt\[skypilot\]"):
        SkyPilotEngine.made({}, None)  # type: ignore[arg-type]
    assert SkyPilotEngine.experimental
