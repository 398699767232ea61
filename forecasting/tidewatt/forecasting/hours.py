"""Steps of any length on full hours."""

from typing import Final

import numpy as np

from tidewatt.forecasting.series import Intensities, Steps

HOUR_MS: Final = 3_600_000
COVERED = 0.5  # share of an hour that must have been observed before it has a value


def hourly(steps: Steps, start_ms: int, hours: int) -> Intensities:
    """Mean gCO2/kWh of each hour from `start_ms` on, by time; NaN where less than half of it was covered."""
    if not len(steps.start_ms):
        return np.full(hours, np.nan)
    edges_ms = np.column_stack([steps.start_ms, steps.end_ms]).ravel()
    width_ms = np.diff(edges_ms)
    width_ms[1::2] = 0  # between two steps nothing is known, or nothing lies
    value = np.repeat(steps.gco2_per_kwh, 2)[:-1]
    grid_ms = start_ms + HOUR_MS * np.arange(hours + 1)
    grams = np.diff(np.interp(grid_ms, edges_ms, np.append(0.0, np.cumsum(width_ms * value))))
    covered_ms = np.diff(np.interp(grid_ms, edges_ms, np.append(0.0, np.cumsum(width_ms))))
    known = covered_ms >= COVERED * HOUR_MS
    return np.where(known, grams / np.where(known, covered_ms, 1.0), np.nan)
