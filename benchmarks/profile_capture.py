"""What a plan made with the built-in profile captures of what a perfect forecast would save.

    python benchmarks/profile_capture.py [DATA]

The profile is fitted by the shipped script on what lies before 2022-07 and judged on 2022-07-01..12-31 of
the nine zones that have data then. A job is submitted at every full hour of that half-year that leaves room
for it; it runs contiguously, may start at any full hour of the next 24, and draws constant power. Captured
is, over all submissions of a zone, what the profile's starts save against starting at once, divided by what
the best starts save. Exits with 1 where a median over the zones falls short of its goal. DATA holds
`production_mix_hourly_42zones_2019_2022.parquet`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tidewatt.forecasting.profile import MEAN, hourly
from tidewatt.forecasting.series import Intensities

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "forecasting"))
from scripts import profile_tables  # noqa: E402  # fits what is shipped; it is no part of the package

START = pd.Timestamp("2022-07-01", tz="UTC")
END = pd.Timestamp("2023-01-01", tz="UTC")
SLACK_H = 24
GOALS = {4: 0.70, 12: 0.53}  # median over zones, by job length in hours


def judged(data: Path) -> dict[str, tuple[Intensities, Intensities]]:
    """Actual and predicted hours of the half-year, by zone."""
    pairs = {}
    for key, timezone, frame in profile_tables.zone_frames(data):
        if frame.ts.max() >= END:
            table = profile_tables.fitted(profile_tables.clean(frame[frame.ts < START]), timezone)
            series = frame.set_index("ts").ci_lifecycle.astype("float64").sort_index()
            hours = pd.date_range(START, END, freq="h", inclusive="left")
            actual = np.array(series.reindex(hours), dtype=np.float64)
            if np.isnan(actual).any():
                raise SystemExit(f"{key} has holes in the half-year that is judged")
            start_ms = hours.as_unit("ms").asi8.astype(np.int64)
            pairs[key] = (actual, hourly(table, start_ms, timezone)[:, MEAN])
    return pairs


def windows(hourly_values: Intensities, duration_h: int) -> Intensities:
    """Mean intensity of each choice: (submissions, starts 0 to 24 h later)."""
    sums = np.append(0.0, np.cumsum(hourly_values))
    means: NDArray[np.float64] = (sums[duration_h:] - sums[:-duration_h]) / duration_h
    return sliding_window_view(means, SLACK_H + 1)


def savings(actual: Intensities, predicted: Intensities, duration_h: int) -> tuple[float, float]:
    """Share of immediate emissions that plans save: with the prediction, and with a perfect forecast."""
    real, expected = windows(actual, duration_h), windows(predicted, duration_h)
    immediate = real[:, 0].sum()
    planned = real[np.arange(len(real)), expected.argmin(axis=1)].sum()
    return float(1 - planned / immediate), float(1 - real.min(axis=1).sum() / immediate)


def main(data: Path) -> int:
    """Prints the table; 1 where a goal is missed."""
    pairs = judged(data)
    captured: dict[int, list[float]] = {duration_h: [] for duration_h in GOALS}
    print(f"{'zone':<14}" + "".join(f"{d:>4} h: saved  perfect  captured" for d in GOALS))
    for key, (actual, predicted) in sorted(pairs.items()):
        cells = ""
        for duration_h, shares in captured.items():
            saved, perfect = savings(actual, predicted, duration_h)
            shares.append(saved / perfect)
            cells += f"{saved:>11.1%} {perfect:>8.1%} {saved / perfect:>9.1%}  "
        print(f"{key:<14}{cells}")
    medians = {duration_h: float(np.median(shares)) for duration_h, shares in captured.items()}
    for duration_h, median in medians.items():
        print(f"median captured, {duration_h} h job: {median:.1%} (goal {GOALS[duration_h]:.0%})")
    return int(any(median < GOALS[duration_h] for duration_h, median in medians.items()))


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    sys.exit(main(given))
