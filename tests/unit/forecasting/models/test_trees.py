"""Trees kept as arrays say what scikit-learn says."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from tidewatt.forecasting.models.trees import forest, joined


@pytest.fixture(scope="module")
def grown() -> tuple[list[HistGradientBoostingRegressor], np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 6))
    x[random.random(x.shape) < 0.2] = np.nan
    x[:, 5] = np.round(x[:, 5])
    z = np.nan_to_num(x[:, 0]) * np.where(np.isnan(x[:, 1]), 3, x[:, 1]) + random.normal(size=3000)
    losses = ("squared_error", "absolute_error")
    return [HistGradientBoostingRegressor(loss=loss, max_iter=30).fit(x, z) for loss in losses], x


def test_the_walk_through_arrays_equals_what_scikit_learn_predicts(
    grown: tuple[list[HistGradientBoostingRegressor], np.ndarray],
) -> None:
    estimators, x = grown
    for estimator in estimators:
        assert np.abs(forest(estimator).predict(x) - estimator.predict(x)).max() < 1e-9


def test_values_on_a_threshold_go_the_same_way(
    grown: tuple[list[HistGradientBoostingRegressor], np.ndarray],
) -> None:
    estimator, x = grown[0][0], grown[1][:200].copy()
    own = forest(estimator)
    x[:, 0] = np.resize(own.threshold[own.feature == 0], 200)
    assert np.abs(own.predict(x) - estimator.predict(x)).max() < 1e-9


def test_joined_forests_predict_their_mean(
    grown: tuple[list[HistGradientBoostingRegressor], np.ndarray],
) -> None:
    estimators, x = grown
    mean = np.mean([estimator.predict(x) for estimator in estimators], axis=0)
    assert np.abs(joined([forest(each) for each in estimators]).predict(x) - mean).max() < 1e-9


def test_no_rows_give_no_predictions(
    grown: tuple[list[HistGradientBoostingRegressor], np.ndarray],
) -> None:
    assert forest(grown[0][0]).predict(np.empty((0, 6))).shape == (0,)
