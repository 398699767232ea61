"""What was observed of the grid, by the hour, for pictures of when jobs ran."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import AwareDatetime

from tidewatt.backends.clock import time_ms
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Steps
from tidewatt.forecasting.zones import zone as zone_of
from tidewatt.scheduler.access_schema import ObservedView
from tidewatt.scheduler.accounting.units import HOUR_MS
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput

LONGEST = timedelta(days=92)


def observed(site: Site, zone: str, signal: str, start: datetime, end: datetime) -> dict[str, Any]:
    """Means of the hours from `start` to `end` in which something was observed, with their source.

    `steps` are `[start_ms, gco2_per_kwh]`, "" is the source where there is none.
    """
    if signal not in set(Signal):
        raise BadInput(f"there is no signal {signal!r}: choose average or marginal")
    if not timedelta(0) < end - start <= LONGEST:
        raise BadInput(f"observations are shown of up to {LONGEST.days} days: from {start} to {end} is not")
    place = zone_of(zone)
    series = site.observations(place.key, signal, start, end)
    steps = [] if series is None else hourly(series.steps, time_ms(start), time_ms(end))
    return {
        "zone": place.key,
        "zone_name": place.name,
        "source": "" if series is None else series.source,
        "kind": "" if series is None else str(series.kind),
        "steps": steps,
    }


def hourly(steps: Steps, start_ms: int, end_ms: int) -> list[tuple[int, float]]:
    """Means over whole hours, of what is known of them, weighted by time; unknown hours are left out."""
    first = start_ms // HOUR_MS * HOUR_MS
    hours = np.arange(first, end_ms, HOUR_MS)
    # The integral up to each border: between two borders it grows by what was known there.
    long_ms = steps.end_ms - steps.start_ms
    edges = np.column_stack((steps.start_ms, steps.end_ms)).ravel()
    borders = np.append(hours, first + HOUR_MS * len(hours))
    known_ms, integral = (
        np.interp(borders, edges, _rising(each), left=0.0) if edges.size else np.zeros(len(borders))
        for each in (long_ms.astype(np.float64), long_ms * steps.gco2_per_kwh)
    )
    lengths, sums = np.diff(known_ms), np.diff(integral)
    return [
        (int(hour), float(total / length))
        for hour, length, total in zip(hours, lengths, sums, strict=True)
        if length > 0
    ]


def _rising(parts: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The sum before and after each part."""
    after = np.cumsum(parts)
    return np.column_stack((after - parts, after)).ravel()


def routes(api: FastAPI, service: Service) -> None:
    """Adds `observed` to the interface."""

    @api.get("/api/v1/observed")
    def answer(zone: str, signal: str, start: AwareDatetime, end: AwareDatetime) -> ObservedView:
        """What was observed of a zone, by the hour."""
        return ObservedView.model_validate(observed(service.site, zone, signal, start, end))
