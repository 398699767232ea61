"""What lies before each issue, and means over what is known of it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def windows(values: Floats, origins: Integers, length: int) -> Floats:
    """The `length` values before each origin, an index into `values`: (issues, length), NaN where none is."""
    after = max(0, int(origins.max()) - len(values)) if len(origins) else 0
    padded = np.concatenate([np.full(2 * length, np.nan), values, np.full(after, np.nan)])
    return np.array(sliding_window_view(padded, length)[np.maximum(origins + length, 0)], float)


def mean(values: Floats, axis: int) -> Floats:
    """Mean of what is known, NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), float)
