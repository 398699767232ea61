"""A line that may weigh features differently by the time of day."""

import numpy as np

from tidewatt.forecasting.models.linear import fit

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(4000, 3))
STRETCH = np.arange(4000) % 2
Z = 1 + 2 * X[:, 0] * (STRETCH == 0) - X[:, 1] * (STRETCH == 1)


def test_each_stretch_finds_its_own_weights() -> None:
    line = fit(X, Z, STRETCH, 2, 1.0)
    inside = np.abs(X).max(axis=1) < 3
    assert np.abs(line.predict(X, STRETCH) - Z)[inside].max() < 0.02


def test_a_strong_penalty_leaves_the_mean() -> None:
    line = fit(X, Z, STRETCH, 2, 1e9)
    assert np.allclose(line.predict(X, STRETCH), Z.mean(), atol=1e-3)


def test_what_is_not_known_counts_as_usual() -> None:
    line = fit(X + 7, Z, STRETCH, 2, 1.0)
    at_centre = line.predict(np.tile(line.centre, (2, 1)), np.array([0, 1]))
    assert np.allclose(line.predict(np.full((2, 3), np.nan), np.array([0, 1])), at_centre)


def test_a_feature_that_is_never_known_does_no_harm() -> None:
    x = X.copy()
    x[:, 2] = np.nan
    line = fit(x, Z, STRETCH, 2, 1.0)
    assert np.allclose(line.predict(x, STRETCH), fit(X[:, :2], Z, STRETCH, 2, 1.0).predict(X[:, :2], STRETCH))


def test_beyond_four_standard_deviations_nothing_is_extrapolated() -> None:
    line = fit(X, Z, STRETCH, 2, 1.0)
    far, farther = (np.array([[sigma, 0.0, 0.0]]) for sigma in (50.0, 5000.0))
    assert np.allclose(line.predict(far, np.array([0])), line.predict(farther, np.array([0])))
