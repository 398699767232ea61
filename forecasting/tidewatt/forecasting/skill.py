"""How much of what a source says comes true: learnt from what it said before and what was then observed.

Every witness of an hour ahead says by how much it will deviate from what is usual. The skill is a
regression of the observed deviation on theirs, by the horizon: no weight is negative, and those of the
forecast's own numbers sum to 1 at most (James and Stein, Berkeley Symposium 1961, on why such means are
shrunk; Smith and Winkler, Management Science 52 (2006) 311-322, on the disappointment of those who choose
by unshrunk ones).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError

Floats = NDArray[np.float64]

EDGES_H = (0, 1, 3, 6, 12, 24, 48, 72, 96)
CENTRES_H = tuple((start + end) / 2 for start, end in pairwise(EDGES_H))
PRIOR = (0.95, 0.95, 0.95, 0.95, 0.95, 0.9, 0.85, 0.8)
"""Weight of a forecast before it has shown anything: of what nine zones' stored forecasts of 2022 earned, by
bucket, the median is 0.92, 0.91, 1.0, 1.03, 0.91, 0.88, 0.87 and 0.82."""
TRUST_DAYS = 1.5  # days of trials after which they count as much as the prior
LEAST_DAYS = 1.0  # with fewer nothing is learnt
LOW, HIGH = 0.1, 0.9
LEAST_G2 = 1e-9
FARTHEST_G = 2000.0  # gCO2/kWh: no grid is that dirty, so no deviation is larger, whatever a source says
USUALLY, BEYOND = 0.9, 4.0  # nothing counts as more than so many times this quantile of what was observed
LEAST_SPREAD_G = 1.0  # of what was observed


@dataclass(frozen=True, slots=True, eq=False)
class Skill:
    """What witnesses are worth by the horizon, `B` buckets with the centres `CENTRES_H`.

    `weight` is (B, W), one column a witness; `offset` (B,) what they all miss, gCO2/kWh; `low` and `high`
    (B,) the 10 % and 90 % quantile of what was left, gCO2/kWh; `days` (B,) how many days of trials there
    were.
    """

    weight: Floats
    offset: Floats
    low: Floats
    high: Floats
    days: Floats

    @property
    def known_days(self) -> float:
        """How many days of trials its nearest hours have seen."""
        return float(self.days.max())

    def at(self, horizon_h: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Weights (h, W), offset, low and high (h,) at these horizons, straight between the centres."""
        columns = (self.offset, self.low, self.high)
        offset, low, high = (np.interp(horizon_h, CENTRES_H, column) for column in columns)
        weight = [np.interp(horizon_h, CENTRES_H, column) for column in self.weight.T]
        return np.column_stack(weight), offset, low, high


def learn(observed: Floats, said: Sequence[Floats], prior: Sequence[Floats], trials_a_day: float) -> Skill:
    """The skill shown in trials: `observed` and each of `said` are deviations (trials, hours ahead).

    NaN in `observed` where nothing is known yet. `prior` holds (B,) for each witness: what it weighs before
    anything is known. The first witnesses but the last are the forecast's own numbers. What is told or
    observed far outside of what usually is counts as its bound: days on which a source was wrong by orders of
    magnitude spoil neither offset nor band.

    Raises:
        ForecastError: shapes do not fit.
    """
    if any(each.shape != observed.shape for each in said) or len(prior) != len(said):
        raise ForecastError("each witness needs as many trials and hours as were observed, and a prior")
    parts = []
    for bucket, (start, end) in enumerate(pairwise(EDGES_H)):
        known = np.isfinite(observed[:, start:end])
        for each in said:
            known &= np.isfinite(each[:, start:end])
        y = observed[:, start:end][known]
        x = [each[:, start:end][known] for each in said]
        y, *x = _bounded(y, x)
        days = len(y) / ((end - start) * trials_a_day)
        parts.append((*_fitted(y, np.array(x), np.array([each[bucket] for each in prior]), days), days))
    for bucket in range(1, len(parts)):  # what is not known so far ahead is no better than it is nearer
        if parts[bucket][-1] < LEAST_DAYS <= parts[bucket - 1][-1]:
            parts[bucket] = parts[bucket - 1]
    weight, offset, low, high, days_of = (np.array(column) for column in zip(*parts, strict=True))
    return Skill(weight, offset, low, high, days_of)


def _bounded(observed: Floats, said: Sequence[Floats]) -> list[Floats]:
    """What was observed and said, none of it farther from 0 than may be."""
    spread = (
        np.quantile(np.abs(np.clip(observed, -FARTHEST_G, FARTHEST_G)), USUALLY) if len(observed) else 0.0
    )
    bound = min(BEYOND * max(float(spread), LEAST_SPREAD_G), FARTHEST_G)
    return [np.clip(each, -bound, bound) for each in (observed, *said)]


def _fitted(y: Floats, x: Floats, prior: Floats, days: float) -> tuple[Floats, float, float, float]:
    """Weights, offset and the quantiles of what is left."""
    if days < LEAST_DAYS:
        return prior, 0.0, np.nan, np.nan
    x_mean, y_mean = x.mean(axis=1), float(y.mean())
    apart, rest = x - x_mean[:, None], y - y_mean
    moments = apart @ apart.T / len(y)
    pull = np.diag(np.maximum(np.diag(moments), LEAST_G2)) * TRUST_DAYS / days
    weight = _not_negative(moments + pull, apart @ rest / len(y) + pull @ prior)
    own = float(weight[:-1].sum())
    if own > 1:
        weight[:-1] /= own
    share = days / (days + TRUST_DAYS)
    most = float(np.abs(y).max())
    offset = min(max(share * float(y_mean - weight @ x_mean), -most), most)
    left = y - weight @ x - offset
    wider = 1 + 1 / days  # few days have not seen the worst
    low, high = np.quantile(left, (LOW, HIGH)) * wider
    return weight, offset, float(min(low, 0.0)), float(max(high, 0.0))


def _not_negative(square: Floats, right: Floats) -> Floats:
    """The minimum of `w' square w / 2 - right' w` over `w >= 0`, for a few weights."""
    count = len(right)
    best, best_value = np.zeros(count), 0.0
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            at = np.array(chosen)
            some = np.linalg.solve(square[np.ix_(at, at)], right[at])
            value = -float(right[at] @ some) / 2
            if (some >= 0).all() and value < best_value:
                best, best_value = np.zeros(count), value
                best[at] = some
    return best
