"""Pasts of an invented zone, and small models trained on them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.trained import Model
from tidewatt.forecasting.models.training import Recipe, trained

START_MS = 1_640_995_200_000  # 2022-01-01, a Saturday
DAY_H = 24
QUICK = Recipe(every_h=11, sampled=4, trees=6, leaves=5, leaf_rows=10)
ZONE = "US-NE-ISNE"
QUANTITY = "average lifecycle CO2eq, production"


def values(hours: int, seed: int = 1) -> NDArray[np.float64]:
    """Intensity with a day, weekends, weather of a few days and noise; gCO2/kWh."""
    at = np.arange(hours)
    random = np.random.default_rng(seed)
    drift = np.convolve(random.normal(size=hours + 72), np.ones(72) / 72, "valid")[:hours]
    day = 80 * np.sin(2 * np.pi * (at - 3) / DAY_H)
    weekend = np.where(at // DAY_H % 7 < 2, -40.0, 0.0)
    return np.asarray(300 + day + weekend + 400 * drift + 10 * random.normal(size=hours), float)


def past(hours: int, *, seed: int = 1, mixed: bool = False, known_h: int | None = None) -> History:
    """The past of the zone as known after `known_h` hours, by default after all of them."""
    now_ms = START_MS + HOUR_MS * (hours if known_h is None else known_h)
    mw = {"gas": 2 * values(hours, seed), "wind": 1000 - values(hours, seed)} if mixed else {}
    return History(ZONE, START_MS, now_ms, values(hours, seed), "America/New_York", 42.3, -71.8, mw)


@cache
def small(days: int = 80, *, mixed: bool = False) -> Model:
    """A model trained on that many days, in a second."""
    model = trained(past(days * DAY_H, mixed=mixed), QUICK, QUANTITY)
    assert model is not None
    return model
