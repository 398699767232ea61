"""Pasts and forecasters for tests of backtests."""

from dataclasses import dataclass, field, replace

import numpy as np

from tidewatt.forecasting.backtest.past import Past
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, Prediction, WeatherIssues
from tidewatt.forecasting.series import Intensities, Steps, stepped

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
T0_MS = 1_772_409_600_000  # 2026-03-02 00:00Z, a Monday
DAY_H = 24
QUARTER_MS = HOUR_MS // 4


def shape(hours: int) -> Intensities:
    """A daily shape, cleanest at noon, on a level that wanders."""
    hour = np.arange(hours)
    return np.asarray(300 + 100 * np.cos(2 * np.pi * hour / DAY_H) + 40 * np.sin(hour / 61))


def history(values: Intensities, *, weather: WeatherIssues | None = None, zone: str = "DE") -> History:
    """A zone's past from Monday on."""
    end_ms = T0_MS + len(values) * HOUR_MS
    mw = {"wind": np.arange(float(len(values)))}
    return History(zone, T0_MS, end_ms, values, "Europe/Berlin", 51.0, 10.0, mw, weather)


def past(values: Intensities) -> Past:
    """The same, as backtests take it."""
    return Past(history(values), KIND, "test")


def quarters(values: list[float], first: int = 0) -> Steps:
    """Quarters of an hour; NaN is a hole."""
    start_ms = T0_MS + QUARTER_MS * np.arange(first, first + len(values), dtype=np.int64)
    known = ~np.isnan(values)
    return stepped(start_ms[known], start_ms[known] + QUARTER_MS, np.array(values)[known])


@dataclass
class Repeating:
    """The last day again and again, with a band of 10 g; remembers what it was shown."""

    name: str = "the last day"
    needs_h: int = DAY_H
    band: bool = False
    shown: list[History] = field(default_factory=list)

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None for a past of less than a day."""
        self.shown.append(history)
        if len(history.gco2_per_kwh) < self.needs_h:
            return None
        start_ms = history.now_ms // HOUR_MS * HOUR_MS
        late = (start_ms - history.start_ms) // HOUR_MS - len(history.gco2_per_kwh)
        values = np.resize(history.gco2_per_kwh[-DAY_H:], hours + late)[late:]
        made = Prediction(start_ms, values)
        return replace(made, p10=values - 10, p90=values + 10) if self.band else made
