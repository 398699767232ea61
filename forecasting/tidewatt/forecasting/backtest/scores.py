"""Errors of forecasts: how far off they were, by day ahead, and whether their bands held."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_GCO2_PER_KWH = 1.0  # below it a relative error says nothing
CLEAN_GCO2_PER_KWH = 50.0  # a zone below it is judged in grams: percentages of little mislead
DAY_STEPS = 24
LOW, HIGH = 0.1, 0.9


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute error over `steps` steps, in percent of what was observed and in gCO2/kWh; None: no step.

    The percentage leaves out steps below 1 g/kWh.
    """

    mape_percent: float | None
    mae_g: float | None
    steps: int


@dataclass(frozen=True, slots=True)
class Band:
    """How the band between the 10 % and the 90 % quantile held.

    `coverage` is the share of steps inside it (0.8 is right), `pinball_g` the mean quantile loss of the two
    (Koenker and Bassett 1978, Econometrica 46, equation 1.2; less is better), `width_g` its mean width.
    """

    coverage: float
    pinball_g: float
    width_g: float


def ahead(actual: Values, issue_at: NDArray[np.integer], steps: int) -> Values:
    """What was observed in the `steps` steps from each of `issue_at` on, (issues, steps); else NaN."""
    at = issue_at[:, None] + np.arange(steps)
    inside = (at >= 0) & (at < len(actual))
    found = np.full(at.shape, np.nan)
    found[inside] = actual[at[inside]]
    return found


def errors(observed: Values, predicted: Values) -> Errors:
    """Errors over all steps where both are known; arrays of one shape, gCO2/kWh."""
    known = ~(np.isnan(observed) | np.isnan(predicted))
    off = np.abs(predicted[known] - observed[known])
    relative = observed[known] >= LEAST_GCO2_PER_KWH
    share = off[relative] / observed[known][relative]
    return Errors(
        100 * float(share.mean()) if share.size else None,
        float(off.mean()) if off.size else None,
        int(off.size),
    )


def by_day(observed: Values, predicted: Values, day_steps: int = DAY_STEPS) -> tuple[Errors, ...]:
    """Errors of the first, second ... day ahead; arrays (issues, steps); the last may be a part of a day."""
    edges = range(0, observed.shape[1], day_steps)
    return tuple(errors(observed[:, at : at + day_steps], predicted[:, at : at + day_steps]) for at in edges)


def band(observed: Values, p10: Values, p90: Values) -> Band | None:
    """How a band held where it and the observation are known; None where that is nowhere."""
    known = ~(np.isnan(observed) | np.isnan(p10) | np.isnan(p90))
    if not known.any():
        return None
    real, low, high = observed[known], p10[known], p90[known]
    inside = (real >= low) & (real <= high)
    loss = (_pinball(real - low, LOW) + _pinball(real - high, HIGH)) / 2
    return Band(float(inside.mean()), float(loss.mean()), float((high - low).mean()))


def clean(mean_g: float) -> bool:
    """True for a zone whose forecasts are judged by grams, not by percent."""
    return mean_g < CLEAN_GCO2_PER_KWH


def median(values: Iterable[float | None]) -> float | None:
    """The median of those that are known; None where none is."""
    known = _known(values)
    return float(np.median(known)) if known else None


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known; None where none is."""
    known = _known(values)
    return float(np.mean(known)) if known else None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _pinball(above: Values, quantile: float) -> Values:
    """Loss of a quantile that the observation is `above`: asymmetric, as the quantile is."""
    return np.maximum(quantile * above, (quantile - 1) * above)
