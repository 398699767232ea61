"""Emissions of metered energy under observed intensity, integrated exactly over both of their steps."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.reading import How, Span
from tidewatt.forecasting.series import Series

UJ_PER_KWH = 3_600_000_000_000
_UG_PER_MG = 1000

Instants = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """Metered energy over time, uniform within each `[start_ms, end_ms)`; components overlap.

    All arrays are (n,). `active_uj` is the draw above idle, `total_uj` has the idle draw in it.
    """

    start_ms: Instants
    end_ms: Instants
    active_uj: NDArray[np.float64]
    total_uj: NDArray[np.float64]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Draw":
        """The draw of an attempt; spans without duration or data carry no energy that could be placed."""
        known = [span for span in spans if span.how is not How.MISSING and span.end_ms > span.start_ms]
        return cls(
            np.array([span.start_ms for span in known], dtype=np.int64),
            np.array([span.end_ms for span in known], dtype=np.int64),
            np.array([span.active_uj for span in known], dtype=np.float64),
            np.array([span.active_uj + span.idle_uj for span in known], dtype=np.float64),
        )

    def moved(self, start_ms: int, end_ms: int, to_ms: int) -> "Draw":
        """The part inside `[start_ms, end_ms)`, moved in time so that `start_ms` falls on `to_ms`."""
        start, end = np.maximum(self.start_ms, start_ms), np.minimum(self.end_ms, end_ms)
        inside = end > start
        share = (end - start)[inside] / (self.end_ms - self.start_ms)[inside]
        by_ms = to_ms - start_ms
        return Draw(
            start[inside] + by_ms,
            end[inside] + by_ms,
            self.active_uj[inside] * share,
            self.total_uj[inside] * share,
        )


class Intensity:
    """Observed intensity in whole mg/kWh, with running integrals: sums over any stretch are exact."""

    def __init__(self, series: Series) -> None:
        known = np.isfinite(series.steps.gco2_per_kwh)
        self._start_ms = series.steps.start_ms[known]
        self._end_ms = series.steps.end_ms[known]
        self._mg_per_kwh = np.rint(series.steps.gco2_per_kwh[known] * 1000).astype(np.int64)
        length_ms = self._end_ms - self._start_ms
        self._covered_before = _running(length_ms)
        self._integral_before = _running(length_ms * self._mg_per_kwh)

    def covers(self, start_ms: int, end_ms: int) -> bool:
        """True where no instant of `[start_ms, end_ms)` lacks an observation."""
        edges = np.array([start_ms, end_ms], dtype=np.int64)
        before, after = self._until(edges, self._covered_before, np.ones_like(self._mg_per_kwh))
        return int(after - before) == end_ms - start_ms

    def mean_mg_per_kwh(self, start_ms: Instants, end_ms: Instants) -> NDArray[np.float64]:
        """Time-weighted means over stretches that are covered and longer than nothing."""
        until_end = self._until(end_ms, self._integral_before, self._mg_per_kwh)
        until_start = self._until(start_ms, self._integral_before, self._mg_per_kwh)
        return np.asarray((until_end - until_start) / (end_ms - start_ms), dtype=np.float64)

    def _until(self, edges_ms: Instants, before: Instants, rate: Instants) -> Instants:
        """The integral of `rate` from the first step up to each edge."""
        if not self._start_ms.size:
            return np.zeros_like(edges_ms)
        step = np.clip(np.searchsorted(self._start_ms, edges_ms, side="right") - 1, 0, None)
        within_ms = np.clip(edges_ms - self._start_ms[step], 0, self._end_ms[step] - self._start_ms[step])
        return np.asarray(before[step] + within_ms * rate[step], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Emissions:
    """Micrograms; `active_ug` of the draw above idle, `total_ug` of all of it. PUE not applied."""

    active_ug: float
    total_ug: float


def emissions(draw: Draw, intensity: Intensity) -> Emissions:
    """Energy times intensity; every span must be covered by observations."""
    ug_per_uj = intensity.mean_mg_per_kwh(draw.start_ms, draw.end_ms) * (_UG_PER_MG / UJ_PER_KWH)
    return Emissions(float(np.sum(draw.active_uj * ug_per_uj)), float(np.sum(draw.total_uj * ug_per_uj)))


def _running(values: Instants) -> Instants:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)[:-1]])
