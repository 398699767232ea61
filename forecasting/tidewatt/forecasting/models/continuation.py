"""Own forecast of a fast signal, which also continues what a source issues for the next hours only.

Gradient boosting predicts, for each quarter of an hour of the next two days, how far it will be from the mean
of the same quarter over the last week. It is taught differences *within* those two days, as only they decide
when to run a job; how far their mean will be from the week's is a matter of four slowly changing numbers.
What the source issued is one thing that the trees see: near by they follow it, further on they learn how far
to. The five minutes inside a quarter keep the shape that they had over the week.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models import calendar
from tidewatt.forecasting.models.slots import (
    DAY_MS,
    HOUR_MS,
    WEEK,
    Columns,
    Integers,
    Issues,
    Past,
    Signal,
    Values,
    columns,
    mean,
)
from tidewatt.forecasting.series import Intensities, Steps

REACH_H = 48
FRESH_MS = 6 * HOUR_MS  # an older issue says nothing that the past does not
LEVEL = (
    "last 360 min against usual",
    "last 1440 min against usual",
    "last 2880 min against usual",
    "issued, end against usual",
)
LEADS_H = (0, 1, 3, 12, 24, REACH_H)  # within each of these errors are alike, hour of the day apart
BLOCK_H = 3
SOFT = 0.02  # share of the week's level below which predictions bend towards zero instead of crossing it
BATCH = 400
KNOWN = 0.25  # share of the hours ahead of which something must be known


class Trees(Protocol):
    """What turns features into the learnt number."""

    def predict(self, x: Values) -> NDArray[np.float64]:
        """(n,) for (n, features)."""
        ...


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of several."""

    members: tuple[Trees, ...]

    def predict(self, x: Values) -> NDArray[np.float64]:
        """(n,) for (n, features)."""
        return np.asarray(np.mean([each.predict(x) for each in self.members], axis=0), float)


@dataclass(frozen=True, slots=True)
class Worth:
    """Captured saving over the last quarter of the past, by a model taught on what lay before it.

    `usual` is that of the same-slot mean behind the issue; None where nothing could be saved.
    """

    own: float | None
    usual: float | None
    days: int

    @property
    def better(self) -> bool:
        """True where plans made with the model save more."""
        return self.own is not None and self.usual is not None and self.own > self.usual


@dataclass(frozen=True, slots=True)
class Ahead:
    """Predictions at moments, on the signal's steps: (moments, steps); row i begins at `start_ms[i]`."""

    start_ms: Integers
    gco2_per_kwh: Intensities
    p10: Intensities
    p90: Intensities


