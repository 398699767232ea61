"""The stand-in is not only ours: the official client and kubectl drive it too, and see our Jobs there."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends.stage import Stage
from tests.conftest import CLIENTS
from tests.kubernetes.authority import Authority
from tests.kubernetes.server import StandIn
from tests.kubernetes.troupe import KubernetesTroupe

SCRIPT = Path(__file__).parents[2] / "kubernetes" / "official_client.py"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """One of our jobs has ended there, over TLS with certificates on both sides."""
    with StandIn(authority=Authority(tmp_path)) as cluster:
        stage = Stage(KubernetesTroupe(cluster, tmp_path), tmp_path)
        launch = stage.job(runs_s=0.1)
        stage.backend.submit(launch)
        stage.ended(launch.folder)
        yield stage


def name_of(stage: Stage) -> str:
    content = json.loads((stage.folders[0] / "engine.json").read_text())
    return str(content["name"])


def test_official_client_runs_a_job_and_reads_ours(
    stage: Stage, tmp_path: Path, require_engine: Callable[[str], None]
) -> None:
    require_engine("clients")
    command = [str(CLIENTS), str(SCRIPT), str(tmp_path / "kubeconfig"), name_of(stage)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["suspended"], seen["pods"]) == (True, 1)  # ours, and none of a Job that is held
    assert "Complete" in seen["conditions"]
    assert seen["log"] == "theirs\n"
    assert seen["ours"] == ["Failed", 0, "1"]
    assert seen["again"] == 409
    assert seen["left"] == [name_of(stage)]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
def test_kubectl_lists_our_job_shows_its_log_and_deletes_it(stage: Stage, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig")}

    def kubectl(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", *words], env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    name = name_of(stage)
    listed = kubectl("get", "jobs", "-l", "app.kubernetes.io/managed-by=tidewatt", "-o", "name")
    assert listed.split() == [f"job.batch/{name}"]
    assert kubectl("logs", f"job/{name}") == "ready\n"
    kubectl("delete", "job", name, "--wait=false")
    assert kubectl("get", "jobs", "-o", "name") == ""
