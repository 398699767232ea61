"""A trained model of one zone: for each stretch ahead its members, their weights and the spread of errors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.features import columns
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, Prediction
from tidewatt.forecasting.models.linear import Linear
from tidewatt.forecasting.models.trees import Forest

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NAME = "gradient boosting"
LONGEST_H = 168
LATEST_H = 48  # observations that ended longer ago say too little of what comes
DAY_H = 24
STRETCH_H = 3  # hours of the day that share the weights of a line
STRETCHES = 24 // STRETCH_H
STEADY = 0.02  # added to every scale of errors: where nothing moved lately something still may
MEMBERS = ("trees", "trees on the line", "line")


@dataclass(frozen=True, slots=True)
class Block:
    """What predicts the hours `[start_h, end_h)` ahead.

    The log-ratio is the sum over `MEMBERS`, each times its weight (members,). `p10` and `p90` (24,) are
    errors by UTC hour, in units of `scales`.
    """

    start_h: int
    end_h: int
    direct: Forest | None
    rest: Forest | None
    line: Linear
    weight: Floats
    p10: Floats
    p90: Floats

    def log_ratio(self, x: NDArray[np.floating], hour: Integers) -> Floats:
        """The log-ratio to the base for features (issues, hours, features) and UTC hours (issues, hours)."""
        rows = x.reshape(-1, x.shape[-1])
        line = self.line.predict(rows, np.ravel(hour) // STRETCH_H)
        if self.direct is None or self.rest is None:
            ratio = self.weight[-1] * line
        else:
            ratio = self.weight @ np.stack([self.direct.predict(rows), line + self.rest.predict(rows), line])
        return np.asarray(ratio, float).reshape(x.shape[:2])


@dataclass(frozen=True, slots=True)
class Issued:
    """Forecasts from many origins, gCO2/kWh: (issues, hours) each; NaN where too little was known."""

    mean: Floats
    p10: Floats
    p90: Floats


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model. Times are Unix ms; `captured` is the share of the possible saving by forecaster.

    It was trained on hours of `[from_ms, to_ms)`; `captured` is of the last `judged_days` of them, which the
    members that were judged had not seen; `coverage` of the 10-90 band is out of fold too.
    """

    zone: str
    quantity: str
    from_ms: int
    to_ms: int
    features: tuple[str, ...]
    blocks: tuple[Block, ...]
    captured: Mapping[str, float]
    judged_days: float
    coverage: float
    name: str = NAME

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next `hours` hours, as many of them as lie within 168 h of the last observation.

        None where nothing was observed for two days, or too little in the last week.
        """
        now = (history.now_ms - history.start_ms) // HOUR_MS
        origin = ended(history)
        late = now - origin
        hours = min(hours, LONGEST_H - late)
        if origin < DAY_H or late > LATEST_H or hours < 1:
            return None
        made = self.issued(history, np.array([origin]), late + hours, np.array([history.now_ms]))
        if np.isnan(made.mean).any():
            return None
        start_ms = history.start_ms + now * HOUR_MS
        return Prediction(start_ms, made.mean[0, late:], made.p10[0, late:], made.p90[0, late:])

    def issued(
        self, history: History, origins: Integers, hours: int, moments_ms: Integers | None = None
    ) -> Issued:
        """Forecasts from each origin, the index of the first hour not known then; `hours` is 168 at most."""
        seen = columns(history, origins, np.arange(hours), moments_ms)
        x = aligned(seen.x, seen.names, self.features)
        scale = scales(seen.swing)[:, None]
        parts: list[tuple[Floats, Floats, Floats]] = []
        for block in self.blocks:
            ahead = np.arange(block.start_h, min(block.end_h, hours))
            if len(ahead):
                hour = utc_hour(history, origins, ahead)
                mean = seen.log_base[:, ahead] + block.log_ratio(x[:, ahead], hour)
                low, high = np.minimum(block.p10[hour] * scale, 0), np.maximum(block.p90[hour] * scale, 0)
                parts.append((mean, mean + low, mean + high))
        return Issued(*(np.exp(np.concatenate(each, axis=1)) for each in zip(*parts, strict=True)))


def ended(history: History) -> int:
    """The index of the first hour after the last one with a value that had ended at `now`."""
    until = max(0, (history.now_ms - history.start_ms) // HOUR_MS)
    known = np.flatnonzero(~np.isnan(history.gco2_per_kwh[:until]))
    return int(known[-1]) + 1 if len(known) else 0


def utc_hour(history: History, origins: Integers, ahead: Integers) -> Integers:
    """The UTC hour of each hour ahead of each origin."""
    return np.asarray((history.start_ms // HOUR_MS + origins[:, None] + ahead) % DAY_H, np.int64)


def aligned(x: NDArray[np.float32], names: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.float32]:
    """The features in the order of `wanted`; one that is not there any more is not known."""
    if names == wanted:
        return x
    place = {name: number for number, name in enumerate(names)}
    blank = np.full(x.shape[:2], np.nan, np.float32)
    return np.stack([x[..., place[name]] if name in place else blank for name in wanted], axis=-1)


def scales(swing: Floats) -> Floats:
    """The unit of errors at each issue, a log-ratio."""
    return np.asarray(np.where(np.isnan(swing), 0.3, swing) + STEADY, float)
