"""A settlement on a recorded day of a real grid, against an independent computation from the same file."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How, Span, Usage
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.accounting.phases import uninterrupted
from tidewatt.scheduler.accounting.settlement import AttemptRun, Frozen, Settlement, settle
from tidewatt.scheduler.jobs import SettlementState

DAY = datetime(2022, 5, 17, tzinfo=UTC)
SUBMITTED = DAY + timedelta(hours=5, minutes=17, seconds=23)
FEASIBLE = DAY + timedelta(hours=6, minutes=2, seconds=11)
STARTED = DAY + timedelta(hours=10, minutes=41, seconds=7)
SECONDS = 3 * 3600 + 1234
PUE = 1.23


def test_settlement_of_a_real_day_equals_an_independent_computation(
    shared_data: Path, tmp_path: Path
) -> None:
    grid, power_w = _recorded_day(shared_data, tmp_path / "de.csv"), _power_by_second()
    settlement = _settled(grid, DAY + timedelta(days=3))
    (ledger,) = settlement.ledgers
    assert settlement.state is SettlementState.FINAL
    assert ledger.actual_ug == pytest.approx(_grams(grid, STARTED, power_w) * 1e6, rel=1e-3)
    assert ledger.feasible_ug == pytest.approx(_grams(grid, FEASIBLE, power_w) * 1e6, rel=1e-3)
    assert ledger.hypothetical_ug == pytest.approx(_grams(grid, SUBMITTED, power_w) * 1e6, rel=1e-3)
    assert ledger.saved_feasible_ug != 0


def test_settlement_waits_for_the_hour_that_has_not_ended(shared_data: Path, tmp_path: Path) -> None:
    grid, ended = _recorded_day(shared_data, tmp_path / "de.csv"), STARTED + timedelta(seconds=SECONDS)
    assert _settled(grid, ended).state is SettlementState.NONE
    assert _settled(grid, ended + timedelta(hours=1)).state is SettlementState.PROVISIONAL


def _settled(grid: Path, now: datetime) -> Settlement:
    """The job's account with what the file tells at `now`."""
    chain = Chain([FileProvider(grid)])
    return settle(
        Frozen("local", {"average": "DE"}, PUE, "site", SUBMITTED, "average", gpus=1),
        [_metered(_power_by_second())],
        FEASIBLE,
        lambda zone, signal, start, end: chain.observations(zone, Signal(signal), start, end, now),
        now,
    )


def _recorded_day(shared_data: Path, path: Path) -> Path:
    """One day of the real German grid in the recorded-grid format."""
    import pandas as pd

    mix = pd.read_parquet(
        shared_data / "production_mix_hourly_42zones_2019_2022.parquet",
        columns=["zone", "ts", "ci_lifecycle"],
        filters=[("zone", "==", "DE")],
    )
    day = mix[(mix.ts >= pd.Timestamp(DAY)) & (mix.ts < pd.Timestamp(DAY + timedelta(days=1)))].sort_values(
        "ts"
    )
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["zone", "start", "step_s", "gco2_per_kwh", "signal", "basis", "boundary"])
        for ts, value in zip(day.ts, day.ci_lifecycle, strict=True):
            writer.writerow(
                ["DE", ts.isoformat(), 3600, f"{value:.3f}", "average", "lifecycle", "production"]
            )
    return path


def _power_by_second() -> Any:
    """A training's draw above idle: warm-up, then waves; W for each second."""
    second = np.arange(SECONDS)
    return 80 + 240 * (second > 300) + 30 * np.sin(second / 97)


def _metered(power_w: Any) -> AttemptRun:
    """Readings every 10 s of that draw, with 25 W idle on top."""
    spans = []
    for first in range(0, SECONDS, 10):
        joules = float(power_w[first : first + 10].sum())
        last = min(first + 10, SECONDS)
        begin_ms = time_ms(STARTED) + first * 1000
        idle_uj = (last - first) * 25_000_000
        end_ms = begin_ms + (last - first) * 1000
        spans.append(Span(begin_ms, end_ms, "gpu", How.MEASURED, round(joules * 1e6), idle_uj))
    start_ms = time_ms(STARTED)
    usage = Usage(
        "1.1", start_ms, start_ms + SECONDS * 1000, tuple(spans), {"gpu": 1.0}, {"gpu": "NVML"}, "sha256:0"
    )
    progress = uninterrupted(usage.start_ms, usage.end_ms)
    return AttemptRun("1.1", "local", {"average": "DE"}, PUE, "site", usage, progress)


def _grams(grid: Path, start: datetime, power_w: Any) -> float:
    """Second by second from the file's own lines, sharing nothing with what is tested."""
    with grid.open() as lines:
        by_hour = {row["start"][:13]: float(row["gco2_per_kwh"]) for row in csv.DictReader(lines)}
    grams = 0.0
    for second, watts in enumerate(power_w):
        grams += watts / 3.6e6 * by_hour[f"{start + timedelta(seconds=second):%Y-%m-%dT%H}"] * PUE
    return grams
