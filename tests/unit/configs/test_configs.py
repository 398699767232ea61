"""The configurations that we ship are right."""

import configparser
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.demo.scenario import DAYS, START, ZONES

CONFIGS = Path(__file__).parents[3] / "configs"
GRID = CONFIGS / "examples" / "grid_california_2days.csv"
TIDEWATT = [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()"]
KIND = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_configuration_passes_its_own_check(path: Path) -> None:
    done = subprocess.run([*TIDEWATT, "config", "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_service_leaves_jobs_alone_and_starts_the_daemon_in_the_foreground() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.read(CONFIGS / "tidewatt.service")
    assert unit["Service"]["KillMode"] == "process"
    assert unit["Service"]["Restart"] == "on-failure"
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert program.endswith("/tidewatt")
    told = subprocess.run([*TIDEWATT, *arguments, "--help"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("zone", ZONES.values())
def test_recorded_grid_has_two_whole_days_and_the_five_before(zone: str) -> None:
    first, end = START - timedelta(days=5), START + DAYS
    steps = FileProvider(GRID).observations(zone, KIND, first, end, end).steps
    assert len(steps.start_ms) == 7 * 24 * 12
    assert (steps.start_ms[1:] == steps.end_ms[:-1]).all()


@pytest.mark.parametrize("zone", ZONES.values())
def test_recorded_grid_has_every_hour_of_the_two_days_forecasts(zone: str) -> None:
    provider = FileProvider(GRID)
    for hour in range(48):
        issued = START + timedelta(hours=hour)
        forecast = provider.forecast(zone, KIND, issued)
        assert forecast is not None
        assert forecast.issued_at == issued
        ahead_ms = forecast.steps.end_ms[-1] - issued.timestamp() * 1000
        assert ahead_ms == timedelta(minutes=185) / timedelta(milliseconds=1)


def test_recorded_grid_is_what_its_script_computes(shared_data: Path) -> None:
    script = runpy.run_path(str(CONFIGS / "examples" / "build_grid_california.py"))
    text, first = script["excerpt"](shared_data)
    assert text == GRID.read_text()
    assert first == START
