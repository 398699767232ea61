"""A real Ray cluster of two nodes as two regions."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.stage import Stage
from tests.ray.cluster import RayCluster
from tests.ray.line import Line
from tests.ray.troupe import RayTroupe, clear


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
    line = Line(cluster.address)
    stage = Stage(RayTroupe(line), tmp_path)
    yield stage
    for folder in stage.folders:
        clear(folder)
    line.close()


class TestRayContract(Contract):
    """What every backend promises, with real Ray jobs."""
