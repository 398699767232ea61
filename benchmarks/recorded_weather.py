"""Zones with a recorded generation mix and weather forecasts as they were issued, for benchmarks."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.models.forecaster import HOUR_MS, History, WeatherIssues
from tidewatt.forecasting.series import Intensities
from tidewatt.forecasting.sun import clear_sky_w_m2
from tidewatt.forecasting.zones import zone as named

ZONES = ("BPAT", "CISO", "DE", "ERCO", "FPL", "ISNE", "NL", "NYIS", "PJM", "PL")
START = pd.Timestamp("2019-01-01", tz="UTC")
END = pd.Timestamp("2022-01-06", tz="UTC")
MIX = "production_mix_hourly_42zones_2019_2022.parquet"
WEATHER = "weather_forecasts_13zones_2019_2021.parquet"
VARIABLES = {
    "temp_k": "temperature_k",
    "dewpoint_k": "dew_point_k",
    "wind_ms": "wind_m_s",
    "dswrf_wm2": "short_wave_w_m2",
    "precip_mm3h": "precipitation_mm",
}
FUELS = {"nat_gas": "gas", "unknown": "other"}
ISSUED_ELSEWHERE_AS = {"NYIS": "NYISO"}
LEADS_H = 96
EVERY_H = 3
DAY_ROWS = 24 // EVERY_H
WRONG = (79, 82)  # leads whose sums are right, but not what each of them got
MEANS = ("dswrf_wm2", "precip_mm3h")  # of three hours; the others are of their middle


def history(data: Path, zone: str, late_h: int = 0) -> History:
    """The whole past of a zone, with weather that is available `late_h` hours after its run."""
    place = named(zone)
    hours = pd.date_range(START, END, freq="h", inclusive="left")
    frame = pd.read_parquet(data / MIX, filters=[("zone", "==", zone)]).set_index("ts").reindex(hours)
    mw: dict[str, Intensities] = {}
    for column in frame.columns[frame.columns.str.startswith("mw_")]:
        power = frame[column].to_numpy(np.float64)
        if not np.isnan(power).all():
            fuel = column.removeprefix("mw_")
            fuel = FUELS.get(fuel, fuel)
            mw[fuel] = mw[fuel] + np.nan_to_num(power) if fuel in mw else power
    return History(
        zone=zone,
        start_ms=_ms(START),
        now_ms=_ms(END),
        gco2_per_kwh=frame.ci_lifecycle.to_numpy(np.float64),
        timezone=place.timezone,
        latitude=place.latitude,
        longitude=place.longitude,
        mw=mw,
        weather=_weather(data, zone, place.latitude, place.longitude, late_h),
    )


def _weather(data: Path, zone: str, latitude: float, longitude: float, late_h: int) -> WeatherIssues:
    name = ISSUED_ELSEWHERE_AS.get(zone, zone)
    frame = pd.read_parquet(data / WEATHER, filters=[("zone", "==", name)])
    tables = {
        column: frame.pivot(index="issue_time", columns="horizon_h", values=column) for column in VARIABLES
    }
    start_ms = np.array(tables["temp_k"].index, "datetime64[ms]").astype(np.int64)
    values = {}
    for column, table in tables.items():
        said = table.to_numpy(np.float64).copy()
        if column in MEANS:
            _repair(said, np.searchsorted(table.columns.to_numpy(), WRONG))
        values[VARIABLES[column]] = _hourly(said, table.columns.to_numpy(np.float64))
    sun = "short_wave_w_m2"
    middle_ms = start_ms[:, None] + HOUR_MS * np.arange(LEADS_H) + HOUR_MS // 2
    clear = clear_sky_w_m2(latitude, longitude, middle_ms.ravel()).reshape(middle_ms.shape)
    values[sun] = _by_clear_sky(values[sun][:, 1::EVERY_H], clear)
    return WeatherIssues(start_ms, start_ms + late_h * HOUR_MS, values)


def _repair(said: Intensities, wrong: NDArray[np.intp]) -> None:
    """Divides the sum of the two wrong leads as the day before has it; where it was lost takes that day."""
    first, second = wrong
    total = said[:, first] + said[:, second]
    before = said[:, [first - DAY_ROWS, second - DAY_ROWS]]
    usual = before.sum(axis=1)
    share = np.where(usual > 0, before[:, 0] / np.where(usual > 0, usual, 1.0), 0.5)
    lost = said[:, second] <= 0
    said[:, first] = np.where(lost, before[:, 0], total * share)
    said[:, second] = np.where(lost, before[:, 1], total * (1 - share))


def _hourly(said: Intensities, leads_h: NDArray[np.float64]) -> Intensities:
    """Straight lines between the leads that there are."""
    return np.stack([np.interp(np.arange(LEADS_H), leads_h, row) for row in said])


def _by_clear_sky(mean_w_m2: Intensities, clear_w_m2: Intensities) -> Intensities:
    """Three-hourly means (issues, leads / 3) on hours, as a cloudless sky divides them."""
    clear = clear_w_m2.reshape(len(clear_w_m2), -1, EVERY_H)
    usual = clear.mean(axis=2)
    day = usual > 5
    share = np.clip(mean_w_m2 / np.where(day, usual, 1.0), 0, 1.3)
    parts = np.where(day[..., None], share[..., None] * clear, mean_w_m2[..., None])
    return np.asarray(parts.reshape(clear_w_m2.shape), float)


def _ms(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)
