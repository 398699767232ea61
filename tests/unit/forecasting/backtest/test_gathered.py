"""What the daemon gathered beside the intensity takes part in backtests, each from when it was there."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from tests.unit.forecasting.backtest.sayings import DAY_H, KIND, T0_MS, past, shape
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.backtest.gathered import with_more
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.quantity import generation, intensity, weather
from tidewatt.forecasting.series import Intensities, Steps, instant, stepped

VALUES = shape(10 * DAY_H)


def steps(values: Intensities, start_ms: int = T0_MS) -> Steps:
    hours_ms = start_ms + HOUR_MS * np.arange(len(values), dtype=np.int64)
    return stepped(hours_ms, hours_ms + HOUR_MS, values)


def test_generation_and_weather_of_the_archive_are_known_when_they_were(tmp_path: Path) -> None:
    issued_at = instant(T0_MS + 5 * DAY_H * HOUR_MS)
    fetched = Fetched(
        (
            Observed(intensity(KIND), steps(VALUES)),
            Observed(generation("wind"), steps(1000 + VALUES)),
        ),
        (Issued(weather("wind_m_s"), issued_at, steps(np.full(48, 7.0), T0_MS + 5 * DAY_H * HOUR_MS)),),
    )
    late = instant(T0_MS) + timedelta(days=100)
    known = past(VALUES)
    with Archive(tmp_path / "grid.db") as archive:
        archive.add("grid", "DE", fetched, late)
        alone = with_more(known, archive, "another source")
        more = with_more(known, archive, "grid").history
    assert alone is known
    assert np.allclose(more.gco2_per_kwh, VALUES, atol=0.001)
    assert np.allclose(more.mw["wind"], 1000 + VALUES, atol=0.001)
    assert more.weather is not None
    before, after = (cut(more, T0_MS + day * DAY_H * HOUR_MS) for day in (4, 6))
    assert before.weather is not None
    assert after.weather is not None
    assert (len(before.weather.start_ms), len(after.weather.start_ms)) == (0, 1)
    assert len(before.mw["wind"]) == 4 * DAY_H
