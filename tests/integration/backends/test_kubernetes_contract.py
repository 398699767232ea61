"""What every backend promises, on a stand-in for a Kubernetes cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.pause_contract import PauseContract
from tests.backends.stage import Stage
from tests.kubernetes.server import StandIn
from tests.kubernetes.troupe import KubernetesTroupe

STANDING = {"standing": "pods cannot be made to stand still from outside"}


class TestKubernetesPauseContract(PauseContract):
    """Pauses by checkpoint."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with StandIn() as cluster:
            yield Stage(KubernetesTroupe(cluster, tmp_path, lacks=STANDING), tmp_path)


class TestKubernetesContract(Contract):
    """Jobs of one pod, each a process of this machine."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with StandIn() as cluster:
            yield Stage(KubernetesTroupe(cluster, tmp_path), tmp_path)
