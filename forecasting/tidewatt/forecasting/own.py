"""Forecasts of our own, for the rung below those of services."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from tidewatt.forecasting.asking import Asked
from tidewatt.forecasting.climatology import DAYS, same_hours
from tidewatt.forecasting.kind import Basis, Kind
from tidewatt.forecasting.layers import Layer
from tidewatt.forecasting.models.forecaster import HOUR_MS, Prediction
from tidewatt.forecasting.observed_profile import blended
from tidewatt.forecasting.profile import KIND, profile
from tidewatt.forecasting.series import Rung, Series, Steps, milliseconds

if TYPE_CHECKING:
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.models.continuation_shelf import Continuations
    from tidewatt.forecasting.models.shelf import Shelf


class Models:
    """The trained models of an installation, applied to what its archive knows."""

    def __init__(self, shelf: "Shelf", continuations: "Continuations", archive: "Archive") -> None:
        self._shelf, self._continuations, self._archive = shelf, continuations, archive

    def layers(self, source: str, zone: str, kind: Kind, now: datetime, until: datetime) -> list[Layer]:
        """What they say of a source's series, the one for fast signals first; nothing without any."""
        fast = self._continuations.layer(source, zone, kind, now, until)
        hourly = self._hourly(source, zone, kind, now, until)
        return [layer for layer in (fast, hourly) if layer is not None]

    def marginal(self, zone: str, hour: datetime, now: datetime, until: datetime) -> Layer | None:
        """The marginal signal as modelled from generation by fuel; None where that is not known."""
        from tidewatt.forecasting.mix import kind
        from tidewatt.forecasting.modelled_marginal import LABEL, estimate, series
        from tidewatt.forecasting.models.history import archived

        history = archived(self._archive, zone, kind(Basis.LIFECYCLE), now)
        table = None if history is None else estimate(history.mw, history.start_ms, history.timezone)
        if history is None or table is None:
            return None
        recent = slice(-24 * (DAYS + 1), None)
        mw = {fuel: power[recent] for fuel, power in history.mw.items()}
        hours = len(history.gco2_per_kwh)
        steps = series(table, mw, history.start_ms + max(0, hours + recent.start) * HOUR_MS)
        plain = same_hours(steps, hour, until)
        if plain is None:
            return None
        label = f"{LABEL} from {hours / 24:.0f} days of generation by fuel, {plain.label}"
        return Layer(table.kind, Rung.OWN, label, plain.steps)

    def _hourly(self, source: str, zone: str, kind: Kind, now: datetime, until: datetime) -> Layer | None:
        from tidewatt.forecasting.models.history import archived

        if self._shelf.model(zone, kind) is None:
            return None
        history = archived(self._archive, zone, kind, now, source=source)
        hours = -(-(milliseconds(until) - milliseconds(now)) // HOUR_MS) + 1
        own = None if history is None else self._shelf.own(zone, kind, history, hours)
        if own is None:
            return None
        made = own.prediction
        return Layer(kind, Rung.OWN, f"{own.label} ({source})", _steps(made), None, made.p10, made.p90)


def layers(
    asked: Asked, zone: str, kind: Kind, hour: datetime, now: datetime, until: datetime, models: Models | None
) -> list[Layer]:
    """A provider's series continued by ourselves: by a model where there is one, then by the same hours."""
    found = [] if models is None else models.layers(asked.provider.name, zone, kind, now, until)
    past = asked.observations(zone, kind, hour - timedelta(days=DAYS), now, now)
    plain = None if past is None else same_hours(past.steps, hour, until)
    if past is not None and plain is not None:
        young = _taken_over(zone, past, hour, now, until) if plain.days < DAYS else None
        found.append(young or Layer(kind, Rung.OWN, f"{plain.label} ({past.source})", plain.steps))
    return found


def _taken_over(zone: str, past: Series, hour: datetime, now: datetime, until: datetime) -> Layer | None:
    """The zone's profile with less than a week of its own observations in it; None where there is none."""
    usual = profile(zone)
    if usual is None or not past.kind.continues(KIND):
        return None
    ahead = blended(usual, past.steps, now)
    if ahead is usual:  # less than a day was seen
        return None
    made = ahead.outlook(hour, until)
    label = f"{ahead.label} ({past.source})"
    return Layer(past.kind, Rung.OWN, label, made.steps, None, made.p10, made.p90)


def _steps(made: Prediction) -> Steps:
    start_ms = made.start_ms + np.arange(len(made.gco2_per_kwh)) * HOUR_MS
    return Steps(start_ms, start_ms + HOUR_MS, made.gco2_per_kwh)
