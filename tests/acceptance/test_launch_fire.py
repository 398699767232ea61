"""Whatever is killed while jobs are launched: none is lost, none runs twice."""

import os
from typing import Any

import pytest

from tests.acceptance.launch_fire import Fire

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


@pytest.mark.timeout(7200)
def test_nothing_is_lost_or_doubled_on_this_host_while_processes_are_killed(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    house.up(config=LOCAL)
    losses = Fire(house, SEED, JOBS, KILLS, ("local",)).run()
    with capsys.disabled():
        print(f"\nlaunches under fire on this host, seed {SEED}\n{losses}")
    assert losses.kills.total() >= KILLS
    assert len(losses.acknowledged) >= JOBS
    assert losses.lost == []
    assert losses.doubled == []
    assert losses.open == []
    assert losses.unstarted == []
