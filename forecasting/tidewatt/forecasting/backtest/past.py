"""A zone's whole past on hours, from any provider; backtests cut it at each moment."""

from dataclasses import dataclass
from datetime import datetime

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.hours import hourly
from tidewatt.forecasting.kind import Basis, Kind, Signal
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import instant, milliseconds
from tidewatt.forecasting.zones import zone as named


class UnobservedError(ForecastError):
    """A provider has no observations of what was asked for."""


@dataclass(frozen=True, slots=True)
class Past:
    """All that is known of a zone, hourly, with the kind of intensity and where it is from."""

    history: History
    kind: Kind
    source: str


def past(provider: Provider, zone: str, kind: Kind, now: datetime) -> Past:
    """All hours of a kind that the provider had observed at `now`.

    Raises:
        UnobservedError: it has none.
    """
    series = provider.observations(zone, kind, instant(0), now, now)
    steps = series.steps
    if not len(steps.start_ms):
        raise UnobservedError(f"{provider.name} has no observations of {zone}, {kind}")
    start_ms = int(steps.start_ms[0]) // HOUR_MS * HOUR_MS
    hours = -(-(int(steps.end_ms[-1]) - start_ms) // HOUR_MS)
    place = named(zone)
    history = History(
        zone=place.key,
        start_ms=start_ms,
        now_ms=milliseconds(now),
        gco2_per_kwh=hourly(steps, start_ms, hours),
        timezone=place.timezone,
        latitude=place.latitude,
        longitude=place.longitude,
    )
    return Past(history, kind, series.source)


def latest_past(provider: Provider, zone: str, signal: Signal, now: datetime) -> Past:
    """The past of the first kind of a signal that the provider has observed; lifecycle before direct.

    Raises:
        UnobservedError: there is no such kind; the text says what it has.
    """
    kinds = sorted(
        (kind for kind in provider.kinds(zone) if kind.signal is signal),
        key=lambda kind: kind.basis is not Basis.LIFECYCLE,
    )
    for kind in kinds:
        try:
            return past(provider, zone, kind, now)
        except UnobservedError:
            continue
    if kinds:
        raise UnobservedError(f"{provider.name} has no observations of {zone}, {kinds[0]}")
    has = ", ".join(map(str, provider.kinds(zone)))
    raise UnobservedError(
        f"{provider.name} has no {signal} intensity of {zone}" + (f"; it has {has}" if has else "")
    )
