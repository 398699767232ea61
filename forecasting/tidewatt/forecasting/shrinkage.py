"""Forecasts shrunk towards what is usual, by the skill that their source has shown.

The least of many noisy numbers always looks better than it is, so that plans made anew with every forecast
put work off again and again. A plan is therefore made on the conditional mean: what is usual at the hour,
and of a forecast's deviation from it as much as such deviations have come true.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting import log
from tidewatt.forecasting.chain import Chain, Latest
from tidewatt.forecasting.hours import HOUR_MS
from tidewatt.forecasting.kind import Kind, Signal
from tidewatt.forecasting.reputation import Advice, Reputation, scaled
from tidewatt.forecasting.series import Forecast, Outlook, Rung, Segment, Series, milliseconds
from tidewatt.forecasting.witnesses import DAY_H, HOURS

Floats = NDArray[np.float64]

SAME_HOURS = "mean of the same hours"
TOLD = frozenset({Rung.LIVE, Rung.LAST_GOOD})


class Outlooks(Protocol):
    """What plans and displays are made from: a chain of sources, or one whose forecasts are shrunk."""

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """Intensity over `[now, until)`, see `Chain.outlook`."""
        ...

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """Observed steps, see `Chain.observations`."""
        ...

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """Carbon intensity at `now`, see `Chain.latest`."""
        ...


def shrunk(outlook: Outlook, advice: Mapping[int, Advice]) -> Outlook:
    """The outlook with some of its segments, by number, as advised; the others stay as they are."""
    if not advice:
        return outlook
    steps = outlook.steps
    seams = [milliseconds(segment.start) for segment in outlook.segments[1:]]
    owner = np.searchsorted(seams, steps.start_ms, side="right")
    mean = steps.gco2_per_kwh.copy()
    low, high = (
        np.full(len(mean), np.nan) if band is None else band.copy() for band in (outlook.p10, outlook.p90)
    )
    notes = [outlook.note] if outlook.note else []
    for number, told in advice.items():
        mine = owner == number
        hour = steps.start_ms[mine] // HOUR_MS - told.start_h
        ahead = np.clip(hour, 0, HOURS - 1)
        usual = told.usual[hour % DAY_H]
        least = np.where(
            mean[mine] < 0, -np.inf, 0.0
        )  # only what may be negative ever is: marginal intensity
        made = usual + told.share[ahead] * (mean[mine] - usual) + told.rest[ahead]
        mean[mine] = made = np.maximum(made, least)
        low[mine], high[mine] = np.maximum(made + told.low[ahead], least), made + told.high[ahead]
        notes += [told.note] if told.note else []
    return replace(
        outlook,
        steps=replace(steps, gco2_per_kwh=mean),
        p10=None if np.isnan(low).all() else low,
        p90=None if np.isnan(high).all() else high,
        note="; ".join(dict.fromkeys(notes)),
    )


class Shrinker:
    """A chain of sources whose outlooks are conditional means; asked as a chain is.

    The forecasts of services and files are shrunk, and the mean of the same hours takes up what was last
    seen; models trained here are such means already (the share that came true has a median between 0.93 and
    1.09 on 130 zones, by horizon), and so are profiles. Later observations are left alone, and so are
    forecasts of which not a day was observed to judge them by. Skill is learnt every six hours from the last
    28 days, as known then.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._reputations: dict[tuple[int, str, Kind], Reputation] = {}
        self._hour = 0
        self._advised: dict[tuple[object, ...], Advice | None] = {}

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """Intensity over `[now, until)`, see `Chain.outlook`; what was changed is said in its note."""
        plain = self._chain.outlook(zone, signal, now, until)
        if plain is None:
            return None
        try:
            return shrunk(plain, self._found(plain, now))
        except Exception as error:  # whatever is wrong with a past, plans are made on what is told
            reason = str(error) or type(error).__name__
            log.tell("warning", "forecast.not_shrunk", zone=zone, reason=reason)
            said = [plain.note] if plain.note else []
            return replace(plain, note="; ".join(["as told: it could not be shrunk", *said]))

    def _found(self, plain: Outlook, now: datetime) -> dict[int, Advice]:
        """What becomes of the segments, by number; kept for the hour of `now`."""
        hour = milliseconds(now) // HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._advised.clear()
        found: dict[int, Advice] = {}
        for number, segment in enumerate(plain.segments):
            key = (plain.zone, plain.kind, segment.rung, segment.source, segment.issued_at)
            if key not in self._advised:
                self._advised[key] = self._advice(plain, segment, now)
            advice = self._advised[key]
            if advice is not None:
                found[number] = advice
        return found

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """Observed steps, see `Chain.observations`."""
        return self._chain.observations(zone, signal, start, end, now)

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """Carbon intensity at `now`, see `Chain.latest`."""
        return self._chain.latest(zone, signal, now)

    def _advice(self, outlook: Outlook, segment: Segment, now: datetime) -> Advice | None:
        """What becomes of a segment; None where it stays."""
        if segment.rung is Rung.OWN and segment.source.startswith(SAME_HOURS):
            return self._same_hours(outlook, segment, now)
        if segment.rung not in TOLD:
            return None
        for number, asked in enumerate(self._chain.providers):
            for kind in asked.kinds(outlook.zone):
                if not kind.continues(outlook.kind):
                    continue
                told = asked.forecast(outlook.zone, kind, now)
                if told is None or told.issued_at != segment.issued_at:
                    continue
                if segment.source.startswith(told.source):
                    advice = self._reputation(number, outlook.zone, kind).of_forecast(now)
                    return advice and scaled(advice, _factor(outlook, segment, told))
        return None

    def _same_hours(self, outlook: Outlook, segment: Segment, now: datetime) -> Advice | None:
        """What was last seen, for the mean of the same hours of the source that it is of."""
        for number, asked in enumerate(self._chain.providers):
            if outlook.kind in asked.kinds(outlook.zone):
                seen = asked.observations(outlook.zone, outlook.kind, now - timedelta(hours=1), now, now)
                if seen is not None and segment.source.endswith(f"({seen.source})"):
                    return self._reputation(number, outlook.zone, outlook.kind).of_same_hours(now)
        return None

    def _reputation(self, number: int, zone: str, kind: Kind) -> Reputation:
        """What is known of a provider's series."""
        key = (number, zone, kind)
        if key not in self._reputations:
            first = self._chain.providers[number]
            others = [asked for asked in self._chain.providers if asked is not first]
            self._reputations[key] = Reputation(first, others, zone, kind)
        return self._reputations[key]


def _factor(outlook: Outlook, segment: Segment, told: Forecast) -> float:
    """What the chain has multiplied a forecast with, to bring it to the level of those before it."""
    at_ms = milliseconds(segment.start)
    here = int(np.searchsorted(outlook.steps.start_ms, at_ms, side="right")) - 1
    there = int(np.searchsorted(told.steps.start_ms, at_ms, side="right")) - 1
    before = float(told.steps.gco2_per_kwh[there]) if there >= 0 else 0.0
    return float(outlook.steps.gco2_per_kwh[here]) / before if before > 0 else 1.0
