"""Ridge regression on standardised features, holes at the mean, with weights that change along the lead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FURTHEST = 4.0  # standard deviations: nothing is extrapolated beyond


@dataclass(frozen=True, slots=True)
class Linear:
    """`centre` and `scale` are (features,), `weight` (stretches, features) and `start` (stretches,).

    A feature that is not known counts as its centre.
    """

    centre: Floats
    scale: Floats
    weight: Floats
    start: Floats

    def predict(self, x: NDArray[np.floating], stretch: Integers) -> Floats:
        """One value for each row of `x` (rows, features), which is of the given stretch (rows,)."""
        standard = _standard(x, self.centre, self.scale)
        return np.asarray(np.einsum("rf,rf->r", standard, self.weight[stretch]) + self.start[stretch], float)


def fit(x: NDArray[np.floating], z: Floats, stretch: Integers, stretches: int, shrinkage: float) -> Linear:
    """Least squares of `z` (rows,) on `x` (rows, features) for each stretch.

    First for all rows together, the squared weights times `shrinkage` as a penalty, then for the rows of each
    stretch, what its weights differ from those of all times `shrinkage` as a penalty.
    """
    centre, scale = _moments(x)
    standard = _standard(x, centre, scale)
    middle = float(z.mean()) if len(z) else 0.0
    common = _solved(standard, z - middle, shrinkage)
    rest = z - middle - standard @ common
    weight = np.tile(common, (stretches, 1))
    start = np.full(stretches, middle)
    for each in range(stretches):
        mine = stretch == each
        if mine.any():
            offset = float(rest[mine].sum() / (mine.sum() + shrinkage))
            weight[each] += _solved(standard[mine], rest[mine] - offset, shrinkage)
            start[each] += offset
    return Linear(centre, scale, weight, start)


def _moments(x: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Mean and spread of what is known of each feature; the spread of what never changes counts as 1."""
    known = ~np.isnan(x)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, x, 0.0).astype(np.float64)
    centre = filled.sum(axis=0) / count
    spread = np.sqrt((np.where(known, filled - centre, 0.0) ** 2).sum(axis=0) / count)
    return centre, np.where(spread > 1e-6, spread, 1.0)


def _solved(a: Floats, z: Floats, shrinkage: float) -> Floats:
    return np.asarray(np.linalg.solve(a.T @ a + shrinkage * np.eye(a.shape[1]), a.T @ z), float)


def _standard(x: NDArray[np.floating], centre: Floats, scale: Floats) -> Floats:
    standard = (x - centre) / scale
    return np.clip(np.where(np.isnan(standard), 0.0, standard), -FURTHEST, FURTHEST)
