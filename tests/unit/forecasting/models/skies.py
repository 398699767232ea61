"""Weather of an invented zone, issued every day, and a zone whose wind turbines follow it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.unit.forecasting.models.pasts import DAY_H, START_MS, past
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, WeatherIssues

LEADS_H = 168
LATE_H = 5  # after the run that an issue is named after
DAY_MS = DAY_H * HOUR_MS


def wind_m_s(hours: int, seed: int = 7) -> NDArray[np.float64]:
    """Wind that rises and falls within days."""
    noise = np.random.default_rng(seed).normal(size=hours + 30)
    return np.asarray(5 + 12 * np.convolve(noise, np.ones(30) / 30, "valid")[:hours], float).clip(0)


def issues(days: int, *, late_h: int = LATE_H, **variables: NDArray[np.float64]) -> WeatherIssues:
    """Perfect forecasts of hourly variables, one issue a day."""
    start_ms = START_MS + DAY_MS * np.arange(days)
    index = DAY_H * np.arange(days)[:, None] + np.arange(LEADS_H)
    values = {name: np.asarray(hourly[index], float) for name, hourly in variables.items()}
    return WeatherIssues(start_ms, start_ms + late_h * HOUR_MS, values)


def windy(days: int, *, mixed: bool = False) -> History:
    """A zone of which a gust takes half of the intensity, with temperature, sun and wind as issued."""
    hours = days * DAY_H
    at = np.arange(hours + LEADS_H)
    wind = wind_m_s(len(at))
    sun = np.maximum(600 * np.sin(2 * np.pi * (at % DAY_H - 11) / DAY_H), 0)
    kelvin = 283 + 8 * np.sin(2 * np.pi * at / 900)
    weather = issues(days, wind_m_s=wind, temperature_k=kelvin, short_wave_w_m2=sun)
    whole = past(hours)
    gco2_per_kwh = 400 * np.exp(-0.07 * wind[:hours])
    mw = {"wind": 100 * wind[:hours], "gas": np.full(hours, 3000.0)} if mixed else {}
    return replace(whole, gco2_per_kwh=gco2_per_kwh, weather=weather, mw=mw)
