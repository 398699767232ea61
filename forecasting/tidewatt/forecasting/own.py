"""Forecasts of our own, for the rung below those of services."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from tidewatt.forecasting.asking import Asked
from tidewatt.forecasting.climatology import DAYS, same_hours
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.layers import Layer
from tidewatt.forecasting.models.forecaster import HOUR_MS, Prediction
from tidewatt.forecasting.observed_profile import blended
from tidewatt.forecasting.profile import KIND, profile
from tidewatt.forecasting.series import Rung, Series, Steps, milliseconds

if TYPE_CHECKING:
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.models.shelf import Shelf


class Models:
    """The trained models of an installation, applied to what its archive knows."""

    def __init__(self, shelf: "Shelf", archive: "Archive") -> None:
        self._shelf, self._archive = shelf, archive

    def layer(self, source: str, zone: str, kind: Kind, now: datetime, until: datetime) -> Layer | None:
        """What the zone's model says of a source's series, as far ahead as it reaches; None without one."""
        from tidewatt.forecasting.models.history import archived

        if self._shelf.model(zone, kind) is None:
            return None
        history = archived(self._archive, zone, kind, now, source=source)
        hours = -(-(milliseconds(until) - milliseconds(now)) // HOUR_MS) + 1
        own = None if history is None else self._shelf.own(zone, kind, history, hours)
        if own is None:
            return None
        label = f"{own.label} ({source})"
        made = own.prediction
        return Layer(kind, Rung.OWN, label, _steps(made), None, made.p10, made.p90)


def layers(
    asked: Asked, zone: str, kind: Kind, hour: datetime, now: datetime, until: datetime, models: Models | None
) -> list[Layer]:
    """A provider's series continued by ourselves: by a model where there is one, then by the same hours."""
    found = []
    if models is not None:
        made = models.layer(asked.provider.name, zone, kind, now, until)
        found += [] if made is None else [made]
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
