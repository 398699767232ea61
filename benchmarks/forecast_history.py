"""What own models reach on the past alone, without weather.

    python benchmarks/forecast_history.py [--row 1|3] [--zones A,B] [--data DATA]

Row 1: nine zones, 2022-07-01..12-31, lifecycle, models of history and generation mix, against the forecasts
that CarbonCast issued for that time with weather. Joined on the hour that is forecast; an issue of ours uses
only hours that had ended by the first hour that CarbonCast's issue forecasts. Models are trained anew every
30 days on what was known then (the daemon does it daily; weekly changed nothing), on issues of that hour of
the day, and blended as in row 3. Row 3: 121 zones, 2023, history only, one model trained on 2021 and 2022;
every week it is blended with the plain forecasts by what each captured in the last 84 days, or left to the
best of them, by the shelf's rule. The profile there is a table of month, weekend and local hour fitted on
2021 and 2022.

Captured is the share of a perfect forecast's saving: issues at 00:00 UTC, jobs of 4 and 12 h, contiguous and
interruptible, that arrive every 3 h of the first day and may be done 24 h later than at the earliest. What a
zone's issues were is kept in `.benchmarks/forecast_history/` and taken from there by the next run of the same
code. Exits with 1 where a goal is missed.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting import models
from tidewatt.forecasting.backtest.capture import outcome, usable
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.models.baselines import LastWeek, SameHourMean, Yesterday
from tidewatt.forecasting.models.blend import blended, says
from tidewatt.forecasting.models.calibration import widening
from tidewatt.forecasting.models.features import FLOOR_G
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.trained import NAME as MODEL
from tidewatt.forecasting.models.training import DEFAULT, trained
from tidewatt.forecasting.profile import MEAN, hourly
from tidewatt.forecasting.zones import zone as named

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "forecasting")]
from scripts import profile_tables  # noqa: E402  # fits what is shipped; it is no part of the package

from benchmarks.results import Row, keep  # noqa: E402

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NINE = ("CISO", "DE", "ERCO", "FR", "ISNE", "MISO", "NYIS", "PJM", "PL")
FUELS = {
    "mw_coal": "coal",
    "mw_nat_gas": "gas",
    "mw_oil": "oil",
    "mw_biomass": "biomass",
    "mw_geothermal": "geothermal",
    "mw_hydro": "hydro",
    "mw_nuclear": "nuclear",
    "mw_solar": "solar",
    "mw_wind": "wind",
    "mw_other": "other",
    "mw_unknown": "unknown",
}
RETRAINED_DAYS = 30
DAILY = replace(DEFAULT, every_h=24, sampled=24)  # all issues that are judged begin at one hour of the day
CHOSEN_DAYS, CHOSEN_BY_DAYS = 7, 84
JOBS_H, SLACK_H = (4, 12), 24
RECENT = (SameHourMean().name, Yesterday().name, LastWeek().name)
THEIRS = "CarbonCast"
FIRST_CHOSEN_DAY = 21
ARRIVALS = range(0, 24, 3)
NEAR = 0.01  # of the possible saving
CODED_IN = (
    *("baselines", "calendar", "calibration", "features", "folds", "generation"),
    *("linear", "lookback", "trained", "training", "trees"),
)
CODE = hashlib.sha256(
    b"".join((Path(models.__file__).parent / f"{name}.py").read_bytes() for name in CODED_IN)
).hexdigest()[:10]  # what was made by other code is made again
OURS = "own"


@dataclass(frozen=True, slots=True)
class Judged:
    """A zone's actual hours, where issues begin, and predictions (issues, hours) by contender."""

    actual: Floats
    origins: Integers
    predictions: dict[str, Floats]
    p10: Floats
    p90: Floats

    def captured(self, rows: Integers | None = None) -> dict[str, float]:
        """Mean captured saving by contender over the kinds of jobs, of some issues or of all."""
        rows = np.arange(len(self.origins)) if rows is None else rows
        shares = [self.shares(job_h, pausing, rows) for job_h in JOBS_H for pausing in (False, True)]
        return {name: mean([share[name] for share in shares]) for name in self.predictions}

    def shares(self, job_h: int, interruptible: bool, rows: Integers) -> dict[str, float]:
        """Captured saving of one kind of job; NaN where nothing can be saved."""
        origins, found = self.origins[rows], {}
        masks = [
            usable(self.actual, each[rows], origins, job_steps=job_h, slack_steps=SLACK_H, arrivals=ARRIVALS)
            for each in self.predictions.values()
        ]
        for name, each in self.predictions.items():
            share = outcome(
                self.actual,
                each[rows],
                origins,
                job_steps=job_h,
                slack_steps=SLACK_H,
                arrivals=ARRIVALS,
                interruptible=interruptible,
                valid=np.logical_and.reduce(masks),
            ).captured
            found[name] = np.nan if share is None else share
        return found

    def ahead(self, hours: int) -> Floats:
        """What came of each issue's hours; NaN beyond what is known."""
        at = self.origins[:, None] + np.arange(hours)
        known = at < len(self.actual)
        return np.where(known, self.actual[np.where(known, at, 0)], np.nan)

    def mape(self, name: str, hours: int = 96) -> float:
        """Mean absolute error, per cent of what came."""
        actual = self.ahead(hours)
        return float(np.nanmean(np.abs(self.predictions[name][:, :hours] / actual - 1)) * 100)

    def coverage(self) -> float:
        """Share of what came that lies in the 10-90 band."""
        actual = self.ahead(self.p10.shape[1])
        known = ~np.isnan(actual)
        return float(((self.p10 <= actual) & (actual <= self.p90))[known].mean())


