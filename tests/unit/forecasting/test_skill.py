"""How much of what a source says comes true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.skill import CENTRES_H, EDGES_H, LEAST_DAYS, PRIOR, Floats, Skill, learn

HOURS = EDGES_H[-1]
NONE = np.zeros(len(PRIOR))
A_DAY = 8.0  # trials


def trials(many: int, share: float, noise: float = 0.0, seed: int = 1) -> tuple[Floats, Floats]:
    """Observed deviations that are a share of those told, and those."""
    random = np.random.default_rng(seed)
    told = random.normal(0, 100, (many, HOURS))
    return share * told + random.normal(0, noise, told.shape) if noise else share * told, told


def of_forecast(observed: Floats, told: Floats) -> Skill:
    seen = np.zeros_like(told)
    return learn(observed, [told, seen], [np.array(PRIOR), NONE], A_DAY)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_that_came_true_is_found_the_more_days_the_nearer(share: float) -> None:
    few, many = (of_forecast(*trials(round(days * A_DAY), share, 50)) for days in (4, 60))
    assert many.weight[:, 0] == pytest.approx(np.full(len(PRIOR), share), abs=0.06)
    if share < 1:
        assert (abs(few.weight[:, 0] - PRIOR) < abs(many.weight[:, 0] - PRIOR)).all()


def test_with_less_than_a_day_the_prior_stays_and_no_band_is_known() -> None:
    skill = of_forecast(*trials(round(LEAST_DAYS * A_DAY) - 1, 0.1))
    assert skill.weight[:, 0].tolist() == list(PRIOR)
    assert np.isnan(skill.low).all()
    assert np.isnan(skill.high).all()


def test_what_is_left_over_makes_the_band() -> None:
    skill = of_forecast(*trials(60 * 8, 0.5, 100))
    assert skill.low == pytest.approx(np.full(len(PRIOR), -128), rel=0.1)
    assert skill.high == pytest.approx(np.full(len(PRIOR), 128), rel=0.1)


def test_a_source_that_always_tells_too_little_is_lifted() -> None:
    observed, told = trials(60 * 8, 1.0)
    assert of_forecast(observed + 30, told).offset == pytest.approx(np.full(len(PRIOR), 30), rel=0.1)


def test_hours_that_were_never_observed_are_believed_no_more_than_nearer_ones() -> None:
    observed, told = trials(60 * 8, 0.2)
    observed[:, 48:] = np.nan
    skill = of_forecast(observed, told)
    assert (skill.weight[-2:] == skill.weight[-3]).all()
    assert (skill.low[-2:] == skill.low[-3]).all()


def test_a_source_that_exaggerates_the_wrong_way_is_not_believed_at_all() -> None:
    assert of_forecast(*trials(60 * 8, -0.5, 10)).weight[:, 0].tolist() == [0.0] * len(PRIOR)


def test_of_two_witnesses_the_better_one_counts_more() -> None:
    random = np.random.default_rng(3)
    truth = random.normal(0, 100, (480, HOURS))
    good, bad, seen = (
        truth + random.normal(0, 30, truth.shape),
        truth + random.normal(0, 90, truth.shape),
        0 * truth,
    )
    skill = learn(truth, [bad, good, seen], [np.array(PRIOR), NONE, NONE], A_DAY)
    assert (skill.weight[:, 1] > 3 * skill.weight[:, 0]).all()


def test_between_the_centres_of_horizons_skill_changes_evenly() -> None:
    skill = of_forecast(*trials(60 * 8, 0.5, 20))
    weight, offset, low, high = skill.at(np.array([0.0, CENTRES_H[2], 27.0, 500.0]))
    assert weight[0, 0] == skill.weight[0, 0]
    assert weight[1, 0] == skill.weight[2, 0]
    assert min(skill.weight[4:6, 0]) <= weight[2, 0] <= max(skill.weight[4:6, 0])
    assert weight[3, 0] == skill.weight[-1, 0]
    assert len(offset) == len(low) == len(high) == 4


def test_witnesses_of_another_shape_are_refused() -> None:
    observed, told = trials(10, 1.0)
    with pytest.raises(ForecastError, match="as many trials and hours"):
        learn(observed, [told[:5], told], [NONE, NONE], A_DAY)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 3), st.integers(8, 60), st.floats(0, 500))
def test_weights_are_never_negative_and_a_forecasts_own_sum_to_1_at_most(
    seed: int, share: float, many: int, noise: float
) -> None:
    observed, told = trials(many, share, noise, seed)
    skill = learn(observed, [told, told[::-1], 0 * told, told], [np.array(PRIOR), NONE, NONE, NONE], A_DAY)
    assert (skill.weight >= 0).all()
    assert (skill.weight[:, :-1].sum(axis=1) <= 1 + 1e-9).all()
    assert (skill.low <= 0).all()
    assert (skill.high >= 0).all()


@pytest.mark.parametrize("wrong", [1e6, 1e200, -1e200])
def test_days_on_which_a_source_was_wrong_by_magnitudes_leave_no_trace_in_the_level(wrong: float) -> None:
    observed, told = trials(28 * 8, 1.0, 20)
    told[-16:] = wrong
    skill = of_forecast(observed, told)
    assert (abs(skill.offset) < 60).all()
    assert ((skill.weight >= 0) & (skill.weight <= 1)).all()
    assert (abs(skill.low) < 600).all()
    assert (abs(skill.high) < 600).all()


def test_a_source_that_was_only_ever_absurd_is_not_believed() -> None:
    observed, _ = trials(28 * 8, 1.0)
    random = np.random.default_rng(2)
    skill = of_forecast(observed, random.normal(0, 1e150, observed.shape))
    assert (skill.weight[:, 0] < 0.1).all()
    assert (abs(skill.offset) < 20).all()
