"""Observed intensity of zones in whole milligrams, and the arithmetic of emissions: exact, rounded once."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.units import UJ_PER_KWH

_UG_PER_MG = 1000

Instants = NDArray[np.int64]


class Intensity:
    """Observed intensity in whole mg/kWh, constant within a step."""

    def __init__(self, series: Series) -> None:
        known = np.isfinite(series.steps.gco2_per_kwh)
        self._start_ms = series.steps.start_ms[known]
        self._end_ms = series.steps.end_ms[known]
        self._mg_per_kwh = np.rint(series.steps.gco2_per_kwh[known] * 1000).astype(np.int64)

    @property
    def borders_ms(self) -> Instants:
        """Where steps begin and end, ascending."""
        return np.union1d(self._start_ms, self._end_ms)

    def covers(self, start_ms: int, end_ms: int) -> bool:
        """True where no instant of `[start_ms, end_ms)` lacks an observation."""
        first = np.maximum(self._start_ms, start_ms)
        last = np.minimum(self._end_ms, end_ms)
        return int(np.clip(last - first, 0, None).sum()) == end_ms - start_ms

    def mg_per_kwh(self, at_ms: Iterable[int]) -> list[int]:
        """The intensity at each instant; all of them must be covered."""
        instants = np.fromiter(at_ms, dtype=np.int64)
        step = np.searchsorted(self._start_ms, instants, side="right") - 1
        return [int(each) for each in self._mg_per_kwh[step]]


def rounded(numerator: int, denominator: int) -> int:
    """The quotient to the nearest whole number, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)


def micrograms(uj_mg: int, times: int) -> int:
    """Energy times intensity, in microjoules times mg/kWh and multiplied by `times`, as micrograms."""
    return rounded(uj_mg * _UG_PER_MG, UJ_PER_KWH * times)
