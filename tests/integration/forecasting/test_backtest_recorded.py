"""A backtest of recorded forecasts comes to the figures that were published for them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tidewatt.forecasting.backtest.issuing import DAY_MS, Issues, issue
from tidewatt.forecasting.backtest.past import Past
from tidewatt.forecasting.backtest.trial import Trial, Verdict, Work, judge
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.baselines import SameHourMean, Yesterday
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.series import Intensities, Milliseconds

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HORIZON_H = 96


def columns(path: Path, zone: str, *names: str) -> tuple[Milliseconds, list[Intensities]]:
    """The hours of a file's zone in their order, and further columns in that order."""
    table = pq.read_table(path, columns=["ts", *names], filters=[("zone", "==", zone)]).combine_chunks()
    moments = table.column("ts").to_numpy().astype("datetime64[ms]").astype(np.int64)
    return moments, [table.column(name).to_numpy().astype(float) for name in names]


def past(data: Path, zone: str, key: str) -> Past:
    """The zone's hours, as backtests take them."""
    file = data / "production_mix_hourly_42zones_2019_2022.parquet"
    moments, (values,) = columns(file, zone, "ci_lifecycle")
    start_ms = int(moments.min())
    hours = (int(moments.max()) - start_ms) // HOUR_MS + 1
    grid = np.full(hours, np.nan)
    grid[(moments - start_ms) // HOUR_MS] = values
    end_ms = start_ms + hours * HOUR_MS
    return Past(History(key, start_ms, end_ms, grid, "UTC", 51.0, 10.0), KIND, "recorded")


def carboncast(data: Path, zone: str) -> Issues:
    """Its stored forecasts, each from its first hour on."""
    file = data / "carboncast_forecasts_9zones_2022H2.parquet"
    moments, (ahead, values) = columns(file, zone, "horizon_h", "fc_lifecycle")
    start = np.unique(moments[ahead == 0])
    row = np.searchsorted(start, moments - ahead.astype(np.int64) * HOUR_MS)
    predicted = np.full((len(start), HORIZON_H), np.nan)
    predicted[row, ahead.astype(int)] = values
    return Issues("CarbonCast", start, predicted)


@pytest.fixture(scope="module")
def trial(shared_data: Path) -> Trial:
    """Germany, the second half of 2022: 181 daily issues, jobs arriving every 3 h of the first day."""
    known, theirs = past(shared_data, "DE", "DE"), carboncast(shared_data, "DE")
    plain = [issue(each, known.history, theirs.start_ms, HORIZON_H) for each in (SameHourMean(), Yesterday())]
    return judge(known, [theirs, *plain], arrivals=range(0, 24, 3))


def verdict(trial: Trial, name: str) -> Verdict:
    return next(each for each in trial.verdicts if each.name == name)


def test_errors_by_day_are_the_published_ones(trial: Trial) -> None:
    # CarbonCast's repository states its own day 1 to 4 MAPE of the German zone, lifecycle
    days = [day.mape_percent for day in verdict(trial, "CarbonCast").by_day]
    assert days == pytest.approx([9.369, 13.872, 16.835, 19.524], abs=0.001)


def test_baselines_err_as_others_have_computed(trial: Trial) -> None:
    issues = trial.issues, trial.last_ms - trial.first_ms
    assert issues == (181, 180 * DAY_MS)
    assert verdict(trial, "7-day same-hour mean").errors.mape_percent == pytest.approx(20.78, abs=0.01)
    assert verdict(trial, "yesterday").errors.mape_percent == pytest.approx(22.01, abs=0.01)


@pytest.mark.parametrize(
    ("job_h", "perfect", "theirs"),
    [(12, 0.135, 0.118), (24, 0.067, 0.055)],
)
def test_savings_are_those_that_others_have_computed(
    trial: Trial, job_h: int, perfect: float, theirs: float
) -> None:
    found = verdict(trial, "CarbonCast").captured[Work(job_h, 24, False)]
    assert found.possible == pytest.approx(perfect, abs=0.001)
    assert found.saved == pytest.approx(theirs, abs=0.001)


def test_the_daily_shape_alone_is_worth_nothing_to_a_job_of_a_day(trial: Trial) -> None:
    for name in ("7-day same-hour mean", "yesterday"):
        captured = verdict(trial, name).captured
        assert captured[Work(24, 24, False)].captured == pytest.approx(0, abs=0.01)
        assert (captured[Work(4, 24, False)].captured or 0) > 0.7