def main() -> int:
    """Runs the rows that are asked for; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--row", type=int, choices=(1, 3), action="append")
    parser.add_argument("--zones", type=lambda text: text.split(","))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    rows: list[Row] = []
    for number, row in ((1, nine), (3, world)):
        if number in (asked.row or (1, 3)):
            rows += row(asked.data, asked.zones)
    complete = asked.zones is None and asked.row is None
    keep(
        "forecast_history",
        rows,
        " ".join(["benchmarks/forecast_history.py", *sys.argv[1:]]),
        complete=complete,
    )
    return int(any(row.met is False for row in rows))


def nine(data: Path, zones: list[str] | None) -> list[Row]:
    """Row 1."""
    found = {}
    for name in NINE if zones is None else [each for each in zones if each in NINE]:
        judged = found[name] = beside_carboncast(
            kept(f"nine-{name}-{RETRAINED_DAYS}d", partial(against_carboncast, data, name))
        )
        captured, lower = judged.captured(), judged.mape(OURS) < judged.mape(THEIRS)
        mapes = "  ".join(f"{each} {judged.mape(each):6.2f} %" for each in judged.predictions)
        saved = "  ".join(f"{each} {share:6.1%}" for each, share in captured.items())
        print(
            f"{name:<6}{'lower ' if lower else 'higher'}  96 h MAPE: {mapes}   captured: {saved}", flush=True
        )
    if not found:
        return []
    wins = sum(each.mape(OURS) < each.mape(THEIRS) for each in found.values())
    rows = {name: np.arange(len(each.origins)) for name, each in found.items()}
    texts, better = [], True
    for job_h in JOBS_H:
        for pausing in (False, True):
            shares = [each.shares(job_h, pausing, rows[name]) for name, each in found.items()]
            ours, theirs = (mean([share[who] for share in shares]) for who in (OURS, THEIRS))
            print(f"{job_h} h{', may pause' if pausing else ''}: own {ours:.1%}, CarbonCast {theirs:.1%}")
            texts.append(f"{job_h} h{' pausing' if pausing else ''} {ours:.1%} against {theirs:.1%}")
    mean_ours, mean_theirs = (
        mean([each.captured()[who] for each in found.values()]) for who in (OURS, THEIRS)
    )
    better = mean_ours > mean_theirs
    on = f"{len(found)} zones, second half of 2022, history and mix only"
    return [
        Row(
            on,
            "CarbonCast's stored forecasts, which use weather",
            "lower 96 h MAPE in at least 5 of 9; higher mean captured saving, 4 and 12 h jobs",
            f"lower in {wins} of {len(found)}; captured {mean_ours:.1%} against {mean_theirs:.1%}"
            f" ({', '.join(texts)})",
            wins >= 5 and better,
        )
    ]


def world(data: Path, zones: list[str] | None) -> list[Row]:
    """Row 3."""
    every = sorted(
        pd.read_parquet(data / "average_hourly_121zones_2021_2023.parquet", columns=["zone"]).zone.unique()
    )
    gaps, coverages, shares = [], [], []
    every.sort(key=lambda name: hashlib.sha256(name.encode()).digest())  # what is done first is of everywhere
    for name in every if zones is None else [each for each in zones if each in every]:
        judged = chosen(kept(f"world-{name}", partial(of_2023, data, name)))
        captured = judged.captured()
        gap = captured[OURS] - max(
            captured[each] for each in ("profile", SameHourMean().name, Yesterday().name)
        )
        coverages.append(judged.coverage())
        if np.isnan(gap):
            print(f"{name:<12} nothing can be saved; band covers {coverages[-1]:.1%}", flush=True)
            continue
        gaps.append(gap)
        shares.append(captured)
        texts = "  ".join(f"{each} {share:6.1%}" for each, share in captured.items())
        print(f"{name:<12} {gap:+6.1%}  band covers {coverages[-1]:5.1%}   {texts}", flush=True)
    if not gaps:
        return []
    near, covers = float(np.mean(np.array(gaps) >= -NEAR)), float(np.mean(coverages))
    for who in shares[0]:
        print(f"mean captured, {who}: {mean([share[who] for share in shares]):.1%}")
    low, high = np.quantile(coverages, (0.1, 0.9))
    print(f"best or within 1 point: {near:.1%} of {len(gaps)} zones (goal 95 %)")
    print(f"the band covers {covers:.1%} (goal 77 to 83 %); nine tenths of the zones {low:.1%} to {high:.1%}")
    return [
        Row(
            f"{len(gaps)} zones, 2023, history only",
            "7-day same-hour mean, yesterday, profile",
            "best, or within 1 point of it, in 95 % of zones by captured saving; the band covers 77 to 83 %",
            f"{near:.1%} of zones; the band covers {covers:.1%}",
            near >= 0.95 and 0.77 <= covers <= 0.83,
        )
    ]


def against_carboncast(data: Path, name: str) -> Judged:
    """Our issues and CarbonCast's for the same hours."""
    history = production(data, name)
    file = data / "carboncast_forecasts_9zones_2022H2.parquet"
    theirs = pd.read_parquet(file, filters=[("zone", "==", name)])
    table = theirs.pivot(index="issue_time", columns="horizon_h", values="fc_lifecycle").sort_index()
    first = theirs[theirs.horizon_h == 0].sort_values("issue_time").ts
    origins = (first.dt.as_unit("ms").astype("int64").to_numpy() - history.start_ms) // HOUR_MS
    history, origins = _from(history, int(origins[0]) % 24), origins - int(origins[0]) % 24
    parts = []
    for at in range(0, len(origins), RETRAINED_DAYS):
        model = trained(cut(history, history.start_ms + int(origins[at]) * HOUR_MS), DAILY)
        if model is None:
            raise SystemExit(f"{name} has too short a past")
        parts.append(model.issued(history, origins[at : at + RETRAINED_DAYS], 96))
    mean_g, p10, p90 = (
        np.concatenate([getattr(part, what) for part in parts]) for what in ("mean", "p10", "p90")
    )
    predictions = {MODEL: mean_g, **plain(history, origins, 96), THEIRS: table.to_numpy(float)}
    return Judged(history.gco2_per_kwh, origins, predictions, p10, p90)


