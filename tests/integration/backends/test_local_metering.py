"""What the host's meter and an attempt have to do with each other."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import PauseMode, Phase, StopReason
from tidewatt.backends.meters.journal import readings_of

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage


@pytest.fixture
def readings(own_home: Path) -> Path:
    return own_home / "readings"


def causes(readings: Path) -> list[str]:
    paths = sorted(readings.glob("*.jsonl"))
    return [reading.cause for path in paths for reading in readings_of(path)]


def test_meter_is_read_before_the_job_starts_and_after_it_ended(local: "Stage", readings: Path) -> None:
    status = local.ended(local.submit("true", readings=readings))
    assert status.exit_code == 0
    told = [cause for cause in causes(readings) if cause.endswith(" 1.1")]
    assert told == ["start 1.1", "end 1.1"]


def test_meter_is_neither_the_jobs_nor_ended_with_it(local: "Stage", readings: Path) -> None:
    local.ended(local.submit("true", readings=readings))
    status = local.ended(local.submit("true", readings=readings, attempt_id="2.1"))
    assert not status.warnings  # nothing was left behind, and the meter answered
    assert "end 2.1" in causes(readings)


def test_job_taken_over_from_a_killed_supervisor_is_read_at_its_end(local: "Stage", readings: Path) -> None:
    folder = local.submit("sleep", "60", readings=readings, grace_s=1.0)
    local.until(folder, Phase.RUNNING)
    local.kill_supervisor(folder)
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    local.backend.stop(folder, StopReason.CANCELLED)
    local.ended(folder)
    assert causes(readings).count("start 1.1") == 1
    assert "end 1.1" in causes(readings)


def test_meter_is_read_when_a_job_is_told_to_end(local: "Stage", readings: Path) -> None:
    launch = local.job(runs_s=60, readings=readings)
    local.backend.submit(launch)
    local.running(launch.folder)
    local.backend.stop(launch.folder, StopReason.CANCELLED)
    local.ended(launch.folder)
    told = [cause for cause in causes(readings) if cause.endswith(" 1.1")]
    assert told == ["start 1.1", "phase 1.1", "end 1.1"]


def test_meter_is_read_when_a_job_tells_of_another_phase(local: "Stage", readings: Path) -> None:
    script = "from tidewatt.backends import hooks; hooks.phase('train'); import time; time.sleep(60)"
    folder = local.submit(sys.executable, "-c", script, readings=readings, meter_interval_s=1.0, grace_s=1.0)
    local.see(folder, lambda _: "phase 1.1" in causes(readings))
    local.backend.stop(folder, StopReason.CANCELLED)
    local.ended(folder)
    told = [cause for cause in causes(readings) if cause.endswith(" 1.1")]
    assert told == ["start 1.1", "phase 1.1", "phase 1.1", "end 1.1"]


def test_meter_is_read_at_each_edge_of_a_pause(local: "Stage", readings: Path) -> None:
    launch = local.job(runs_s=60, readings=readings, grace_s=1.0)
    local.backend.submit(launch)
    local.running(launch.folder)
    local.backend.pause(launch.folder, PauseMode.STOP)
    local.until(launch.folder, Phase.SUSPENDED)
    local.see(launch.folder, lambda _: causes(readings).count("phase 1.1") == 2)
    local.backend.resume(launch.folder)
    status = local.until(launch.folder, Phase.RUNNING)
    times = [move.at_ms for move in status.moves]
    paths = sorted(readings.glob("*.jsonl"))
    edges = [each.time_ms for path in paths for each in readings_of(path) if each.cause == "phase 1.1"]
    assert len(edges) == 3
    pausing, suspended, resuming, _ = times
    assert edges[0] <= pausing <= suspended <= edges[1] <= edges[2] <= resuming


def test_meter_that_cannot_work_neither_stops_nor_delays_the_job(local: "Stage", readings: Path) -> None:
    readings.write_text("not a folder")
    began = time.monotonic()
    status = local.ended(local.submit("true", readings=readings))
    assert status.exit_code == 0
    assert "the meter did not answer" in status.warnings[0]
    assert time.monotonic() - began < 10
