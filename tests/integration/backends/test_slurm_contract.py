"""What every backend promises, told on real Slurm."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.stage import Stage
from tests.slurm.cluster import Clusters, running
from tests.slurm.troupe import SlurmTroupe


@pytest.fixture(scope="module")
def clusters(require_engine: Callable[[str], None]) -> Iterator[Clusters]:
    """Both clusters, as long as this module's tests run."""
    require_engine("slurm")
    with tempfile.TemporaryDirectory(prefix="tw-slurm-") as folder, running(Path(folder)) as clusters:
        yield clusters


class TestSlurmContract(Contract):
    """Jobs on one cluster of two."""

    @pytest.fixture
    def stage(self, clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
        """Whatever a story leaves is cancelled."""
        monkeypatch.setenv("PATH", os.environ["PATH"])
        troupe = SlurmTroupe(clusters, tmp_path)
        yield Stage(troupe, tmp_path)
        troupe.clear()
