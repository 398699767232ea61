"""A recorded file as a provider: read again when it changes, kept when it breaks, quick to ask."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.recorded import FileProvider

T0 = datetime(2026, 3, 1, tzinfo=UTC)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HEADER = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"


def write(path: Path, *values: float, step_s: int = 3600) -> Path:
    starts = (T0 + i * timedelta(seconds=step_s) for i in range(len(values)))
    rows = (
        f"DE,{start.isoformat()},{step_s},{value},average,lifecycle,production\n"
        for start, value in zip(starts, values, strict=True)
    )
    path.write_text(HEADER + "".join(rows))
    return path


def values(provider: FileProvider) -> list[float]:
    end = T0 + timedelta(days=400)
    seen: list[float] = provider.observations("DE", KIND, T0, end, end).steps.gco2_per_kwh.tolist()
    return seen


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    provider = FileProvider(write(tmp_path / "grid.csv", 1, 2))
    write(tmp_path / "grid.csv", 1, 2, 3)
    assert values(provider) == [1, 2, 3]


def test_a_file_that_is_replaced_by_one_of_the_same_size_is_read_again(tmp_path: Path) -> None:
    provider = FileProvider(write(tmp_path / "grid.csv", 1, 2))
    os.replace(write(tmp_path / "new.csv", 3, 4), tmp_path / "grid.csv")
    assert values(provider) == [3, 4]


def test_a_file_that_breaks_keeps_its_last_good_content_and_says_so(tmp_path: Path) -> None:
    provider = FileProvider(write(tmp_path / "grid.csv", 1, 2))
    (tmp_path / "grid.csv").write_text(HEADER + "DE,now,1,1,average,lifecycle,production\n")
    assert values(provider) == [1, 2]
    assert "line 2: start 'now' is not a time" in provider.trouble
    assert "last good content" in provider.trouble
    write(tmp_path / "grid.csv", 5)
    assert values(provider) == [5]
    assert provider.trouble == ""


def test_a_file_that_vanishes_keeps_its_last_good_content_and_says_so(tmp_path: Path) -> None:
    provider = FileProvider(write(tmp_path / "grid.csv", 1, 2))
    (tmp_path / "grid.csv").unlink()
    assert values(provider) == [1, 2]
    assert "cannot be read: No such file" in provider.trouble


def test_a_missing_file_is_refused_at_once_unless_it_may_come_later(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="No such file"):
        FileProvider(tmp_path / "grid.csv")
    provider = FileProvider(tmp_path / "grid.csv", lenient=True)
    with pytest.raises(ForecastError, match="No such file") as refused:
        provider.kinds("DE")
    assert refused.value.transient
    write(tmp_path / "grid.csv", 1)
    assert values(provider) == [1]


def test_zones_of_the_file_are_listed(tmp_path: Path) -> None:
    assert FileProvider(write(tmp_path / "grid.csv", 1)).zones() == ("DE",)


def test_asking_every_tick_of_a_replay_costs_well_under_a_millisecond(tmp_path: Path) -> None:
    provider = FileProvider(write(tmp_path / "grid.csv", *range(1000), step_s=300))
    begun, ticks = time.process_time(), 1000
    for tick in range(ticks):
        now = T0 + timedelta(minutes=tick)
        provider.version("DE", now)
        provider.forecast("DE", KIND, now)
        provider.observations("DE", KIND, now - timedelta(days=7), now, now)
    assert (time.process_time() - begun) / ticks < 0.001
