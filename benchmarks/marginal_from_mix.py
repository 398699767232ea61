"""How well the marginal intensity modelled from a generation mix does where something can be held against it.

    python benchmarks/marginal_from_mix.py [DATA]

Twice. First, on months that the table was not made from (2021-07 on): how much of the hourly changes of the
emissions of what is dispatched the table foretells from the changes of its generation, against one slope for
the zone and against the average intensity of the hour before: R2, and the mean absolute error as a share of
the mean absolute change. Then, in California, 2019-05 to 2020-12, against a marginal signal built by others
from prices and emissions of plants: the correlation by hour, and how much of what a perfect forecast of that
signal would save is captured by plans made with the profile modelled from 2021 and 2022, with what is
modelled from the hours' own mix, which no plan could have had, and with the profile of the average intensity,
from the same years. DATA holds `production_mix_hourly_42zones_2019_2022.parquet` and
`marginal_5min_california_2019_2020.parquet`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tidewatt.forecasting.backtest.capture import outcome
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import GCO2_PER_KWH, intensity
from tidewatt.forecasting.modelled_marginal import HOUR_MS, MarginalTable, followed, series, usual
from tidewatt.forecasting.models.slots import resampled
from tidewatt.forecasting.series import Intensities, Steps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "forecasting"))
from scripts.modelled_marginals import Mix, mixes  # noqa: E402  # scripts are no part of the package

from benchmarks.results import Row, keep  # noqa: E402  # benchmarks are no package that is installed

CALIFORNIA = "US-CAL-CISO"
SIGNAL = "marginal_5min_california_2019_2020.parquet"
HELD_OUT = pd.Timestamp("2021-07-01", tz="UTC")
LATER = pd.Timestamp("2021-01-01", tz="UTC")
JOBS_H = (1, 4, 12)
SLACK_H = 24


def foretold(mix: Mix) -> dict[str, tuple[float, float]] | None:
    """R2 and relative error on the held-out months, by what foretells; None where nothing is said."""
    at = mix.hours_to(HELD_OUT)
    table = mix.part(0, at).table()
    if table is None:
        return None
    before, after = mix.part(0, at), mix.part(at - 1)
    said, was = followed(table, after.mw, after.start_ms)
    more = _change(_follows(table, after))
    slope_of, factors = _change(_follows(table, before)), GCO2_PER_KWH[Basis.LIFECYCLE]
    kg = _change(np.sum([factors[fuel] * _power(before, fuel) for fuel in table.share], axis=0))
    slope = float(np.nansum(kg * slope_of) / np.nansum(slope_of**2))
    average = np.append(np.nan, intensity(after.mw, Basis.LIFECYCLE)[:-1])
    good = ~np.isnan(said + was + average * more)
    return {
        name: _scores(was[good], values[good])
        for name, values in (("table", said), ("one slope", slope * more), ("average", average * more))
    }


def california(mix: Mix, data: Path) -> dict[str, dict[str, list[float]]]:
    """For each zone of the signal and each contender: correlation, then captured saving by job length."""
    later = mix.part(mix.hours_to(LATER))
    table = later.table()
    assert table is not None, "California burns gas"
    frame = pd.read_parquet(data / SIGNAL)
    found: dict[str, dict[str, list[float]]] = {}
    for zone, rows in frame.groupby("zone", observed=True):
        actual = rows.set_index("ts").gco2_per_kwh.sort_index().resample("h").mean().to_numpy(np.float64)
        first_ms = int(rows.ts.min().timestamp() * 1000)
        start = first_ms + HOUR_MS * np.arange(len(actual), dtype=np.int64)
        hours = mix.part(int((first_ms - mix.start_ms) // HOUR_MS))
        predicted = {
            "profile, modelled marginal": usual(table.usual, start, mix.timezone),
            "the hours' own mix, modelled marginal": _filled(
                series(table, hours.mw, hours.start_ms), first_ms, len(start)
            ),
            "profile of the average intensity": usual(_average(later), start, mix.timezone),
        }
        found[str(zone)] = {name: _judged(actual, values) for name, values in predicted.items()}
    return found


def main(data: Path) -> int:
    """Prints both tables, and keeps the figures."""
    print(f"{'held-out changes, R2 and relative error':<42}{'table':>14}{'one slope':>14}{'average':>14}")
    better, judged, here = 0, 0, None
    for mix in mixes(data):
        here = mix if mix.zone == CALIFORNIA else here
        scores = foretold(mix)
        if scores is None:
            print(f"{mix.zone:<42}{'nothing is said':>28}")
            continue
        judged += 1
        better += scores["table"][0] > scores["average"][0]
        print(f"{mix.zone:<42}" + "".join(f"{r2:>8.3f}{off:>6.2f}" for r2, off in scores.values()))
    print(f"better than the average intensity in {better} of {judged} zones")
    assert here is not None, "the file holds California"
    rows = [
        Row(
            "changes of emissions, 2021-07 on, zones of which the modelled marginal says something",
            "average intensity of the hour before",
            "for information",
            f"higher R2 in {better} of {judged} zones",
            None,
        )
    ]
    print(f"\n{'California':<58}{'corr.':>8}" + "".join(f"{job:>7} h" for job in JOBS_H))
    for zone, contenders in california(here, data).items():
        for name, (correlation, *shares) in contenders.items():
            print(f"{zone + ': ' + name:<58}{correlation:>8.2f}" + "".join(f"{s:>9.1%}" for s in shares))
            said = f"correlation {correlation:.2f}; " + ", ".join(f"{share:.0%}" for share in shares)
            rows.append(
                Row(f"{zone}, plans judged by the signal of others", name, "for information", said, None)
            )
    keep("marginal_from_mix", rows, "benchmarks/marginal_from_mix.py")
    return 0


def _judged(actual: Intensities, predicted: Intensities) -> list[float]:
    good = ~np.isnan(actual + predicted)
    moments = np.arange(len(actual) - SLACK_H - max(JOBS_H))
    ahead = predicted[moments[:, None] + np.arange(SLACK_H + max(JOBS_H))]
    shares = [outcome(actual, ahead, moments, job_steps=job, slack_steps=SLACK_H).captured for job in JOBS_H]
    return [float(np.corrcoef(actual[good], predicted[good])[0, 1]), *(share or 0.0 for share in shares)]


def _scores(was: Intensities, said: Intensities) -> tuple[float, float]:
    r2 = 1 - float(((was - said) ** 2).sum() / (was**2).sum())
    return r2, float(np.abs(was - said).mean() / np.abs(was).mean())


def _average(mix: Mix) -> Intensities:
    """Mean average intensity by season and local hour, as the marginal one has it."""
    values = intensity(mix.mw, Basis.LIFECYCLE)
    start = pd.to_datetime(mix.start_ms + HOUR_MS * np.arange(len(values)), unit="ms", utc=True)
    local = start.tz_convert(mix.timezone)
    groups = pd.Series(values).groupby([local.month % 12 // 3, local.hour]).mean()
    return np.asarray(groups.to_numpy(np.float64).reshape(4, 24))


def _filled(steps: Steps, first_ms: int, count: int) -> Intensities:
    return resampled(steps, first_ms, HOUR_MS, count)


def _follows(table: MarginalTable, mix: Mix) -> Intensities:
    return np.asarray(np.sum([_power(mix, fuel) for fuel in table.share], axis=0), float)


def _power(mix: Mix, fuel: str) -> Intensities:
    return np.nan_to_num(np.maximum(mix.mw[fuel], 0.0))


def _change(values: Intensities) -> Intensities:
    return np.append(np.nan, np.diff(values))


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    sys.exit(main(given))
