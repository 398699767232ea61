"""A zone's hourly past from the archive, or from steps of any length."""

from collections import Counter
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Issued
from tidewatt.forecasting.hours import hourly
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, WeatherIssues
from tidewatt.forecasting.models.weather import Same
from tidewatt.forecasting.quantity import FUELS, VARIABLES, generation, intensity, weather
from tidewatt.forecasting.series import Steps, instant, milliseconds
from tidewatt.forecasting.zones import zone as named

FOR_TRAINING = timedelta(days=3 * 365 + 28)
FOR_PREDICTION = timedelta(days=52 * 7 + 28)  # the last four weeks, and the same days a year ago
LEADS_H = 240
POWERS = {generation(fuel): fuel for fuel in (*FUELS, "demand")}
WEATHER_EVERY = timedelta(hours=6)  # of more issues the last in every six hours is taken


def archived(
    archive: Archive,
    zone: str,
    kind: Kind,
    now: datetime,
    back: timedelta = FOR_PREDICTION,
    *,
    source: str | None = None,
    as_received: bool = True,
) -> History | None:
    """What the archive knew of a zone at `now`, hourly, with generation and weather where it has them.

    Intensity is of one source: the given one, else the one that covers most. `as_received` False counts what
    had ended by `now` though it was received later: for training on a past that was fetched afterwards. None
    where there is no intensity.
    """
    start = now - back
    names = [name for name, quantity in archive.quantities(zone) if quantity == intensity(kind)]
    found = [
        archive.observations(name, zone, intensity(kind), start, now, now, as_received=as_received)
        for name in names
        if source in (None, name)
    ]
    best = max(found, key=_covered_ms, default=None)
    if best is None or not len(best.start_ms):
        return None
    mw, sky = _beside(Same(archive), archive.version(zone, now), zone, start, now, as_received)
    return of_steps(zone, best, now, mw, sky)


@lru_cache(maxsize=1)  # a source's kinds are asked for one after the other
def _beside(
    held: Same[Archive], version: Hashable, zone: str, start: datetime, now: datetime, as_received: bool
) -> tuple[dict[str, Steps], WeatherIssues | None]:
    """Generation by fuel and weather, which go with every kind of intensity.

    A mix is of one source, the one that covers most of all fuels: what two of them tell adds up to no grid.
    """
    archive = held.it
    quantities = archive.quantities(zone)

    def steps(name: str, quantity: str) -> Steps:
        return archive.observations(name, zone, quantity, start, now, now, as_received=as_received)

    mixes: dict[str, dict[str, Steps]] = {}
    for name, quantity in quantities:
        if quantity in POWERS and len((power := steps(name, quantity)).start_ms):
            mixes.setdefault(name, {})[POWERS[quantity]] = power
    mix = max(mixes.values(), key=lambda mix: sum(map(_covered_ms, mix.values())), default={})
    mw = {fuel: mix[fuel] for fuel in POWERS.values() if fuel in mix}
    issues = {
        variable: _issues(archive, zone, weather(variable), start, now, as_received) for variable in VARIABLES
    }
    return mw, _weather(issues)


def of_steps(
    zone: str,
    observed: Steps,
    now: datetime,
    mw: Mapping[str, Steps] | None = None,
    weather_issues: WeatherIssues | None = None,
) -> History:
    """The hourly past of a zone from steps of any length: means by time of the hours that had ended by `now`.

    Raises:
        ForecastError: the zone is unknown, or nothing was observed.
    """
    place = named(zone)
    if not len(observed.start_ms):
        raise ForecastError(f"nothing was observed of {zone}: a past to learn from is needed")
    now_ms = milliseconds(now)
    start_ms = int(observed.start_ms[0]) // HOUR_MS * HOUR_MS
    hours = max(0, (now_ms - start_ms) // HOUR_MS)
    return History(
        zone=place.key,
        start_ms=start_ms,
        now_ms=now_ms,
        gco2_per_kwh=hourly(observed, start_ms, hours),
        timezone=place.timezone,
        latitude=place.latitude,
        longitude=place.longitude,
        mw={fuel: hourly(steps, start_ms, hours) for fuel, steps in (mw or {}).items()},
        weather=weather_issues,
    )


def _covered_ms(steps: Steps) -> int:
    return int((steps.end_ms - steps.start_ms).sum())


def _issues(
    archive: Archive, zone: str, quantity: str, start: datetime, now: datetime, as_received: bool
) -> dict[int, Issued]:
    """Forecasts of one weather variable by moment of issue, of the source that has most of them."""
    counts: Counter[str] = Counter()
    found: dict[str, dict[int, Issued]] = {}
    for source, held in archive.quantities(zone):
        if held == quantity:
            issues = archive.issues(
                source, zone, quantity, start, now, now, as_received=as_received, every=WEATHER_EVERY
            )
            found[source] = {milliseconds(issue.issued_at): issue for issue in issues}
            counts[source] = len(issues)
    return found[counts.most_common(1)[0][0]] if counts else {}


def _weather(issues: Mapping[str, Mapping[int, Issued]]) -> WeatherIssues | None:
    """Issues of all variables together, on hours from the one that contains the moment of issue."""
    moments = sorted({moment for by_moment in issues.values() for moment in by_moment})
    if not moments:
        return None
    available = np.array(moments, np.int64)
    start = available // HOUR_MS * HOUR_MS
    values: dict[str, NDArray[np.float64]] = {}
    for variable, by_moment in issues.items():
        table = np.full((len(moments), LEADS_H), np.nan)
        for row, moment in enumerate(moments):
            if moment in by_moment:
                table[row] = _leads(by_moment[moment].steps, int(start[row]))
        values[variable] = table
    return WeatherIssues(start, available, values)


def _leads(steps: Steps, start_ms: int) -> NDArray[np.float64]:
    """The first hours of an issue from `start_ms` on; steps of an hour each, as most are, need no means."""
    at = (steps.start_ms - start_ms) // HOUR_MS
    whole = (steps.start_ms - start_ms) % HOUR_MS + (steps.end_ms - steps.start_ms) == HOUR_MS
    if not whole.all():
        return hourly(steps, start_ms, LEADS_H)
    ahead = (at >= 0) & (at < LEADS_H)
    leads = np.full(LEADS_H, np.nan)
    leads[at[ahead]] = steps.gco2_per_kwh[ahead]
    return leads


def until(history: History) -> datetime:
    """When the last hour with a value ended."""
    known = np.flatnonzero(~np.isnan(history.gco2_per_kwh))
    return instant(history.start_ms + (int(known[-1]) + 1 if len(known) else 0) * HOUR_MS)
