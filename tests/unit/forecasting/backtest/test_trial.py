"""Contenders are judged over the same hours and the same submissions."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.forecasting.backtest.sayings import DAY_H, T0_MS, Repeating, history, past, shape
from tidewatt.forecasting.backtest.issuing import DAY_MS, Issues, issue
from tidewatt.forecasting.backtest.scores import ahead
from tidewatt.forecasting.backtest.trial import WORKS, Trial, Work, judge
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.forecaster import HOUR_MS

VALUES = shape(20 * DAY_H)
MOMENTS = T0_MS + DAY_MS * np.arange(2, 14)
PAST = past(VALUES)


def perfect(hours: int = 96) -> Issues:
    at = (MOMENTS - T0_MS) // HOUR_MS
    return Issues("perfect", MOMENTS, ahead(VALUES, at, hours))


def flat(hours: int = 96) -> Issues:
    return Issues("flat", MOMENTS, np.full((len(MOMENTS), hours), 300.0))


def tried(*contenders: Issues, **options: object) -> Trial:
    return judge(PAST, contenders, arrivals=(0, 3, 6), **options)  # type: ignore[arg-type]


def test_a_perfect_forecast_captures_all_and_a_flat_one_nothing() -> None:
    trial = tried(flat(), perfect())
    best, worst = trial.verdicts
    assert (best.name, worst.name) == ("perfect", "flat")
    assert best.mean_captured == pytest.approx(1)
    assert worst.mean_captured == 0
    assert (best.errors.mape_percent, len(best.by_day)) == (0, 4)
    assert set(best.captured) == set(WORKS)
    assert (trial.issues, trial.hours) == (12, 96)
    assert trial.mean_g == pytest.approx(perfect().predicted.mean())


def test_all_contenders_have_the_same_submissions() -> None:
    holes = perfect().predicted.copy()
    holes[3] = np.nan  # says nothing on that day
    holes[5, 40:] = np.nan  # ends early
    trial = tried(flat(), replace(perfect(), predicted=holes))
    counts = {verdict.name: [o.submissions for o in verdict.captured.values()] for verdict in trial.verdicts}
    assert counts["flat"] == counts["perfect"]
    assert trial.issues == 11
    long = Work(48, 24, False)
    assert trial.verdicts[0].captured[long].submissions == 10 * 3


def test_a_forecast_that_ends_early_is_continued_for_plans_but_not_for_errors() -> None:
    trial = tried(flat(), replace(perfect(), predicted=_ending(perfect().predicted, 24)), continuing=flat())
    perfect_day = next(verdict for verdict in trial.verdicts if verdict.name == "perfect")
    assert [day.steps for day in perfect_day.by_day] == [12 * 24, 0, 0, 0]
    assert perfect_day.captured[Work(48, 48, False)].submissions == 12 * 3


def test_who_never_predicted_is_named_and_judged_no_further() -> None:
    nobody = Issues("nobody", MOMENTS, np.full((12, 96), np.nan))
    trial = tried(flat(), nobody)
    assert [verdict.name for verdict in trial.verdicts] == ["flat"]
    assert trial.notes == ("nobody: the past is too short or has too many holes for it",)
    with pytest.raises(ForecastError, match="nobody could predict anything for DE"):
        tried(nobody)


def test_contenders_that_never_meet_cannot_be_compared() -> None:
    first, second = perfect().predicted.copy(), perfect().predicted.copy()
    first[:6], second[6:] = np.nan, np.nan
    with pytest.raises(ForecastError, match="no moment at which all of these predicted DE: early, late"):
        tried(Issues("early", MOMENTS, first), Issues("late", MOMENTS, second))
    with pytest.raises(ForecastError, match="same moments"):
        tried(flat(), Issues("shifted", MOMENTS + HOUR_MS, perfect().predicted))


def test_a_band_is_judged_where_there_is_one() -> None:
    made = issue(Repeating(band=True), history(VALUES), MOMENTS, 96)
    trial = tried(flat(), made)
    bands = {verdict.name: verdict.band for verdict in trial.verdicts}
    assert bands["flat"] is None
    assert bands["the last day"] is not None
    assert bands["the last day"].width_g == pytest.approx(20)


def test_works_that_do_not_fit_the_horizon_are_left_out() -> None:
    trial = tried(perfect(48), flat(48))
    found = {(work.job_h, work.slack_h) for work in trial.verdicts[0].captured}
    assert found == {(1, 24), (4, 24), (12, 24), (24, 24)}
    assert tried(perfect(24)).verdicts[0].mean_captured is None


def _ending(predicted: NDArray[np.float64], hours: int) -> NDArray[np.float64]:
    cut = predicted.copy()
    cut[:, hours:] = np.nan
    return cut
