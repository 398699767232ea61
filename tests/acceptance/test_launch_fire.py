"""Whatever is killed while jobs are launched: none is lost, none runs twice."""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.launch_fire import Fire, Losses
from tests.slurm.cluster import NAMES, Clusters, running

JOBS = int(os.environ.get("TIDEWATT_SOAK_FIRE_JOBS", "30"))
KILLS = int(os.environ.get("TIDEWATT_SOAK_FIRE_KILLS", "10"))
SEED = int(os.environ.get("TIDEWATT_SOAK_SEED", "20261122"))
LOCAL = """
tick_s = 0.2
meter_interval_s = 5
grace_s = 2
margin = "1s"
min_wait = "0s"
[[region]]
name = "local"
cpus = 12
"""
SLURM = """
[[region]]
name = "{name}"
backend = "slurm"
cpus = 12
options = {{ cluster = "{name}" }}
"""


@pytest.fixture
def slurm(require_engine: Callable[[str], None]) -> Iterator[Clusters]:
    require_engine("slurm")
    with tempfile.TemporaryDirectory(prefix="tw-slurm-") as folder, running(Path(folder)) as clusters:
        yield clusters


@pytest.mark.timeout(7200)
def test_nothing_is_lost_or_doubled_on_this_host_while_processes_are_killed(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    house.up(config=LOCAL)
    losses = Fire(house, SEED, JOBS, KILLS, ("local",)).run()
    with capsys.disabled():
        print(f"\nlaunches under fire on this host, seed {SEED}\n{losses}")
    check(losses)


@pytest.mark.timeout(7200)
def test_nothing_is_lost_or_doubled_on_slurm_while_processes_and_controllers_are_killed(
    house: Any, slurm: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    house.environ |= slurm.environment
    house.up(config=LOCAL + "".join(SLURM.format(name=name) for name in NAMES))
    losses = Fire(house, SEED, JOBS, KILLS, ("local", *NAMES), lambda: hit(slurm), slurm.tend).run()
    with capsys.disabled():
        print(f"\nlaunches under fire on this host and two Slurm clusters, seed {SEED}\n{losses}")
    check(losses)


def check(losses: Losses) -> None:
    """So much was burnt, and nothing by it."""
    assert losses.kills.total() >= KILLS
    assert len(losses.acknowledged) >= JOBS
    assert losses.lost == []
    assert losses.doubled == []
    assert losses.open == []
    assert losses.unstarted == []


def hit(slurm: Clusters) -> str:
    """Kills a controller in the middle of everything, and brings it back."""
    name = random.choice(NAMES)
    slurm.kill_controller(name)
    with suppress(AssertionError):  # its node is drained, or it takes its time
        slurm.start_controller(name)
    return "slurmctld"
