"""What every provider promises, checked on each one that we ship."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.feeds.fake import FakeFeed
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.provider import Provider, Versioned
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.forecasting.series import Forecast, Series, Steps, instant, milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KIND = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
OTHER = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)


def hourly(start_h: int, *values: float) -> Steps:
    start = milliseconds(T0) + (start_h + np.arange(len(values))) * 3_600_000
    return Steps(start, start + 3_600_000, np.array(values, float))


OBSERVED = hourly(0, 100, 110, 120, 130)
FORECASTS = [(T0 + h * HOUR, hourly(h, 200 + h, 300 + h)) for h in (0, 2)]


def fake(folder: Path) -> Provider:
    forecasts = [Forecast("DE", KIND, "fake", issued, steps) for issued, steps in FORECASTS]
    return FakeProvider(series=[Series("DE", KIND, "fake", OBSERVED)], forecasts=forecasts)


def csv(folder: Path) -> Provider:
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,gas,issued_at"]
    for issued, steps in [(None, OBSERVED), *FORECASTS]:
        for start_ms, value in zip(steps.start_ms.tolist(), steps.gco2_per_kwh.tolist(), strict=True):
            when = issued.isoformat() if issued else ""
            lines.append(
                f"DE,{instant(start_ms).isoformat()},3600,{value},marginal,direct,consumption,CO2,{when}"
            )
    (folder / "grid.csv").write_text("\n".join(lines) + "\n")
    return FileProvider(folder / "grid.csv")


def parquet(folder: Path) -> Provider:
    csv(folder)
    pq.write_table(pyarrow.csv.read_csv(folder / "grid.csv"), folder / "grid.parquet")
    return FileProvider(folder / "grid.parquet")


def archived(folder: Path) -> Provider:
    quantity, archive = intensity(KIND), Archive(folder / "archive.db")
    for number in range(len(OBSERVED.start_ms)):
        one = slice(number, number + 1)
        step = Steps(OBSERVED.start_ms[one], OBSERVED.end_ms[one], OBSERVED.gco2_per_kwh[one])
        archive.add("a feed", "DE", Fetched((Observed(quantity, step),)), instant(int(step.end_ms[0])))
    for issued_at, steps in FORECASTS:
        archive.add("a feed", "DE", Fetched(issued=(Issued(quantity, issued_at, steps),)), issued_at)
    return Archived(FakeFeed("a feed"), archive)


@pytest.fixture(params=[fake, csv, parquet, archived], ids=lambda make: make.__name__)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    make: Callable[[Path], Provider] = request.param
    return make(tmp_path)


def test_it_names_itself_and_its_kinds(provider: Provider) -> None:
    assert provider.name
    assert provider.kinds("DE") == (KIND,)
    assert provider.kinds("FR") == ()


@pytest.mark.parametrize(("now_h", "known"), [(0, 0), (0.99, 0), (1, 1), (2.5, 2), (4, 4), (99, 4)])
def test_a_step_is_observed_once_it_has_ended(provider: Provider, now_h: float, known: int) -> None:
    series = provider.observations("DE", KIND, T0, T0 + 99 * HOUR, T0 + now_h * HOUR)
    assert series.steps.gco2_per_kwh.tolist() == OBSERVED.gco2_per_kwh.tolist()[:known]
    assert (series.zone, series.kind) == ("DE", KIND)
    assert series.source


def test_only_steps_that_touch_the_stretch_come_and_come_whole(provider: Provider) -> None:
    series = provider.observations("DE", KIND, T0 + 1.5 * HOUR, T0 + 3 * HOUR, T0 + 99 * HOUR)
    assert series.steps.gco2_per_kwh.tolist() == [110, 120]
    assert series.steps.start_ms[0] == milliseconds(T0 + HOUR)


@pytest.mark.parametrize(("now_h", "first"), [(-1, None), (0, 200), (1.99, 200), (2, 202), (99, 202)])
def test_the_newest_forecast_issued_by_now_is_given(
    provider: Provider, now_h: float, first: float | None
) -> None:
    forecast = provider.forecast("DE", KIND, T0 + now_h * HOUR)
    assert (forecast and forecast.steps.gco2_per_kwh[0]) == first
    if forecast is not None:
        assert forecast.issued_at <= T0 + now_h * HOUR
        assert forecast.p10 is None


def test_what_it_does_not_have_is_empty_and_no_error(provider: Provider) -> None:
    assert len(provider.observations("DE", OTHER, T0, T0 + 9 * HOUR, T0 + 9 * HOUR).steps.start_ms) == 0
    assert len(provider.observations("FR", KIND, T0, T0 + 9 * HOUR, T0 + 9 * HOUR).steps.start_ms) == 0
    assert provider.forecast("DE", OTHER, T0) is None
    assert provider.forecast("FR", KIND, T0) is None


def test_naive_times_are_refused(provider: Provider) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  # what is refused
    with pytest.raises(ForecastError, match="no time zone"):
        provider.observations("DE", KIND, T0, T0 + HOUR, naive)
    with pytest.raises(ForecastError, match="no time zone"):
        provider.forecast("DE", KIND, naive)


def test_equal_versions_mean_equal_answers(provider: Provider) -> None:
    if not isinstance(provider, Versioned):
        pytest.skip("it tells no version")
    moments = [T0 + h * HOUR / 4 for h in range(24)]
    told: dict[object, object] = {}
    for now in moments:
        forecast = provider.forecast("DE", KIND, now)
        seen = provider.observations("DE", KIND, T0, T0 + 9 * HOUR, now).steps.gco2_per_kwh.tolist()
        answer = (seen, forecast and forecast.issued_at)
        assert told.setdefault(provider.version("DE", now), answer) == answer
