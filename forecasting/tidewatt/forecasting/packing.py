"""Numbers of steps as few bytes: whole thousandths, differences from one to the next, packed."""

import zlib

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Intensities

PER_UNIT = 1000  # mg/kWh, kW, mK: what is kept of a number are whole thousandths of its unit
UNKNOWN = np.iinfo(np.int64).min
LARGEST = 2**52  # thousandths above this are no longer exact as floats
Whole = NDArray[np.int64]


def thousandths(values: Intensities) -> Whole:
    """Whole thousandths; NaN and what cannot be kept become `UNKNOWN`."""
    values = np.asarray(values, float)
    fits = np.abs(values) < LARGEST / PER_UNIT  # neither NaN nor without end
    return np.where(fits, np.rint(np.where(fits, values, 0.0) * PER_UNIT).astype(np.int64), UNKNOWN)


def units(whole: Whole) -> Intensities:
    """The numbers in their unit, NaN where unknown."""
    return np.where(whole == UNKNOWN, np.nan, whole / PER_UNIT)


def packed(*columns: Whole) -> bytes:
    """Columns of equal length as bytes.

    Each is turned into differences, and bytes of equal weight stand together, as they are mostly alike.
    """
    table = np.array(columns, np.int64)
    table[:, 1:] = np.diff(table, axis=1)  # wraps around where it must, and back again
    shuffled = np.ascontiguousarray(table.view(np.uint8).reshape(table.size, 8).T)
    return zlib.compress(shuffled.tobytes(), 9)


def unpacked(content: bytes, count: int) -> tuple[Whole, ...] | None:
    """The `count` columns again; None where the bytes are damaged."""
    try:
        raw = np.frombuffer(zlib.decompress(content), np.uint8)
    except zlib.error:
        return None
    if len(raw) % (8 * count):
        return None
    table = np.ascontiguousarray(raw.reshape(8, -1).T).view(np.int64).reshape(count, -1)
    return tuple(np.cumsum(table, axis=1))
