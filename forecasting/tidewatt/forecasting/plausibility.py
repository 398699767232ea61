"""What of a fetch may be believed: values are kept or left out, with a reason, and never made up."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Kind, Signal
from tidewatt.forecasting.quantity import MW, WEATHER, kind_of
from tidewatt.forecasting.series import Intensities, Steps, empty, milliseconds
from tidewatt.forecasting.usual import Usual

HIGHEST_GCO2_PER_KWH = 2000.0
LARGEST_MW = 2_000_000.0  # more than any grid on earth generates
WEATHER_RANGES = {
    "weather temperature_k": (150.0, 350.0),
    "weather dew_point_k": (150.0, 350.0),
    "weather wind_m_s": (0.0, 150.0),
    "weather short_wave_w_m2": (-10.0, 1600.0),
    "weather precipitation_mm": (0.0, 1000.0),
}
BEYOND = 2.0  # times what the last week reached, which a jump must leave as well
SPIKE = 5.0  # times both neighbours
FALLS_FURTHER = 5.0  # at the stack a rainy or windy week leaves next to nothing, by life cycle never
NEVER_ZERO_ABOVE = 30.0  # gCO2/kWh: a zone of that level always burns something
SPIKE_G = 30.0
ANYWHERE_G = 300.0  # a grid without wind and water comes to this within hours, however clean it was
STEADY_MS = 24 * 3_600_000
AHEAD = timedelta(minutes=5)  # how far a service's clock may be ahead of ours
OLD = timedelta(hours=26)
LOST = timedelta(hours=96)  # a forecast this old is of no use
Which = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Checked:
    """What may be kept of a fetch, and what was done to it, in words for people."""

    fetched: Fetched
    remarks: tuple[str, ...]


def checked(fetched: Fetched, usual: Callable[[str], Usual], now: datetime) -> Checked:
    """The believable part of a fetch; every value in it stood in the fetch for the same time.

    `usual` tells what a quantity was like of late (see `usual.py`).
    """
    remarks: list[str] = []
    observed, issued = [], []
    for series in fetched.observed:
        told = _Told(series.quantity, series.quantity, usual(series.quantity), remarks)
        steps, _ = told.believed(_past(told, series.steps, now), ())
        if len(steps.start_ms):
            observed.append(Observed(series.quantity, steps))
    for forecast in fetched.issued:
        told = _Told(f"forecast of {forecast.quantity}", forecast.quantity, usual(forecast.quantity), remarks)
        kept = _issue(told, forecast, now)
        if kept is not None:
            issued.append(kept)
    return Checked(Fetched(tuple(observed), tuple(issued), fetched.notes), tuple(remarks))


@dataclass(frozen=True, slots=True)
class _Told:
    """Steps of one quantity under examination; `what` is how people call it."""

    what: str
    quantity: str
    usual: Usual
    remarks: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Notes what was done."""
        self.remarks.append(f"{self.what}: {text}")

    def believed(
        self, steps: Steps, beside: tuple[Intensities, ...]
    ) -> tuple[Steps, tuple[Intensities, ...]]:
        """The steps that may be believed, and the columns `beside` them."""
        order = self._ordered(steps)
        if order is None:
            return empty(), tuple(each[:0] for each in beside)
        steps, beside = _only(steps, beside, order)
        bad = self._impossible(steps.gco2_per_kwh)
        kind = kind_of(self.quantity)
        if kind is not None:
            bad |= self._unusual(kind, steps, bad) | self._stuck(steps)
        return _only(steps, beside, ~bad)

    def _ordered(self, steps: Steps) -> NDArray[np.int64] | None:
        """The steps to keep, in ascending order; None where they contradict each other."""
        if not len(steps.start_ms) == len(steps.end_ms) == len(steps.gco2_per_kwh):
            self.say("times and values are not equally many: refused")
            return None
        if (steps.end_ms <= steps.start_ms).any():
            self.say("a step ends before it starts: refused")
            return None
        order = np.argsort(steps.start_ms, kind="stable")
        if (np.diff(order) < 0).any():
            self.say("out of order: sorted")
        start_ms = steps.start_ms[order]
        last = np.append(start_ms[1:] != start_ms[:-1], np.ones(min(1, len(order)), bool))
        if not last.all():
            self.say(f"{int((~last).sum())} repeated: the last of each counts")
        order = np.asarray(order[last], np.int64)
        if (steps.start_ms[order][1:] < steps.end_ms[order][:-1]).any():
            self.say("steps overlap: refused")
            return None
        return order

    def _impossible(self, values: Intensities) -> Which:
        """What no quantity of this sort can be, all of it where half is: another unit then."""
        unknown = ~np.isfinite(values)
        if unknown.any():
            self.say(f"{int(unknown.sum())} without a value: left open")
        low, high = self.bounds()
        outside = ~unknown & ((values < low) | (values > high))
        if 2 * outside.sum() > (~unknown).sum():
            text = f"{int(outside.sum())} values are not between {low:g} and {high:g}: refused"
            self.say(f"{text}; is it another unit?")
            return np.ones(len(values), bool)
        if outside.any():
            self.say(f"{int(outside.sum())} values not between {low:g} and {high:g}: left open")
        return unknown | outside

    def bounds(self) -> tuple[float, float]:
        """The least and the most that such a quantity can be."""
        if self.quantity.startswith(MW):
            return -LARGEST_MW, LARGEST_MW
        if self.quantity.startswith(WEATHER):
            return WEATHER_RANGES.get(self.quantity, (-np.inf, np.inf))
        return 0.0, HIGHEST_GCO2_PER_KWH

    def _unusual(self, kind: Kind, steps: Steps, bad: Which) -> Which:
        """Zeros, jumps and spikes. What one more kWh causes may well be nothing, or jump."""
        values, level = np.where(bad, np.nan, steps.gco2_per_kwh), self.usual.level
        falls = kind.signal is Signal.AVERAGE
        none = np.zeros(len(values), bool)
        zero = jump = none
        if level is not None:
            least = level / self.usual.jump / (FALLS_FURTHER if kind.basis is Basis.DIRECT else 1.0)
            low = min(least, self.usual.low / BEYOND)
            high = max(level * self.usual.jump, self.usual.high * BEYOND)
            if falls and level > NEVER_ZERO_ABOVE and self.usual.low > 0:
                zero = values == 0
            jump = ~zero & ((values > max(high, ANYWHERE_G)) | (falls & (values < low) & (level > SPIKE_G)))
        spike = none
        if falls:
            spike = _spikes(np.where(zero | jump, np.nan, values))
            if level is not None:
                spike &= (values < self.usual.low) | (values > self.usual.high)
        if zero.any():
            self.say(f"{int(zero.sum())} zeros where {level:.0f} g is usual: left open")
        if jump.any() and 2 * jump.sum() > (~bad).sum():
            middle = float(np.nanmedian(values))
            self.say(f"at {middle:.0f} g, far from the {level:.0f} g of the last days: refused")
            return ~none
        if jump.any():
            self.say(f"{int(jump.sum())} values far from the {level:.0f} g of the last days: left open")
        if spike.any():
            self.say(f"{int(spike.sum())} spikes: left open")
        return zero | jump | spike

    def _stuck(self, steps: Steps) -> Which:
        """Values exactly equal for a day or longer, where they used to vary."""
        values, tail = steps.gco2_per_kwh, self.usual.tail
        stuck = np.zeros(len(values), bool)
        if self.usual.varied is not True or not len(values):
            return stuck
        goes_on = (values[1:] == values[:-1]) & (steps.start_ms[1:] == steps.end_ms[:-1])
        firsts = np.flatnonzero(np.append(True, ~goes_on))
        lasts = np.append(firsts[1:], len(values)) - 1
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            since, until = int(steps.start_ms[first]), int(steps.end_ms[last])
            if tail is not None and values[first] == tail[0] and since <= tail[2] < until:
                since = min(since, tail[1])
            stuck[first : last + 1] = until - since >= STEADY_MS
        if stuck.any():
            hours = STEADY_MS // 3_600_000
            self.say(f"{int(stuck.sum())} values exactly the same for {hours} h or longer: left open")
        return stuck