@dataclass(frozen=True, slots=True)
class Continuation:
    """A trained model of one zone.

    `errors` (2, lead blocks, hour blocks): 10 % and 90 % of errors over the swing of the week.
    """

    zone: str
    trained_ms: int
    names: tuple[str, ...]
    trees: Trees
    level: Intensities
    errors: Intensities
    worth: Worth = field(default=Worth(None, None, 0))

    @property
    def label(self) -> str:
        """What people are told of it."""
        own, usual = self.worth.own, self.worth.usual
        if own is None or usual is None:
            return "gradient boosting of quarter hours"
        return (
            f"gradient boosting of quarter hours, {100 * own:.0f} % of the possible saving in the last "
            f"{self.worth.days} days against {100 * usual:.0f} % of the issued forecast and same-hour means"
        )

    def predict(
        self, signal: Signal, issued: Issues, now_ms: int
    ) -> tuple[Steps, Intensities, Intensities] | None:
        """Steps from the slot of `now_ms` on, with 10 % and 90 % quantiles; None where the week had holes."""
        made = self.many(signal.before(now_ms), issued, np.array([now_ms], np.int64))
        known = ~np.isnan(made.gco2_per_kwh[0])
        if known.mean() < KNOWN:
            return None
        start = made.start_ms[0] + signal.step_ms * np.flatnonzero(known)
        steps = Steps(start, start + signal.step_ms, made.gco2_per_kwh[0, known])
        return steps, made.p10[0, known], made.p90[0, known]

    def many(self, signal: Signal, issued: Issues, moments_ms: Integers) -> Ahead:
        """Predictions at many moments, each from what had ended and been issued by it."""
        past = Past(signal)
        parts = [
            self._batch(past, issued, moments_ms[at : at + BATCH]) for at in range(0, len(moments_ms), BATCH)
        ]
        start = moments_ms // signal.slot_ms * signal.slot_ms
        values, low, high = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Ahead(start, values, low, high)

    def _batch(
        self, past: Past, issued: Issues, moments_ms: Integers
    ) -> tuple[Intensities, Intensities, Intensities]:
        signal = past.signal
        found = seen(past, issued, moments_ms, all_leads(signal, len(moments_ms)))
        shape = (len(moments_ms), -1)
        scale = found.scale.reshape(shape)[:, :1]
        level = slow(found, len(moments_ms)) @ self.level
        off = self.trees.predict(found.x).reshape(shape) + level[:, None]
        slots = found.base.reshape(shape) + off * scale
        values = np.repeat(slots, signal.per_slot, axis=1) + within(past, moments_ms)
        start = moments_ms // signal.slot_ms * signal.slot_ms
        swing = past.swing((moments_ms - signal.start_ms) // signal.slot_ms)[:, None]
        band = self.errors[:, *cells(signal, start, values.shape[1])] * swing
        floor = SOFT * scale
        return _above_zero(values, floor), np.maximum(values + band[0], 0), np.maximum(values + band[1], 0)


def usual(signal: Signal, issued: Issues, moments_ms: Integers, reach_h: int = REACH_H) -> Intensities:
    """What there is without a model: the issue as far as it says something, then same-slot means; (i, n)."""
    past = Past(signal)
    slots = reach_h * HOUR_MS // signal.slot_ms
    origins = (moments_ms - signal.start_ms) // signal.slot_ms
    same = past.same(np.repeat(origins, slots), np.tile(np.arange(slots), len(origins)))
    predicted = np.repeat(mean(same, axis=0).reshape(len(origins), -1), signal.per_slot, axis=1)
    predicted += within(past, moments_ms, reach_h)
    rows = issued.newest(moments_ms, FRESH_MS)
    for row, (issue, moment) in enumerate(zip(rows.tolist(), moments_ms.tolist(), strict=True)):
        if issue >= 0:
            late = (moment // signal.slot_ms) - int(issued.issued_ms[issue]) // signal.slot_ms
            says = np.repeat(issued.gco2_per_kwh[issue, late:], signal.per_slot)[: predicted.shape[1]]
            predicted[row, : len(says)] = np.where(np.isnan(says), predicted[row, : len(says)], says)
    return predicted


def seen(
    past: Past,
    issued: Issues,
    moments_ms: Integers,
    leads: Integers,
    hidden: NDArray[np.bool_] | None = None,
) -> Columns:
    """Features of each moment's leads, which lie moment after moment in `leads`."""
    each = len(leads) // len(moments_ms)
    rows = issued.newest(moments_ms, FRESH_MS)
    if hidden is not None:
        rows = np.where(hidden, -1, rows)
    origins = (moments_ms - past.signal.start_ms) // past.signal.slot_ms
    return columns(past, issued, np.repeat(rows, each), np.repeat(origins, each), leads)


def all_leads(signal: Signal, moments: int) -> Integers:
    """All slots ahead, once for each moment."""
    return np.tile(np.arange(REACH_H * HOUR_MS // signal.slot_ms), moments)


def slow(found: Columns, moments: int) -> Intensities:
    """The slow numbers of each moment, 0 where not known."""
    at = [found.names.index(name) for name in LEVEL]
    each = len(found.x) // moments
    return np.asarray(np.nan_to_num(found.x[::each][:, at]), float)


def within(past: Past, moments_ms: Integers, reach_h: int = REACH_H) -> Intensities:
    """How the steps inside each slot differ from its mean, over the last week: (moments, steps)."""
    signal = past.signal
    steps = reach_h * HOUR_MS // signal.step_ms
    if signal.per_slot == 1:
        return np.zeros((len(moments_ms), steps))
    day = DAY_MS // signal.step_ms
    first = moments_ms // signal.slot_ms * signal.slot_ms
    at = (first[:, None] - signal.start_ms) // signal.step_ms + np.arange(day) - day
    values = signal.gco2_per_kwh
    week = [
        np.where(
            (at >= back * day) & (at - back * day < len(values)),
            values.take(at - back * day, mode="clip"),
            np.nan,
        )
        for back in range(WEEK)
    ]
    same = mean(np.stack(week), axis=0).reshape(len(moments_ms), -1, signal.per_slot)
    shape = np.nan_to_num(same - mean(same, axis=2)[:, :, None]).reshape(len(moments_ms), -1)
    return np.asarray(np.tile(shape, (1, -(-steps // day)))[:, :steps], float)


def cells(signal: Signal, start_ms: Integers, steps: int) -> tuple[Integers, Integers]:
    """Which block of leads and of local hours each step belongs to: (moments, steps) both."""
    ahead = np.arange(steps) * signal.step_ms
    lead = np.searchsorted(np.array(LEADS_H[1:-1]) * HOUR_MS, ahead, side="right")
    local = calendar.local(start_ms, signal.timezone)
    block = (local[:, None] + ahead) % DAY_MS // (BLOCK_H * HOUR_MS)
    return np.broadcast_to(lead, block.shape), block


def _above_zero(values: Intensities, floor: Intensities) -> Intensities:
    """Values that bend towards zero below the floor, their order kept: hours below zero stay the cheapest."""
    low = values < floor
    return np.where(low, floor * np.exp(np.where(low, values - floor, 0.0) / floor), values)
