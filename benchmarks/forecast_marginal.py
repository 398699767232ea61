"""Captured saving of plans made with our forecast of a marginal signal, against simpler and issued ones.

    python benchmarks/forecast_marginal.py [DATA] [--once] [--every-hours N] [--zones ZONE ...]

Two zones of California, 5 min, 2020. At every full hour of the year (or every N) each contender says what
comes in the next 36 h from what had happened and been issued by then; a job of 1, 4 or 12 h is submitted at
that moment, runs contiguously and may start at any step of the next 24 h. Ours is trained on what lay before,
anew every 28 days as an installation would, first on 2019; with `--once` on 2019 alone. The issued forecast
names ten moments up to 180 min ahead; each value is held until the next one's moment, the last for half an
hour. Exits with 1 where ours has not the highest captured saving for each job length, over both zones. DATA
holds `marginal_5min_california_2019_2020.parquet` and `marginal_forecasts_california_2019_2020.parquet`: the
signal of California's Self-Generation Incentive Program, built by WattTime, CC BY 4.0.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.backtest.capture import Outcome, outcome, pooled
from tidewatt.forecasting.models import continuation_training
from tidewatt.forecasting.models.slots import DAY_MS, HOUR_MS, SLOT_MS, Issues, Signal, issues
from tidewatt.forecasting.series import Intensities, Milliseconds, Steps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.results import Row, keep  # noqa: E402  # benchmarks are no package that is installed

ACTUAL = "marginal_5min_california_2019_2020.parquet"
ISSUED = "marginal_forecasts_california_2019_2020.parquet"
PLACE = ("America/Los_Angeles", 36.5, -119.5)
STEP_MS = 300_000
REACH_MS = 210 * 60_000
JOBS_H = (1, 4, 12)
SLACK_H = 24
AHEAD = (SLACK_H + max(JOBS_H)) * HOUR_MS // STEP_MS
RETRAINED_DAYS = 28
OURS = "own model"
BEHIND = "issued, then own model"  # how much it is worth that ours sees the issue: no rival
START, END = pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC")


def observed(data: Path) -> Iterator[Signal]:
    """The signal of each zone."""
    frame = pd.read_parquet(data / ACTUAL)
    for zone, rows in frame.groupby("zone", observed=True):
        series = rows.set_index("ts").gco2_per_kwh.sort_index()
        start_ms = _ms(series.index[0])
        assert len(series) == (_ms(series.index[-1]) - start_ms) // STEP_MS + 1, f"{zone} has gaps"
        yield Signal(str(zone), start_ms, STEP_MS, series.to_numpy(np.float64), *PLACE)


def issued(data: Path, zone: str) -> list[tuple[int, Steps]]:
    """Each issue of a zone, its values held from their own moments on, the first from the issue on."""
    frame = (
        pd.read_parquet(data / ISSUED, filters=[("zone", "==", zone)]).set_index("issue_time").sort_index()
    )
    names = [name for name in frame.columns if name != "zone"]
    ahead_ms = np.array([int(name[1 : -len("min")]) * 60_000 for name in names], np.int64)
    starts = np.append(0, ahead_ms[1:])
    ends = np.append(ahead_ms[1:], REACH_MS)
    moments: list[int] = frame.index.as_unit("ms").asi8.tolist()  # type: ignore[attr-defined]
    values = frame[names].to_numpy(np.float64)
    return [(at, Steps(at + starts, at + ends, row)) for at, row in zip(moments, values, strict=True)]


def own(signal: Signal, issued: Issues, moments_ms: Milliseconds, once: bool) -> Intensities:
    """Our predictions, from models that were trained on what lay before each."""
    made = []
    first_ms = int(moments_ms[0])
    span_ms = 400 * DAY_MS if once else RETRAINED_DAYS * DAY_MS
    for at in range(first_ms, int(moments_ms[-1]) + 1, span_ms):
        model = continuation_training.train(signal, issued, at)
        assert model is not None, "2019 is enough to train on"
        part = moments_ms[(moments_ms >= at) & (moments_ms < at + span_ms)]
        made.append(model.many(signal, issued, part).gco2_per_kwh[:, :AHEAD])
    return np.concatenate(made)


def contenders(
    signal: Signal, given: list[tuple[int, Steps]], moments_ms: Milliseconds, once: bool
) -> dict[str, Intensities]:
    """What each says at each moment, on steps of 5 min."""
    at = _index(signal, moments_ms)[:, None]
    step = np.arange(AHEAD)
    day = DAY_MS // STEP_MS
    days = [signal.gco2_per_kwh[at - back * day + step % day] for back in range(1, 8)]
    week: Intensities = np.mean(days, axis=0)
    hour = HOUR_MS // STEP_MS
    same_hour = np.repeat(week.reshape(len(at), -1, hour).mean(axis=2), hour, axis=1)
    simple = {"yesterday": days[0], "7-day same-hour mean": same_hour, "7-day mean of the same 5 min": week}
    says = _said(given, moments_ms)
    continued = {f"issued, then {name}": _continued(says, by) for name, by in simple.items()}
    ours = own(signal, issues(given, SLOT_MS, REACH_MS // SLOT_MS), moments_ms, once)
    return {**simple, **continued, BEHIND: _continued(says, ours), OURS: ours}


def judged(
    signal: Signal, predicted: Intensities, moments_ms: Milliseconds
) -> tuple[dict[int, Outcome], float]:
    """Outcome by job length, and the mean absolute error in g/kWh."""
    at = _index(signal, moments_ms)
    hour = HOUR_MS // STEP_MS
    found = {
        job: outcome(signal.gco2_per_kwh, predicted, at, job_steps=job * hour, slack_steps=SLACK_H * hour)
        for job in JOBS_H
    }
    actual = signal.gco2_per_kwh[at[:, None] + np.arange(predicted.shape[1])]
    return found, float(np.abs(actual - predicted).mean())


def main() -> int:
    """Prints and keeps the table; 1 where ours is not first."""
    asked = _arguments()
    everything: dict[str, list[dict[int, Outcome]]] = {}
    for signal in observed(asked.data):
        if asked.zones and signal.zone not in asked.zones:
            continue
        began = time.perf_counter()
        moments = np.arange(_ms(START), _ms(END) - AHEAD * STEP_MS + 1, asked.every_hours * HOUR_MS)
        table = contenders(signal, issued(asked.data, signal.zone), moments, asked.once)
        print(f"{signal.zone}: {len(moments)} moments, {time.perf_counter() - began:.0f} s")
        print(f"{'':<44}" + "".join(f"{job:>7} h" for job in JOBS_H) + "   MAE g/kWh")
        for name, predicted in table.items():
            found, mae_g = judged(signal, predicted, moments)
            everything.setdefault(name, []).append(found)
            print(f"{name:<44}" + _cells(found.values()) + f"{mae_g:>12.1f}")
    together = {
        name: {job: pooled(each[job] for each in found) for job in JOBS_H}
        for name, found in everything.items()
    }
    print("both zones" if not asked.zones else "these zones")
    for name, found in together.items():
        print(f"{name:<44}" + _cells(found.values()))
    rows = [_row(job, together) for job in JOBS_H]
    if not (asked.zones or asked.once or asked.every_hours > 1):  # a part replaces no whole result
        keep("forecast_marginal", rows, "benchmarks/forecast_marginal.py")
    return int(not all(row.met for row in rows))


def _row(job: int, together: dict[str, dict[int, Outcome]]) -> Row:
    shares = {name: _captured(found[job]) for name, found in together.items()}
    best = max((share, name) for name, share in shares.items() if name not in (OURS, BEHIND))
    return Row(
        f"marginal, two zones of California, 5 min, 2020: job of {job} h, 24 h slack",
        f"{best[1]}, the best of six: {best[0]:.1%}",
        "highest captured saving",
        f"{shares[OURS]:.1%}",
        shares[OURS] > best[0],
    )


def _said(given: list[tuple[int, Steps]], moments_ms: Milliseconds) -> Intensities:
    """The issue of each moment on steps of 5 min, NaN where it ended."""
    on_steps = issues(given, STEP_MS, REACH_MS // STEP_MS)
    rows = np.searchsorted(on_steps.issued_ms, moments_ms)
    assert (on_steps.issued_ms[rows] == moments_ms).all(), "an hour has no issue"
    return on_steps.gco2_per_kwh[rows]


def _continued(says: Intensities, by: Intensities) -> Intensities:
    head = by[:, : says.shape[1]]
    return np.concatenate([np.where(np.isnan(says), head, says), by[:, says.shape[1] :]], axis=1)


def _captured(found: Outcome) -> float:
    assert found.captured is not None, "a year has something to save"
    return found.captured


def _cells(found: Iterable[Outcome]) -> str:
    return "".join(f"{_captured(each):>9.1%}" for each in found)


def _index(signal: Signal, moments_ms: Milliseconds) -> NDArray[np.int64]:
    return (moments_ms - signal.start_ms) // STEP_MS


def _ms(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)


def _beside() -> Path:
    return ROOT.parent / "shared" / "data"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", default=_beside())
    parser.add_argument("--once", action="store_true", help="train on 2019 alone")
    parser.add_argument("--every-hours", type=int, default=1, help="submit a job every so many hours")
    parser.add_argument("--zones", nargs="*", help="only these zones")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
