"""Processes are killed at random in a scripted day, and nothing is lost, doubled or left unsettled."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.crash_day import FACTOR, Day
from tests.nvml.fake_nvml import FakeNvml, build

KILLS = int(os.environ.get("TIDEWATT_SOAK_KILLS", "20"))
SEED = int(os.environ.get("TIDEWATT_SOAK_SEED", "20261122"))
CONFIG = """
zone = "DE"
meter_interval_s = 1.0
margin = "5m"
[[source]]
type = "file"
path = "grid.csv"
hindsight = true
[[region]]
name = "local"
gpus = 2
cpus = 8
"""


@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_run_twice_when_processes_are_killed_at_random(
    house: Any,
    require_engine: Any,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    require_engine("gcc")
    nvml = FakeNvml.in_folder(house.folder, build(tmp_path_factory.mktemp("nvml")))
    for number in (1, 2):
        nvml.add(f"GPU-0000000{number}-1111-2222-3333-444444444444", idle_w=60)
    house.environ |= nvml.environ()
    _write_grid(house.folder / "grid.csv")
    house.up("--replay-from", "2022-06-15T00:00:00+00:00", "--replay-factor", str(FACTOR), config=CONFIG)
    counts = Day(house, SEED, KILLS).run()
    with capsys.disabled():
        print(f"\ncrash soak, seed {SEED}\n{counts}")
    assert sum(counts.kills.values()) == KILLS
    assert counts.acknowledged
    assert counts.lost == []
    assert counts.twice == []
    assert counts.double_booked == []
    assert counts.too_early == []
    assert counts.over_limit == []
    assert counts.unsettled == []
    assert counts.gaps == []


def _write_grid(path: Path) -> None:
    """A week of a made-up grid with a clean noon, in steps of five minutes."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for step in range(7 * 288):
        day, minute = divmod(step * 5, 1440)
        intensity = 300 + 200 * abs(minute - 720) / 720
        rows.append(
            f"DE,2022-06-{15 + day}T{minute // 60:02}:{minute % 60:02}:00+00:00,300,{intensity:.1f},"
            "average,lifecycle,production"
        )
    path.write_text("\n".join(rows) + "\n")
