"""What plans made with modelled profiles capture of a perfect forecast's saving, in countries of the world.

    python benchmarks/profile_world.py [DATA]

Judged on 2023 of every country of the 121-zone file that has no built-in profile of its own. Those below
100 g/kWh are listed, but left out of the goals: little can be saved there. A job is submitted at every full
hour of the year, runs contiguously, may start at any full hour of the next 24 and draws constant power.
Captured is, over all submissions of a country, what the profile's starts save against starting at once,
divided by what the best starts save; submissions with hours that are not known are left out.

Nothing is fitted on this file: the behaviour of grids is fitted on the 42 openly licensed zones. Beside it, a
quick ridge regression on the same 42 zones, of shares x (sun, harmonics of the day); and, inside the 42, each
zone modelled by zones more than 1,000 km away. Exits with 1 where a goal is missed. DATA holds
`average_hourly_121zones_2021_2023.parquet` (consumption; the profiles are of production),
`production_mix_hourly_42zones_2019_2022.parquet`.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tidewatt.forecasting.dispatch import Place, shape, sunshine, within_days
from tidewatt.forecasting.modelled_profile import generations, modelled
from tidewatt.forecasting.profile import MEAN, hourly, profile
from tidewatt.forecasting.series import Intensities, Milliseconds
from tidewatt.forecasting.zones import keyed

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "forecasting")]
from scripts import modelled_profiles, profile_tables  # noqa: E402  # fit what ships; no part of the package
from scripts.modelled_profiles import Known  # noqa: E402

from benchmarks.results import Row, keep  # noqa: E402

WORLD = "average_hourly_121zones_2021_2023.parquet"
YEAR = pd.date_range("2023-01-01", "2024-01-01", freq="h", inclusive="left", tz="UTC")
SLACK_H = 24
DURATIONS_H = (4, 12)
GOALS = {4: 0.65, 12: 0.57}  # median over countries; the worst decile above 0
WORTH_G = 100.0  # gCO2/kWh: below it a country is listed, but no goal is set on it
RIDGE = 1e-3  # of the quick ridge, for each row


@dataclass(frozen=True, slots=True)
class Judged:
    """Hours of a zone as they were; NaN where nothing is known."""

    start_ms: Milliseconds
    actual: Intensities
    timezone: str

    def captured(self, table: Intensities) -> list[float]:
        """What a table (12, 2, 24) obtains of a perfect saving, by duration; NaN where there is none."""
        expected = hourly(table[..., None], self.start_ms, self.timezone)[:, 0]
        return [_captured(self.actual, expected, duration_h) for duration_h in DURATIONS_H]


def _captured(actual: Intensities, expected: Intensities, duration_h: int) -> float:
    real, planned = _windows(actual, duration_h), _windows(expected, duration_h)
    known = np.isfinite(real).all(axis=1)
    real, starts = real[known], planned[known].argmin(axis=1)
    perfect = float((real[:, 0] - real.min(axis=1)).sum())
    obtained = float((real[:, 0] - real[np.arange(len(real)), starts]).sum())
    return obtained / perfect if perfect > 0 else float("nan")


def _windows(hours: Intensities, duration_h: int) -> Intensities:
    """Mean intensity of each choice: (submissions, starts 0 to 24 h later)."""
    means = sliding_window_view(hours, duration_h).mean(axis=1)
    return sliding_window_view(means, SLACK_H + 1)


def countries(data: Path) -> dict[str, Judged]:
    """2023 of each country of the file that has no built-in profile of its own."""
    year = [("ts", ">=", YEAR[0]), ("ts", "<=", YEAR[-1])]
    frame = pd.read_parquet(data / WORLD, columns=["zone", "ts", "ci_lifecycle"], filters=year)
    found = {}
    for name, rows in frame.groupby("zone", observed=True):
        place = keyed(str(name))
        usual = profile(str(name))
        if place is None or usual is None or place.key != place.country:
            continue
        if usual.modelled or usual.flat:
            values = rows.set_index("ts").ci_lifecycle.astype("float64").reindex(YEAR)
            start_ms = YEAR.as_unit("ms").asi8.astype(np.int64)
            found[place.key] = Judged(start_ms, np.array(values, np.float64), place.timezone)
    return dict(sorted(found.items()))


def modelled_table(key: str) -> Intensities:
    """Hours of the shipped profile, or flat ones."""
    found = modelled(key)
    return np.ones((12, 2, 24)) if found is None or found.table is None else found.table[..., MEAN]


def quick_ridge(zones: Sequence[Known]) -> NDArray[np.float64]:
    """Factors of deviations within days on shares x (sun, harmonics), of what the quick ridge learns from."""
    x = np.concatenate([_terms(each.shares, each.place).reshape(12 * 2 * 24, -1) for each in zones])
    y = np.concatenate([within_days(each.profile[..., MEAN]).ravel() for each in zones])
    return np.asarray(np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y), float)


def _terms(shares: Mapping[str, float], place: Place) -> Intensities:
    """Columns (12, 2, 24, n)."""
    turn = 2 * np.pi * (np.arange(24) + 0.5) / 24
    waves = [wave(k * turn) for k in (1, 2, 3) for wave in (np.sin, np.cos)]
    moves = np.stack([sunshine(place), *(np.broadcast_to(wave, (12, 24)) for wave in waves)], -1)
    moves = moves - moves.mean(axis=1, keepdims=True)
    mix = np.array([1.0, *(shares.get(fuel, 0.0) for fuel in modelled_profiles.FUELS)])
    columns = (mix[:, None] * moves[..., None, :]).reshape(12, 1, 24, -1)
    return np.broadcast_to(columns, (12, 2, 24, columns.shape[-1]))


def ridge_table(key: str, factors: NDArray[np.float64]) -> Intensities:
    """Hours of a country by the quick ridge."""
    place = keyed(key)
    assert place is not None
    at = Place(place.latitude, place.longitude, place.timezone)
    return np.asarray(1 + _terms(generations()[key].shares, at) @ factors, float)


def held_out(data: Path, zones: Sequence[Known]) -> Iterator[tuple[str, list[float]]]:
    """Inside the 42 zones: what each captures, modelled by zones far from it, over all of its hours."""
    series = {key: profile_tables.clean(rows) for key, _, rows in profile_tables.zone_frames(data)}
    for each in zones:
        own = series[each.key]
        hours = pd.date_range(own.index[0], own.index[-1], freq="h")
        actual = np.array(own.reindex(hours), np.float64)
        judged = Judged(hours.as_unit("ms").asi8.astype(np.int64), actual, each.place.timezone)
        fitted = modelled_profiles.fitted(modelled_profiles.apart(list(zones), each.place))
        yield each.key, judged.captured(shape(each.shares, each.place, fitted)[..., MEAN])


def summary(label: str, shares: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Median and worst decile by duration, printed on the way."""
    table = np.array([row for row in shares if np.isfinite(row).all()])
    found = [(float(np.median(column)), float(np.quantile(column, 0.1))) for column in table.T]
    cells = "  ".join(
        f"{d:>2} h: median {m:6.1%}, worst decile {w:6.1%}"
        for d, (m, w) in zip(DURATIONS_H, found, strict=True)
    )
    print(f"{label:<58} {len(table):>3}  {cells}")
    return found


