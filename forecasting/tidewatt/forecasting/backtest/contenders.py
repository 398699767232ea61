"""Who takes part in a backtest: baselines, the trained model, and forecasts that were recorded."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tidewatt.forecasting.backtest.issuing import Issues, issue, recorded
from tidewatt.forecasting.backtest.own import own_forecasters
from tidewatt.forecasting.backtest.past import Past
from tidewatt.forecasting.backtest.schedule import Schedule
from tidewatt.forecasting.backtest.trial import Trial, judge
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models.baselines import BASELINES, ProfileBaseline, SameHourMean
from tidewatt.forecasting.models.forecaster import HOUR_MS, Forecaster
from tidewatt.forecasting.profile import KIND as PROFILED
from tidewatt.forecasting.profile import profile
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import instant

MOST_OF_THE_TIME = 0.5  # a source's own forecasts take part where they were there at least so often


@dataclass(frozen=True, slots=True)
class Conditions:
    """How forecasts are made: an hour is known `lag_h` after its end; models are trained every so often.

    `retrain_every` None leaves trained models out, which takes seconds instead of minutes.
    """

    lag_h: float = 0.0
    retrain_every: timedelta | None = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Forecasts of a provider under a name; `required`: what was asked for by name must say something."""

    name: str
    provider: Provider
    required: bool = False


def held(
    past: Past,
    schedule: Schedule,
    conditions: Conditions,
    sources: Iterable[Recorded] = (),
    tell: Callable[[str], None] = lambda name: None,
) -> Trial:
    """The trial of all contenders over one zone's past; `tell` hears the name of each that begins.

    Raises:
        ForecastError: a required source has no forecasts at any of the moments, or nobody has.
    """
    zone, kind = past.history.zone, past.kind
    made = list(_forecast(past, schedule, conditions, tell))
    notes = [_seen(zone, schedule)] if PROFILED.continues(kind) else []
    for source in sources:
        found = recorded(source.provider, zone, kind, schedule.moments_ms, schedule.hours, source.name)
        share = float(np.mean(~np.isnan(found.predicted).all(axis=1)))
        if source.required and share == 0:
            raise ForecastError(
                f"{source.name}: it has no forecasts of {zone}, {kind}, that were issued in this time"
            )
        if source.required or share >= MOST_OF_THE_TIME:
            made.append(found)
        elif share:
            notes.append(
                f"{source.name}: it was there only {100 * share:.0f} % of the time and takes no part"
            )
    usual = next(each for each in made if each.name == SameHourMean().name)
    return judge(past, made, arrivals=schedule.arrivals, continuing=usual, notes=list(filter(None, notes)))


def baselines(kind: Kind) -> tuple[Forecaster, ...]:
    """The plain forecasters that fit a kind of intensity: the built-in profile is of one."""
    usual = PROFILED.continues(kind)
    return tuple(each for each in BASELINES if usual or not isinstance(each, ProfileBaseline))


def _forecast(
    past: Past, schedule: Schedule, conditions: Conditions, tell: Callable[[str], None]
) -> Iterator[Issues]:
    """What baselines and own models predict at each moment."""
    lag_ms = round(conditions.lag_h * HOUR_MS)
    with TemporaryDirectory(prefix="tidewatt-") as folder:
        forecasters = list(baselines(past.kind))
        if conditions.retrain_every is not None:
            forecasters += own_forecasters(past.kind, conditions.retrain_every, Path(folder))
        for forecaster in forecasters:
            tell(forecaster.name)
            yield issue(forecaster, past.history, schedule.moments_ms, schedule.hours, lag_ms=lag_ms)


def _seen(zone: str, schedule: Schedule) -> str:
    """That the built-in profile was made from the very time it is judged by; empty where it was not."""
    usual = profile(zone)
    years = re.search(r"(\d{4})(?:-(\d{4}))?", "" if usual is None else usual.label)
    if years is None:
        return ""
    first, last = int(years[1]), int(years[2] or years[1])
    judged = range(instant(schedule.start_ms).year, instant(schedule.end_ms).year + 1)
    if not any(first <= year <= last for year in judged):
        return ""
    return f"{ProfileBaseline().name}: it was made from {years[0]}, so that it has seen what it is judged by"
