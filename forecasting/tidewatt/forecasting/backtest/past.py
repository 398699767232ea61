"""A zone's whole past on hours, from any provider; backtests cut it at each moment."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind, Signal
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import Intensities, Steps, instant, milliseconds
from tidewatt.forecasting.zones import zone as named

COVERED = 0.5  # share of an hour that must have been observed before it has a value


@dataclass(frozen=True, slots=True)
class Past:
    """All that is known of a zone, hourly, with the kind of intensity and where it is from."""

    history: History
    kind: str
    source: str


def past(provider: Provider, zone: str, kind: Kind, now: datetime) -> Past:
    """All hours of a kind that the provider had observed at `now`.

    Raises:
        ForecastError: it has none.
    """
    series = provider.observations(zone, kind, instant(0), now, now)
    steps = series.steps
    if not len(steps.start_ms):
        raise ForecastError(
            f"{provider.name} has no observations of {zone}, {kind}, before {now:%Y-%m-%d %H:%M}Z"
        )
    start_ms = int(steps.start_ms[0]) // HOUR_MS * HOUR_MS
    hours = -(-(int(steps.end_ms[-1]) - start_ms) // HOUR_MS)
    place = named(zone)
    history = History(
        zone=place.key,
        start_ms=start_ms,
        now_ms=milliseconds(now),
        gco2_per_kwh=hourly(steps, start_ms, hours),
        timezone=place.timezone,
        latitude=place.latitude,
        longitude=place.longitude,
    )
    return Past(history, str(kind), series.source)


def kind_of(provider: Provider, zone: str, signal: Signal) -> Kind:
    """The first kind of a signal that a provider has for a zone.

    Raises:
        ForecastError: it has none; the text says what it has.
    """
    kinds = provider.kinds(zone)
    for kind in kinds:
        if kind.signal is signal:
            return kind
    has = "; it has " + ", ".join(map(str, kinds)) if kinds else ""
    raise ForecastError(f"{provider.name} has no {signal} intensity of {zone}{has}")


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