def beside_carboncast(judged: Judged) -> Judged:
    """Our own forecast as the shelf would have made it, and CarbonCast's.

    Without a profile: the built-in ones were fitted on these months too.
    """
    theirs = judged.predictions[THEIRS]
    own = chosen(replace(judged, predictions={name: judged.predictions[name] for name in (MODEL, *RECENT)}))
    names = (OURS, MODEL)
    return replace(own, predictions={**{name: own.predictions[name] for name in names}, THEIRS: theirs})


def plain(history: History, origins: Integers, hours: int) -> dict[str, Floats]:
    """Plain forecasts of the last days."""
    forecasters = (SameHourMean(), Yesterday(), LastWeek())
    return {each.name: each.issued(history, origins, hours) for each in forecasters}


def _from(history: History, first: int) -> History:
    """The history from its hour `first` on: training begins at the hour of the day at which issues do."""
    return replace(
        history,
        start_ms=history.start_ms + first * HOUR_MS,
        gco2_per_kwh=history.gco2_per_kwh[first:],
        mw={fuel: power[first:] for fuel, power in history.mw.items()},
    )


def of_2023(data: Path, name: str, split: str = "2023-01-01", end: str = "2024-01-01") -> Judged:
    """Issues of one model and of the plain forecasts."""
    history = average(data, name)
    first, last = (
        (pd.Timestamp(text, tz="UTC").value // 10**6 - history.start_ms) // HOUR_MS for text in (split, end)
    )
    past = cut(history, history.start_ms + first * HOUR_MS)
    model = trained(past)
    if model is None:
        raise SystemExit(f"{name} has too short a past")
    origins = np.arange(first, last - 72, 24)
    made = model.issued(history, origins, 72)
    recent = plain(history, origins, 72)
    usual = climatology(past, history, origins, 72)
    usual = np.where(np.isnan(usual), recent[SameHourMean().name], usual)  # what the chain would take there
    predictions = {model.name: made.mean, **recent, "profile": usual}
    return Judged(history.gco2_per_kwh, origins, predictions, made.p10, made.p90)


def chosen(judged: Judged) -> Judged:
    """With our own forecast: who captured most in the last 84 days has most to say, by the shelf's rule.

    In the first three weeks, of which no issue can be judged, it is the model alone.
    """
    predictions = judged.predictions
    own, beside = np.array(predictions[MODEL]), [name for name in predictions if name != MODEL]
    for week in range(FIRST_CHOSEN_DAY, len(judged.origins), CHOSEN_DAYS):
        known = np.arange(max(0, week - CHOSEN_BY_DAYS), week - 2)  # their hours have all come
        rows = slice(week, week + CHOSEN_DAYS)
        captured = judged.captured(known)
        if np.isnan(captured[MODEL]):
            own[rows] = predictions[SameHourMean().name][rows]
            continue
        mixed = blended(predictions, says(captured))
        of_mixed = replace(judged, predictions={OURS: mixed}).captured(known)[OURS]
        best = max(beside, key=lambda name: captured[name])
        own[rows] = (mixed if of_mixed > captured[best] else predictions[best])[rows]
    p10, p90 = rebanded(judged, own)
    return replace(judged, predictions={OURS: own, **predictions}, p10=p10, p90=p90)


def rebanded(judged: Judged, own: Floats) -> tuple[Floats, Floats]:
    """The model's band around our own forecast, each week as wide as the errors of the last 84 days ask for.

    By the rule of the training, which the daemon repeats with what has come.
    """
    centre = np.log(judged.predictions[MODEL])
    low, high = np.log(judged.p10) - centre, np.log(judged.p90) - centre
    off = np.log(np.maximum(judged.ahead(own.shape[1]), FLOOR_G)) - np.log(own)
    wider = np.ones((len(own), 1))
    for week in range(FIRST_CHOSEN_DAY, len(own), CHOSEN_DAYS):
        known = slice(max(0, week - CHOSEN_BY_DAYS), week - 2)
        wider[week : week + CHOSEN_DAYS] = widening(off[known], low[known], high[known])
    return own * np.exp(low * wider), own * np.exp(high * wider)


def climatology(past: History, history: History, origins: Integers, hours: int) -> Floats:
    """The profile that the shipped script fits on what is past."""
    start = pd.Timestamp(past.start_ms, unit="ms", tz="UTC")
    index = pd.date_range(start, periods=len(past.gco2_per_kwh), freq="h")
    table = profile_tables.fitted(pd.Series(past.gco2_per_kwh, index=index), past.timezone)
    at, place = np.unique(origins[:, None] + np.arange(hours), return_inverse=True)
    values = hourly(table, history.start_ms + at * HOUR_MS, history.timezone)[:, MEAN]
    return np.asarray(values[place].reshape(len(origins), hours), float)


def production(data: Path, name: str) -> History:
    """A zone of the file with a generation mix; zeros are holes."""
    file = data / "production_mix_hourly_42zones_2019_2022.parquet"
    frame = (
        pd.read_parquet(file, filters=[("zone", "==", name)])
        .drop_duplicates("ts")
        .set_index("ts")
        .sort_index()
    )
    hours = frame.reindex(pd.date_range(frame.index[0], frame.index[-1], freq="h"))
    mw = {
        fuel: hours[column].to_numpy(float) for column, fuel in FUELS.items() if hours[column].notna().any()
    }
    return past_of(hours.ci_lifecycle.where(hours.ci_lifecycle > 0), name, mw)


def average(data: Path, name: str) -> History:
    """A zone of the file of 121."""
    file = data / "average_hourly_121zones_2021_2023.parquet"
    frame = pd.read_parquet(file, columns=["zone", "ts", "ci_lifecycle"], filters=[("zone", "==", name)])
    return past_of(frame.set_index("ts").ci_lifecycle.sort_index(), name, {})


def past_of(series: "pd.Series[float]", name: str, mw: dict[str, Floats]) -> History:
    """All that is known of a zone."""
    place = named(name)
    start_ms = series.index[0].value // 10**6
    return History(
        place.key,
        start_ms,
        start_ms + len(series) * HOUR_MS,
        np.asarray(series, np.float64),
        place.timezone,
        place.latitude,
        place.longitude,
        mw,
    )


def kept(name: str, make: Callable[[], Judged]) -> Judged:
    """What was made before by the same code, else made now and kept."""
    folder = ROOT / ".benchmarks" / "forecast_history"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{CODE}.npz"
    if not path.exists():
        made = make()
        arrays = {f"predicted {who}": values for who, values in made.predictions.items()}
        fresh = path.with_suffix(".new.npz")
        arrays |= {"actual": made.actual, "p10": made.p10, "p90": made.p90}
        np.savez(fresh, allow_pickle=False, origins=made.origins, **arrays)
        fresh.replace(path)
    with np.load(path, allow_pickle=False) as file:
        predictions = {
            who.removeprefix("predicted "): file[who] for who in file if who.startswith("predicted ")
        }
        return Judged(file["actual"], file["origins"], predictions, file["p10"], file["p90"])


def mean(values: list[float]) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


if __name__ == "__main__":
    sys.exit(main())
