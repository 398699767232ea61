"""Captured saving of small days that can be checked by hand."""

import numpy as np
import pytest

from tidewatt.forecasting.backtest.capture import Outcome, outcome, usable
from tidewatt.forecasting.errors import ForecastError

DAY = np.array([400.0, 400.0, 200.0, 100.0, 300.0, 400.0])


def test_a_plan_saves_the_share_that_its_forecast_finds() -> None:
    forecast = np.array([[400.0, 400.0, 100.0, 200.0, 300.0, 400.0]])  # takes the second best hour
    found = outcome(DAY, forecast, np.array([0]), job_steps=1, slack_steps=5)
    assert (found.immediate_g, found.planned_g, found.best_g) == (400.0, 200.0, 100.0)
    assert found.captured == pytest.approx(2 / 3)
    assert (found.saved, found.possible) == (0.5, 0.75)


def test_an_interruptible_job_takes_the_cheapest_hours_apart() -> None:
    real = np.array([300.0, 100.0, 300.0, 100.0])
    together = outcome(real, real[None], np.array([0]), job_steps=2, slack_steps=2)
    apart = outcome(real, real[None], np.array([0]), job_steps=2, slack_steps=2, interruptible=True)
    assert (together.best_g, apart.best_g) == (200.0, 100.0)


def test_a_flat_forecast_starts_at_once_whatever_the_rounding() -> None:
    flat = np.full((1, 96), 0.1)
    real = np.arange(96.0)[::-1]
    for interruptible in (False, True):
        found = outcome(real, flat, np.array([0]), job_steps=7, slack_steps=80, interruptible=interruptible)
        assert found.captured == 0


def test_a_day_that_repeats_itself_offers_a_24_hour_job_nothing() -> None:
    shape = 300 + 100 * np.sin(np.arange(96) * 2 * np.pi / 24)
    real = np.random.default_rng(1).uniform(50, 500, 96)
    assert outcome(real, shape[None], np.array([0]), job_steps=24, slack_steps=24).captured == 0


def test_each_submission_has_the_forecast_of_its_own_moment() -> None:
    horizon = 3
    issued = np.array([DAY[at : at + horizon] for at in range(4)])
    found = outcome(DAY, issued, np.arange(4), job_steps=1, slack_steps=2)
    assert found.submissions == 4
    assert (found.immediate_g, found.best_g) == (400 + 400 + 200 + 100, 200 + 100 + 100 + 100)
    assert found.captured == 1


def test_holes_leave_out_what_they_touch() -> None:
    real = DAY.copy()
    real[4] = np.nan
    rows = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [3.0, 2.0, 1.0]])
    mask = usable(real, rows, np.array([0, 0, 2]), job_steps=1, slack_steps=1, arrivals=(0, 1, 2))
    assert mask.tolist() == [[True, True, True], [False, False, True], [True, False, False]]


def test_where_nothing_can_be_saved_nothing_is_captured() -> None:
    found = outcome(np.full(6, 50.0), np.arange(6.0)[None], np.array([0]), job_steps=2, slack_steps=4)
    assert found.captured is None
    assert Outcome(0.0, 0.0, 0.0).saved is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"actual": DAY[None]},
        {"issue_at": np.array([0, 1])},
        {"issue_at": np.array([-1])},
        {"issue_at": np.array([7])},
        {"job_steps": 0},
        {"slack_steps": -1},
        {"arrivals": ()},
        {"arrivals": (-1,)},
        {"valid": np.ones((2, 1), bool)},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    sound = {
        "actual": DAY,
        "predicted": DAY[None],
        "issue_at": np.array([0]),
        "job_steps": 1,
        "slack_steps": 1,
    }
    with pytest.raises(ForecastError):
        outcome(**(sound | wrong))  # type: ignore[arg-type]  # a dictionary of its arguments
