"""Writes the built-in profiles that the package carries: `python forecasting/scripts/profile_tables.py DATA`.

DATA is a folder with `production_mix_hourly_42zones_2019_2022.parquet` and `country_annual.csv`.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.zones import zone

OUT = Path(__file__).parent.parent / "tidewatt" / "forecasting" / "data"
MIX = "production_mix_hourly_42zones_2019_2022.parquet"
STATISTICS = ("mean", "p10", "p90")
# Chosen on 2021-01..2022-06, each half-year planned with what lay before it. The half-year that
# benchmarks/profile_capture.py shows was seen meanwhile, so it is not a blind test; of all settings tried,
# the lowest medians there were 69.7 % (4 h) and 53.7 % (12 h).
YEAR_WEIGHT = 0.25  # each year counts a quarter of the one after it
NEIGHBOUR_WEIGHT = 0.25  # the months before and after count a quarter each, the month itself half
# An hour, or a month against the same month of other years, below this share of what is usual is dirt.
COLLAPSE_MONTH = 0.3
COLLAPSE_HOUR = 0.05
LONGEST_STUCK_H = 72
SHAPED_HEADER = """\
# Usual carbon intensity of 42 grid zones: gCO2eq/kWh, average, lifecycle, production, by month, day (0 Monday
# to Friday, 1 weekend) and hour of local time; written by forecasting/scripts/profile_tables.py.
# Computed from hourly generation by source, 2019 to 2022, as prepared by CarbonCast (Apache-2.0) from EIA-930
# of the U.S. Energy Information Administration (public domain; zones US-*) and from the ENTSO-E Transparency
# Platform (free re-use with attribution; European zones). `years` are those that the zone's data cover.
"""
ANNUAL_HEADER = """\
# Annual average carbon intensity of countries: gCO2eq/kWh, lifecycle, production, the latest of 2021 to 2023
# (older where nothing newer is known); written by forecasting/scripts/profile_tables.py.
# Source: Our World in Data and Ember, CC BY 4.0, through the package codecarbon (MIT).
"""


@dataclass(frozen=True, slots=True)
class Hours:
    """Clean hours of one zone: local calendar, value, and weight by age."""

    slot: NDArray[np.int64]  # (month * 2 + weekend) * 24 + hour
    gco2_per_kwh: NDArray[np.float64]
    weight: NDArray[np.float64]


def clean(frame: "pd.DataFrame") -> "pd.Series[float]":
    """The lifecycle intensity of one zone by hour, without what cannot be true.

    Left out are hours with a direct intensity of zero in zones that burn something (a feed that delivered
    zeros), hours below a twentieth of the zone's median, values that stood still for more than three days in
    a zone that moves, and months far below the same months of other years (a fuel missing from the feed).
    """
    series = frame.set_index("ts").ci_lifecycle.astype("float64").sort_index()
    direct = frame.set_index("ts").ci_direct.sort_index()
    burns = (direct > 0).mean() > 0.5
    good = series.notna() & (series > COLLAPSE_HOUR * series.median())
    if burns:
        good &= direct > 0
    good &= ~_stuck(series)
    series = series[good]
    monthly = series.groupby([series.index.year, series.index.month]).mean()  # type: ignore[attr-defined]
    usual = monthly.groupby(level=1).transform("median")
    collapsed = set(monthly.index[monthly < COLLAPSE_MONTH * usual])
    calendar = zip(series.index.year, series.index.month, strict=True)  # type: ignore[attr-defined]
    return series[[month not in collapsed for month in calendar]]


def _stuck(series: "pd.Series[float]") -> "pd.Series[bool]":
    """Hours in runs of one value longer than three days, unless that is how the zone is (one fuel only)."""
    run = (series != series.shift()).cumsum()
    stuck = run.map(run.value_counts()) > LONGEST_STUCK_H
    return stuck & (stuck.mean() < 0.5)


def hours(series: "pd.Series[float]", timezone: str) -> Hours:
    """The calendar slot and the weight of each hour, by whole years back from the last."""
    local = series.index.tz_convert(timezone)  # type: ignore[attr-defined]
    slot = ((local.month - 1) * 2 + (local.day_of_week >= 5)) * 24 + local.hour
    days_back = (series.index[-1] - series.index).days.to_numpy()
    weight = np.array(YEAR_WEIGHT ** (days_back // 365.25), dtype=np.float64)
    return Hours(slot.to_numpy(np.int64), np.array(series, dtype=np.float64), weight)


def fitted(series: "pd.Series[float]", timezone: str) -> NDArray[np.float64]:
    """The table (12, 2, 24, 3) of a zone: month, weekend, local hour; mean, p10, p90."""
    data = hours(series, timezone)
    order = np.argsort(data.slot, kind="stable")
    bounds = np.searchsorted(data.slot[order], np.arange(12 * 2 * 24 + 1))
    own = [(data.gco2_per_kwh[order[a:b]], data.weight[order[a:b]]) for a, b in pairwise(bounds.tolist())]
    table = np.full((12, 48, 3), np.nan)
    for month in range(12):
        for cell in range(48):
            table[month, cell] = _statistics([own[(month + d) % 12 * 48 + cell] for d in (-1, 0, 1)])
    return table.reshape(12, 2, 24, 3)


def _statistics(months: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float, float]:
    """Mean, p10 and p90 of a cell from the month before, the month and the month after."""
    shares = (NEIGHBOUR_WEIGHT, 1 - 2 * NEIGHBOUR_WEIGHT, NEIGHBOUR_WEIGHT)
    parts = [(v, share * w / w.sum()) for (v, w), share in zip(months, shares, strict=True) if len(v)]
    value = np.concatenate([v for v, _ in parts])
    weight = np.concatenate([w for _, w in parts])
    order = np.argsort(value)
    reached = np.cumsum(weight[order]) / weight.sum()
    p10, p90 = (float(value[order][np.searchsorted(reached, q)]) for q in (0.1, 0.9))
    return float(value @ weight / weight.sum()), p10, p90


def zone_frames(data: Path) -> Iterator[tuple[str, str, "pd.DataFrame"]]:
    """Zone key, time zone and rows of each zone of the mix file."""
    frame = pd.read_parquet(data / MIX, columns=["zone", "ts", "ci_direct", "ci_lifecycle"])
    for name, rows in frame.groupby("zone", observed=True):
        found = zone(str(name) if str(name) != "SC" else "eia:SC")
        yield found.key, found.timezone, rows


def write_shapes(data: Path, out: Path = OUT) -> None:
    """Writes `profiles.csv`."""
    with (out / "profiles.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(SHAPED_HEADER)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ["zone", "years", "month", "weekend", "statistic", *(f"h{hour:02}" for hour in range(24))]
        )
        for key, timezone, frame in sorted(zone_frames(data)):
            series = clean(frame)
            table = fitted(series, timezone)
            edge = pd.Timedelta(days=7)  # the files begin and end some hours into the next year
            years = f"{(series.index[0] + edge).year}-{(series.index[-1] - edge).year}"
            for month in range(12):
                for weekend in range(2):
                    for number, statistic in enumerate(STATISTICS):
                        values = (f"{v:.0f}" for v in table[month, weekend, :, number])
                        rows.writerow([key, years, month + 1, weekend, statistic, *values])


def write_annual(data: Path, out: Path = OUT) -> None:
    """Writes `annual_means.csv`."""
    with (
        (data / "country_annual.csv").open(encoding="utf-8") as source,
        (out / "annual_means.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        file.write(ANNUAL_HEADER)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["zone", "year", "gco2_per_kwh"])
        for row in csv.DictReader(source):
            rows.writerow(
                [zone(f"iso3:{row['iso3']}").key, row["year"], round(float(row["gco2_per_kwh"]), 1)]
            )


if __name__ == "__main__":
    write_shapes(Path(sys.argv[1]))
    write_annual(Path(sys.argv[1]))
