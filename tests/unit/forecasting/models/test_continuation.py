"""The forecast of fast signals: nothing of the future, the issue used, zeros and holes borne."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.forecasting.models.fast import (
    DAYS,
    START_MS,
    STEP_MS,
    issued,
    quick,
    signal,
    trained,
)
from tidewatt.forecasting.backtest.capture import outcome
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models import continuation_training, slots
from tidewatt.forecasting.models.continuation import REACH_H, usual
from tidewatt.forecasting.models.slots import DAY_MS, HOUR_MS, Issues, Signal
from tidewatt.forecasting.series import Steps

NOW_MS = START_MS + 50 * DAY_MS + 5 * HOUR_MS
NOTHING = Issues(np.empty(0, np.int64), np.empty((0, 12)))


def with_future(past: Signal, now_ms: int, value: float) -> Signal:
    """The signal with absurd values from `now_ms` on."""
    values = past.gco2_per_kwh.copy()
    values[(now_ms - past.start_ms) // past.step_ms :] = value
    return replace(past, gco2_per_kwh=values)


def later_nonsense(said: Issues, now_ms: int) -> Issues:
    """The issues with absurd values in those issued after `now_ms`."""
    values = said.gco2_per_kwh.copy()
    values[said.issued_ms > now_ms] = 1e6
    return Issues(said.issued_ms, values)


def captured(past: Signal, predicted: NDArray[np.float64], moments: NDArray[np.int64]) -> float:
    at = (moments - past.start_ms) // past.step_ms
    found = outcome(past.gco2_per_kwh, predicted, at, job_steps=48, slack_steps=288).captured
    assert found is not None
    return found


@pytest.mark.parametrize("value", [1e6, 0.0, np.nan])
def test_what_comes_later_changes_no_prediction(value: float) -> None:
    past, model = signal(), trained()
    said = issued(past)
    moments = np.array([NOW_MS], np.int64)
    honest = model.many(past, said, moments)
    planted = model.many(with_future(past, NOW_MS, value), later_nonsense(said, NOW_MS), moments)
    np.testing.assert_array_equal(planted.gco2_per_kwh, honest.gco2_per_kwh)
    np.testing.assert_array_equal(planted.p90, honest.p90)


def test_what_comes_later_changes_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    past = signal()
    said, now_ms = issued(past), START_MS + 45 * DAY_MS
    planted = continuation_training.train(
        with_future(past, now_ms, 1e6), later_nonsense(said, now_ms), now_ms
    )
    assert planted is not None
    honest = trained()
    assert planted.worth == honest.worth
    np.testing.assert_array_equal(planted.errors, honest.errors)
    at = np.array([now_ms], np.int64)
    np.testing.assert_array_equal(
        planted.many(past, said, at).gco2_per_kwh, honest.many(past, said, at).gco2_per_kwh
    )


def test_one_moment_is_predicted_as_many_are() -> None:
    past, model = signal(), trained()
    said = issued(past)
    moments = np.array([NOW_MS, NOW_MS + HOUR_MS, NOW_MS + 7 * HOUR_MS], np.int64)
    together = model.many(past, said, moments)
    for row, moment in enumerate(moments.tolist()):
        alone = model.predict(past, said, moment)
        assert alone is not None
        steps, p10, _ = alone
        assert steps.start_ms[0] == moment
        np.testing.assert_allclose(steps.gco2_per_kwh, together.gco2_per_kwh[row])
        np.testing.assert_allclose(p10, together.p10[row])


def test_plans_made_with_it_save_more_than_with_plain_means() -> None:
    past, model = signal(), trained()
    said = issued(past)
    moments = np.arange(START_MS + 46 * DAY_MS, START_MS + (DAYS - 3) * DAY_MS, HOUR_MS)
    ours = captured(past, model.many(past, said, moments).gco2_per_kwh, moments)
    plain = captured(past, usual(past, said, moments), moments)
    assert ours > plain


def test_an_issue_makes_the_next_hours_better() -> None:
    past, model = signal(), trained()
    moments = np.arange(START_MS + 46 * DAY_MS, START_MS + (DAYS - 3) * DAY_MS, HOUR_MS)
    at = (moments - START_MS) // STEP_MS
    near = past.gco2_per_kwh[at[:, None] + np.arange(24)]
    off = {
        name: np.abs(model.many(past, said, moments).gco2_per_kwh[:, :24] - near).mean()
        for name, said in (("with", issued(past)), ("without", NOTHING))
    }
    assert off["with"] < 0.9 * off["without"]


def test_bands_hold_most_of_what_came() -> None:
    past, model = signal(), trained()
    moments = np.arange(START_MS + 46 * DAY_MS, START_MS + (DAYS - 3) * DAY_MS, 3 * HOUR_MS)
    made = model.many(past, issued(past), moments)
    at = (moments - START_MS) // STEP_MS
    came = past.gco2_per_kwh[at[:, None] + np.arange(made.p10.shape[1])]
    assert 0.7 < ((came >= made.p10) & (came <= made.p90)).mean() < 0.9


def test_predictions_are_never_negative_and_keep_their_order_near_zero() -> None:
    past, model = signal(), trained()
    calm = replace(past, gco2_per_kwh=np.maximum(past.gco2_per_kwh - 150, 0.0))
    made = model.many(calm, NOTHING, np.array([NOW_MS], np.int64)).gco2_per_kwh[0]
    assert made.min() > 0
    assert len(np.unique(made)) > 0.9 * len(made)


def test_holes_are_borne_and_a_past_of_holes_says_nothing() -> None:
    past, model = signal(), trained()
    values = past.gco2_per_kwh.copy()
    values[np.random.default_rng(3).random(len(values)) < 0.2] = np.nan
    made = model.predict(replace(past, gco2_per_kwh=values), NOTHING, NOW_MS)
    assert made is not None
    assert len(made[0].start_ms) == REACH_H * 12
    nothing = replace(past, gco2_per_kwh=np.full(len(values), np.nan))
    assert model.predict(nothing, NOTHING, NOW_MS) is None


def test_a_past_shorter_than_four_weeks_trains_nothing() -> None:
    past = signal()
    assert continuation_training.train(past, NOTHING, START_MS + 27 * DAY_MS) is None


def test_an_old_issue_is_not_taken_for_a_new_one() -> None:
    said = Issues(np.array([START_MS]), np.full((1, 12), 5.0))
    moments = START_MS + np.array([-1, 0, HOUR_MS, 7 * HOUR_MS])
    assert said.newest(moments, 6 * HOUR_MS).tolist() == [-1, 0, 0, -1]


def test_an_issue_that_is_an_hour_old_is_read_an_hour_in() -> None:
    past = signal()
    said = Issues(np.array([NOW_MS - HOUR_MS]), np.arange(12.0)[None, :] * 10)
    plain = usual(past, said, np.array([NOW_MS], np.int64))[0]
    assert plain[:24].reshape(8, 3)[:, 0].tolist() == [40, 50, 60, 70, 80, 90, 100, 110]


@pytest.mark.parametrize("minutes", [5, 15, 30])
def test_steps_of_any_usual_length_become_a_signal(minutes: int) -> None:
    start = START_MS + np.arange(100) * minutes * 60_000
    steps = Steps(start, start + minutes * 60_000, np.arange(100.0))
    found = slots.signal(steps, "US-CAL-CISO", "America/Los_Angeles", 36.5, -119.5)
    assert found.step_ms == minutes * 60_000
    np.testing.assert_array_equal(found.gco2_per_kwh, np.arange(100.0))


def test_steps_that_do_not_divide_the_hour_are_refused() -> None:
    start = START_MS + np.arange(100) * 7 * 60_000
    steps = Steps(start, start + 7 * 60_000, np.arange(100.0))
    with pytest.raises(ForecastError, match="7 min of US-CAL-CISO do not divide the hour"):
        slots.signal(steps, "US-CAL-CISO", "America/Los_Angeles", 36.5, -119.5)