def main(data: Path) -> int:
    """Prints the tables; 1 where a goal is missed."""
    judged, zones = countries(data), modelled_profiles.known(data)
    factors = quick_ridge(zones)
    ours = {key: each.captured(modelled_table(key)) for key, each in judged.items()}
    ridge = {key: each.captured(ridge_table(key, factors)) for key, each in judged.items()}
    print("country  g/kWh  " + "".join(f"{d:>4} h: modelled  ridge " for d in DURATIONS_H))
    for key, each in judged.items():
        cells = "".join(f"{a:>14.1%} {b:>7.1%}" for a, b in zip(ours[key], ridge[key], strict=True))
        print(f"{key:<8}{np.nanmean(each.actual):>6.0f}  {cells}")
    print()
    worth = [key for key, each in judged.items() if np.nanmean(each.actual) >= WORTH_G]
    reached = summary(f"modelled, countries of {WORTH_G:.0f} g/kWh and more", [ours[key] for key in worth])
    quick = summary("quick ridge, the same countries", [ridge[key] for key in worth])
    every = summary("modelled, all countries without a built-in profile", list(ours.values()))
    summary("quick ridge, the same countries", list(ridge.values()))
    summary("modelled by zones > 1,000 km away, the 42 zones", [row for _, row in held_out(data, zones)])
    met = all(m >= GOALS[d] and w > 0 for d, (m, w) in zip(DURATIONS_H, reached, strict=True))
    _keep(len(worth), len(judged), reached, quick, every, met)
    return int(not met)


def _keep(
    worth: int,
    judged: int,
    reached: list[tuple[float, float]],
    quick: list[tuple[float, float]],
    every: list[tuple[float, float]],
    met: bool,
) -> None:
    def words(found: list[tuple[float, float]]) -> str:
        (four, low4), (twelve, low12) = found
        return f"{four:.0%} and {twelve:.0%}, worst decile {low4:.0%} and {low12:.0%}"

    row = Row(
        f"modelled profiles, {worth} countries of the 121-zone file of 100 g/kWh and more, 2023",
        f"flat (0 %); a quick ridge on shares x sun x harmonics: {words(quick)}",
        "captured by 4 and 12 h jobs: 65 % and 57 % (median), worst decile above 0",
        f"{words(reached)}; all {judged} countries: {words(every)}",
        met,
    )
    keep("profile_world", [row], "benchmarks/profile_world.py")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    sys.exit(main(given))
