"""The Kubernetes manifests that we ship are right, for three releases."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "configs" / "kubernetes"
TIDEWATT = [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()"]
RELEASES = ("1.30", "1.33", "1.37")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def daemon() -> dict[str, Any]:
    (found,) = [each for each in documents("deployment.yaml") if each["kind"] == "Deployment"]
    return dict(found["spec"])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_manifest_is_what_the_release_takes(path: Path, release: str) -> None:
    for document in documents(path.name):
        kubernetes_validate.validate(document, release, strict=True)


def test_daemon_is_never_there_twice() -> None:
    assert (daemon()["replicas"], daemon()["strategy"]) == (1, {"type": "Recreate"})


def test_daemon_has_no_more_rights_on_its_node_than_it_needs() -> None:
    pod = daemon()["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_daemon_writes_only_where_a_volume_is() -> None:
    (container,) = daemon()["template"]["spec"]["containers"]
    places = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    for variable in container["env"]:
        assert any(Path(variable["value"]).is_relative_to(place) for place in places), variable


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probe_is_a_command_that_there_is(probe: str) -> None:
    (container,) = daemon()["template"]["spec"]["containers"]
    program, *arguments = container[probe]["exec"]["command"]
    assert program == "tidewatt"
    told = subprocess.run([*TIDEWATT, *arguments, "--help"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_configuration_of_the_daemon_passes_its_own_check(tmp_path: Path) -> None:
    (kept,) = [each for each in documents("deployment.yaml") if each["kind"] == "ConfigMap"]
    path = tmp_path / "config.toml"
    path.write_text(kept["data"]["config.toml"])
    done = subprocess.run([*TIDEWATT, "config", "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_service_account_of_the_daemon_is_the_one_that_has_the_rights() -> None:
    subjects = [each["subjects"] for each in documents("rbac.yaml") if "subjects" in each]
    account = {"kind": "ServiceAccount", "name": "tidewatt", "namespace": "tidewatt"}
    assert subjects == [[account], [account]]
    assert daemon()["template"]["spec"]["serviceAccountName"] == account["name"]
