"""The whole path of a job through the real daemon, on a real grid day that is replayed."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tidewatt.backends.meters.journal import readings_of

FACTOR = 600  # replayed seconds in a real one
START = datetime(2022, 6, 15, 6, tzinfo=UTC)
BUSY = "import time; end = time.monotonic() + 5\nwhile time.monotonic() < end: sum(range(10000))"
CONFIG = """
zone = "DE"
meter_interval_s = 1.0
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "local"
cpus = 1
pue = 1.2
pue_source = "site meter, 2025"
"""


@pytest.fixture(scope="module")
def grid(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Germany's recorded production intensity from a week before the day to a week after it."""
    file = shared_data / "production_mix_hourly_42zones_2019_2022.parquet"
    frame = pd.read_parquet(file, columns=["zone", "ts", "ci_lifecycle"], filters=[("zone", "==", "DE")])
    near = frame[
        (frame.ts >= START - timedelta(days=7)) & (frame.ts < START + timedelta(days=7))
    ].sort_values("ts")
    path = tmp_path_factory.mktemp("grid") / "grid.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["zone", "start", "step_s", "gco2_per_kwh", "signal", "basis", "boundary"])
        for at, value in zip(near.ts, near.ci_lifecycle, strict=True):
            rows.writerow(["DE", at.isoformat(), 3600, value, "average", "lifecycle", "production"])
    return path


def test_jobs_run_in_their_windows_and_the_report_can_be_recomputed(house: Any, grid: Path) -> None:
    (house.folder / "grid.csv").write_bytes(grid.read_bytes())
    house.up("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR), "--hindsight", config=CONFIG)
    command = ("--duration", "60m", "--", "python", "-c", BUSY)
    jobs = [house.ask("submit", "--finish-by", slack, *command)["job"]["id"] for slack in ("6h", "8h", "4h")]
    ended = [house.ended(job_id, 120) for job_id in jobs]
    tick = timedelta(seconds=60)  # a tenth of a real second: the machine may be busy for one or two of them
    for job in ended:
        assert job["state"] == "done", job
        [attempt] = [each for each in job["attempts"] if each["started"]]
        started, over = at(attempt["started"]), at(attempt["ended"])
        launch_lag = timedelta(seconds=1.5 * FACTOR)  # a supervisor and its job come up in real time
        planned = at(job["plan"]["start"])
        assert planned <= at(attempt["launched"]) <= planned + 3 * tick
        assert started <= planned + launch_lag
        assert over <= at(job["finish_by"])
        assert "hindsight" in job["plan"]["note"] or any(
            "hindsight" in each for each in job["plan"]["sources"]
        )
    settled = [house.until(lambda number=job: account(house, number), 120) for job in jobs]
    report = house.ask("report")
    [total] = report["total"]["signals"]
    expected = sum(recomputed(house, job, grid) for job in settled)
    assert total["emissions_g"] == pytest.approx(expected, rel=1e-3)
    assert report["total"]["facility_kwh"] == pytest.approx(1.2 * report["total"]["energy_kwh"], rel=1e-6)


def account(house: Any, job_id: int) -> Any:
    job = house.job(job_id)
    settlement = job["settlement"]
    return job if settlement and settlement["state"] in {"provisional", "final"} else None


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def recomputed(house: Any, job: Any, grid: Path) -> float:
    """Grams with PUE, from the raw readings and the grid file alone, by the rule that the documents state.

    The CPU model's idle draw is shared by CPU time over all CPUs, what is above it over busy time.
    """
    [attempt] = [each for each in job["attempts"] if each["started"]]
    number, start_ms, end_ms = attempt["attempt_id"], ms(attempt["started"]), ms(attempt["ended"])
    with grid.open(encoding="utf-8") as handle:
        intensity = {ms(row["start"]): float(row["gco2_per_kwh"]) for row in csv.DictReader(handle)}
    grams = 0.0
    for cpus, device, one, two in steps(house.home / "readings", number):
        first_ms, last_ms = max(one["time_ms"], start_ms), min(two["time_ms"], end_ms)
        if last_ms <= first_ms:
            continue
        real_s = max(1, two["mono_ms"] - one["mono_ms"]) / 1000
        own_ms = two["cpu_ms"][number] - one["cpu_ms"][number]
        # The kernel counts ticks: over a very short step the host may show none, or fewer than the attempt.
        busy_ms = max(1, own_ms, two["cpu_ms"]["host"] - one["cpu_ms"]["host"])
        total_j = (two["energy_uj"][device["key"]] - one["energy_uj"][device["key"]]) / 1e6
        idle_j = device["idle_mw"] / 1000 * real_s
        joules = (total_j - idle_j) * min(1, own_ms / busy_ms) + idle_j * min(
            1, own_ms / 1000 / real_s / cpus
        )
        mean = integral(intensity, first_ms, last_ms) / (last_ms - first_ms)
        grams += joules / 3.6e6 * mean * 1.2
    return grams


def steps(folder: Path, attempt: str) -> Iterator[tuple[int, Any, Any, Any]]:
    """Pairs of readings that hold the attempt's CPU time, with the host's CPUs and its CPU device."""
    files = sorted(folder.glob("*.jsonl"))
    header = json.loads(files[0].read_text().partition("\n")[0])
    device = next(each for each in header["devices"] if each["component"] == "cpu")
    found = [asdict(reading) for file in files for reading in readings_of(file)]
    readings = sorted(found, key=lambda reading: reading["mono_ms"])
    for one, two in pairwise(readings):
        if attempt in one["cpu_ms"] and attempt in two["cpu_ms"]:
            yield header["cpus"], device, one, two


def integral(intensity: dict[int, float], start_ms: int, end_ms: int) -> float:
    """Of the hourly steps over a stretch, in g/kWh times milliseconds."""
    hour = 3_600_000
    found = 0.0
    while start_ms < end_ms:
        step = start_ms // hour * hour
        found += intensity[step] * (min(end_ms, step + hour) - start_ms)
        start_ms = step + hour
    return found


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