def _past(told: _Told, steps: Steps, now: datetime) -> Steps:
    """Observed steps without those that have not ended; what has not even begun is spoken of."""
    now_ms = milliseconds(now)
    if not len(steps.end_ms) == len(steps.start_ms) == len(steps.gco2_per_kwh):
        return steps
    coming = int((steps.start_ms > now_ms + AHEAD // timedelta(milliseconds=1)).sum())
    if coming:
        told.say(f"{coming} observations of times to come: left out")
    ended = steps.end_ms <= now_ms
    return (
        steps if ended.all() else Steps(steps.start_ms[ended], steps.end_ms[ended], steps.gco2_per_kwh[ended])
    )


def _issue(told: _Told, issued: Issued, now: datetime) -> Issued | None:
    """The believable part of a forecast; None where nothing of it is."""
    held = told.usual.issued_at
    if issued.issued_at > now + AHEAD:
        told.say(f"issued at {issued.issued_at:%Y-%m-%d %H:%M} UTC, which is still to come: refused")
        return None
    if held is not None and issued.issued_at < held:
        told.say("older than the one before: refused")
        return None
    if now - issued.issued_at > LOST:
        told.say(f"issued {(now - issued.issued_at).days} days ago: refused")
        return None
    if now - issued.issued_at > OLD:
        told.say(f"the newest was issued at {issued.issued_at:%Y-%m-%d %H:%M} UTC: old, kept as such")
    if not len(issued.steps.end_ms) or int(issued.steps.end_ms.max()) <= milliseconds(now):
        told.say("all of it is past: refused")
        return None
    quantiles = tuple(each for each in (issued.p10, issued.p90) if each is not None)
    if any(len(each) != len(issued.steps.start_ms) for each in quantiles):
        told.say("quantiles and values are not equally many: quantiles left out")
        issued, quantiles = replace(issued, p10=None, p90=None), ()
    steps, beside = told.believed(issued.steps, quantiles)
    if not len(steps.start_ms):
        return None
    columns = iter(beside)
    p10 = None if issued.p10 is None else next(columns)
    p90 = None if issued.p90 is None else next(columns)
    if not _in_order(told, p10, p90):
        told.say("quantiles that cannot be: left out")
        p10 = p90 = None
    return Issued(issued.quantity, issued.issued_at, steps, p10, p90)


def _in_order(told: _Told, p10: Intensities | None, p90: Intensities | None) -> bool:
    """True where quantiles are numbers that the quantity may have, the lower below the upper."""
    low, high = told.bounds()
    inside = all(each is None or not ((each < low) | (each > high)).any() for each in (p10, p90))
    return inside and (p10 is None or p90 is None or not (p10 > p90).any())


def _spikes(values: Intensities) -> Which:
    """Single values that lie far above or far below both their neighbours."""
    spike = np.zeros(len(values), bool)
    before, mid, after = values[:-2], values[1:-1], values[2:]
    lower, upper = np.fmin(before, after), np.fmax(before, after)
    both = ~np.isnan(before) & ~np.isnan(after)
    above = (mid > SPIKE * upper) & (mid - upper > SPIKE_G)
    below = (SPIKE * mid < lower) & (lower - mid > SPIKE_G)
    spike[1:-1] = both & (above | below)
    return spike


def _only(
    steps: Steps, beside: tuple[Intensities, ...], which: NDArray[np.bool_] | NDArray[np.int64]
) -> tuple[Steps, tuple[Intensities, ...]]:
    """These steps alone, and what stands beside them."""
    cut = Steps(steps.start_ms[which], steps.end_ms[which], steps.gco2_per_kwh[which])
    return cut, tuple(each[which] for each in beside)
