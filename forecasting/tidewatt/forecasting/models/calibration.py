"""Bands from errors that the model made on what it had not been trained on.

Split conformal prediction with errors scaled by how much the zone swings at the time: Lei et al., Journal of
the American Statistical Association 113 (2018) 1094-1111, section 5.2.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAY_H = 24
LOW, HIGH = 0.1, 0.9
LEAST = 1e-6
WIDENED = (0.5, 2.0)
TRUSTED = 200  # errors of one hour of the day count as much as those of all hours once there are so many


def band(errors: Floats, hour: Integers) -> tuple[Floats, Floats]:
    """10 % and 90 % quantile of errors (rows,) for each UTC hour: (24,) each, drawn to those of all hours."""
    low, high = np.quantile(errors, (LOW, HIGH))
    lows, highs = np.full(DAY_H, low), np.full(DAY_H, high)
    for each in range(DAY_H):
        mine = errors[hour == each]
        if len(mine):
            share = len(mine) / (len(mine) + TRUSTED)
            own_low, own_high = np.quantile(mine, (LOW, HIGH))
            lows[each] += share * (own_low - low)
            highs[each] += share * (own_high - high)
    return lows, highs


def covered(errors: Floats, hour: Integers, low: Floats, high: Floats) -> float:
    """Share of errors that lie in the band."""
    return float(np.mean((errors >= low[hour]) & (errors <= high[hour]))) if len(errors) else float("nan")


def widening(off: Floats, low: Floats, high: Floats) -> float:
    """What bands from `low` to `high` around 0 must be multiplied with to hold four fifths of late errors."""
    reach = np.where(off >= 0, off / np.maximum(high, LEAST), off / np.minimum(low, -LEAST))
    known = reach[~np.isnan(reach)]
    if not len(known):
        return 1.0
    return float(np.clip(np.quantile(known, HIGH - LOW), *WIDENED))


def stacked(members: Floats, z: Floats, pull: float) -> Floats:
    """Weights, none negative, 1 at most together, with which members (members, rows) come closest to `z`.

    `pull` draws them to equal weights that sum to 1: so much of the members' own variance is the penalty.
    Stacking: Breiman, Machine Learning 24 (1996) 49-64.
    """
    from scipy.optimize import nnls  # only where trained

    count, rows = members.shape
    spread = np.sqrt(pull * rows * max(float(np.mean(members**2)), 1e-12))
    a = np.concatenate([members.T, spread * np.eye(count)])
    b = np.concatenate([z, np.full(count, spread / count)])
    weight = np.asarray(nnls(a, b)[0], float)
    return weight / max(1.0, float(weight.sum()))
