"""A fast signal of an invented zone, what is issued of it, and a small model trained on both."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tidewatt.forecasting.models import continuation_training
from tidewatt.forecasting.models.continuation import Continuation
from tidewatt.forecasting.models.slots import DAY_MS, HOUR_MS, Issues, Signal, issues
from tidewatt.forecasting.series import Steps

START_MS = 1_640_995_200_000  # 2022-01-01, a Saturday
STEP_MS = HOUR_MS // 12
DAYS = 60
REACH_H = 3
PLACE = ("US-CAL-CISO", "America/Los_Angeles", 36.5, -119.5)


def values(days: int = DAYS, seed: int = 1) -> NDArray[np.float64]:
    """Cheap at night, at weekends by day, and off by a level that wanders for hours; often zero. gCO2/kWh."""
    at = np.arange(days * 288)
    random = np.random.default_rng(seed)
    hours = random.normal(0, 1, days * 24 + 24)
    drift = np.repeat(np.convolve(hours, np.exp(-np.arange(24) / 8), "valid")[: days * 24], 12)
    weekend = at // 288 % 7 < 2
    day = np.where(weekend, -1, 1) * 120 * np.cos(2 * np.pi * (at / 288 - 0.15))
    return np.asarray(np.maximum(180 + day + 45 * drift + random.normal(0, 15, len(at)), 0.0), float)


def signal(days: int = DAYS, seed: int = 1) -> Signal:
    """That as a signal."""
    zone, *place = PLACE
    return Signal(zone, START_MS, STEP_MS, values(days, seed), str(place[0]), 36.5, -119.5)


def issued(past: Signal, error: float = 20.0) -> Issues:
    """What comes in the next hours, roughly, issued at each full hour."""
    random = np.random.default_rng(7)
    moments = range(START_MS, START_MS + len(past.gco2_per_kwh) * STEP_MS - REACH_H * HOUR_MS, HOUR_MS)
    found = []
    for moment in moments:
        at = (moment - START_MS) // STEP_MS + np.arange(REACH_H * 12)
        start = START_MS + at * STEP_MS
        told = past.gco2_per_kwh[at] + random.normal(0, error, len(at))
        found.append((moment, Steps(start, start + STEP_MS, told)))
    return issues(found, past.slot_ms, REACH_H * 4)


@cache
def trained(days: int = 45, seed: int = 1) -> Continuation:
    """A model of the first days, made small to be quick."""
    past = signal(seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        model = continuation_training.train(past, issued(past), START_MS + days * DAY_MS)
    assert model is not None
    return model


def quick(patch: pytest.MonkeyPatch) -> None:
    """Fewer rows and trees: what is tested is the way, not the skill."""
    patch.setattr(continuation_training, "ROWS", 8_000)
    patch.setattr(continuation_training, "MEMBERS", 1)
    fewer = {**continuation_training.BOOSTING, "max_iter": 40, "learning_rate": 0.1, "min_samples_leaf": 60}
    patch.setattr(continuation_training, "BOOSTING", fewer)
