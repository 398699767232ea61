"""What every own forecast can do, and what it is given: a zone's past as known at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Intensities

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class WeatherIssues:
    """Weather forecasts as issued. `values[variable]` is (issues, leads); NaN where not known.

    `available_ms`: (issues,) when each could be used, which is later than the run that it is named after.
    Row i, column j holds the hour that starts at `start_ms[i] + j * HOUR_MS`.
    """

    start_ms: NDArray[np.int64]
    available_ms: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class History:
    """A zone's hourly past on the UTC grid that begins at `start_ms`; NaN in holes.

    Everything in it was known at `now_ms`: `gco2_per_kwh` (n,) and each `mw[fuel]` (n,) end with the last
    hour that had ended and been published by then. `latitude`, `longitude` in degrees; `timezone` IANA.
    """

    zone: str
    start_ms: int
    now_ms: int
    gco2_per_kwh: Intensities
    timezone: str
    latitude: float
    longitude: float
    mw: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    weather: WeatherIssues | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Hours ahead from `start_ms` on: mean, and 10 % and 90 % quantiles where there are any; (h,) each."""

    start_ms: int
    gco2_per_kwh: Intensities
    p10: Intensities | None = None
    p90: Intensities | None = None


class Forecaster(Protocol):
    """Predicts the hours that follow `history.now_ms` (from the hour that contains it on)."""

    @property
    def name(self) -> str:
        """For people: `7-day same-hour mean`, `gradient boosting`."""
        ...

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next `hours` hours; None where the past is too short or has too many holes."""
        ...
