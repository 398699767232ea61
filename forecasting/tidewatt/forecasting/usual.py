"""What a quantity was like of late: the measure of what may be believed of the next fetch."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from tidewatt.forecasting.feeds.feed import Issued
from tidewatt.forecasting.kind import Basis, Kind, Signal
from tidewatt.forecasting.profile import profile
from tidewatt.forecasting.quantity import kind_of
from tidewatt.forecasting.series import Intensities, Steps

DAYS, LONG = timedelta(days=7), timedelta(days=60)
HOUR_MS = 3_600_000
JUMP = 5.0
PROFILE_JUMP = 25.0  # where imports count, a zone may be many times its own production
BURNS_ABOVE = 100.0  # gCO2/kWh by life cycle
RARE = 0.1  # zeros that are rarer are no part of the usual range
ENOUGH_H = 24  # hours of a past that is believed


@dataclass(frozen=True, slots=True)
class Usual:
    """Level and range of a quantity over its last days, gCO2/kWh where it is an intensity.

    `level` None: nothing is known. What is `jump` times more or less is not believed. `varied` says that it
    was not always the same; None that nobody knows. `tail` is the last value, since when and until when
    (Unix ms) it has been exactly that. `issued_at` is when the newest forecast was issued.
    """

    level: float | None = None
    low: float = 0.0
    high: float = 0.0
    jump: float = JUMP
    varied: bool | None = None
    tail: tuple[float, int, int] | None = None  # value, since, until
    issued_at: datetime | None = None


class Held(Protocol):
    """Where the past stands: an archive."""

    def observations(
        self, source: str, zone: str, quantity: str, start: datetime, end: datetime, now: datetime
    ) -> Steps:
        """Steps over `[start, end)` known at `now`."""
        ...

    def issue(self, source: str, zone: str, quantity: str, now: datetime) -> Issued | None:
        """The newest forecast known at `now`."""
        ...


def usual(held: Held, source: str, zone: str, quantity: str, now: datetime) -> Usual:
    """What the quantity was like over the last seven days.

    From observations, and older ones where there are too few; else from the newest forecast, else from the
    built-in profile of the zone.
    """
    newest = held.issue(source, zone, quantity, now)
    issued_at = None if newest is None else newest.issued_at
    kind = kind_of(quantity)
    if kind is None:  # of power and weather nothing is compared
        return Usual(issued_at=issued_at)
    for days in (DAYS, LONG):
        past = held.observations(source, zone, quantity, now - days, now, now)
        if _enough(past):
            return described(past, issued_at)
    if newest is not None and _enough(newest.steps):
        return described(newest.steps, issued_at)
    return _profiled(zone, kind, issued_at)


def described(steps: Steps, issued_at: datetime | None = None) -> Usual:
    """Level, range and tail of steps that are believed."""
    values = steps.gco2_per_kwh
    level = float(np.average(values, weights=steps.end_ms - steps.start_ms))
    other = np.flatnonzero(values != values[-1])
    since = int(steps.start_ms[other[-1] + 1 if len(other) else 0])
    tail = (float(values[-1]), since, int(steps.end_ms[-1]))
    zeros = values == 0
    if zeros.all():  # a feed that only ever said nothing is no measure
        return Usual(issued_at=issued_at)
    low = 0.0 if zeros.mean() > RARE else float(values[~zeros].min())
    return Usual(level, low, float(values.max()), JUMP, bool(len(other)), tail, issued_at)


def _enough(steps: Steps) -> bool:
    return int((steps.end_ms - steps.start_ms).sum()) >= ENOUGH_H * HOUR_MS


def _profiled(zone: str, kind: Kind, issued_at: datetime | None) -> Usual:
    """The range of the built-in profile, generously; whether the real thing varies it does not tell.

    It is one of life cycles, but a zone far above that of clean plants always burns something.
    """
    found = profile(zone) if kind.signal is Signal.AVERAGE else None
    if found is None or (kind.basis is not Basis.LIFECYCLE and found.gco2_per_kwh < BURNS_ABOVE):
        return Usual(issued_at=issued_at)
    values: Intensities = np.array([found.gco2_per_kwh]) if found.table is None else found.table
    low, high = float(values.min()), float(values.max())
    return Usual(found.gco2_per_kwh, low, high, PROFILE_JUMP, issued_at=issued_at)
