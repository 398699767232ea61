"""What electricity costs in a region over time, as a curve that can be integrated quickly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, Amounts, Times
from tidewatt.scheduler.region import PriceStep, Region


@dataclass(frozen=True, slots=True, eq=False)
class MoneyCurve:
    """Piecewise-constant price per kWh; before and after its `edges_ms` the mean of all of it holds."""

    edges_ms: Times
    prices: Amounts
    cumulative: Amounts
    usual: float

    def costs(self, starts_ms: Times, ends_ms: Times) -> Amounts:
        """What 1 kW costs over each `[start, end)`."""
        return self._until(ends_ms) - self._until(starts_ms)

    def cost(self, start_ms: int, end_ms: int) -> float:
        """The same of one."""
        return float(self.costs(np.array([start_ms]), np.array([end_ms]))[0])

    def of_slots(self, edges_ms: Times, *, lowest: bool = False) -> Amounts:
        """The mean price of each slot, or its lowest."""
        starts, ends = edges_ms[:-1], edges_ms[1:]
        means: Amounts = self.costs(starts, ends) * MS_PER_HOUR / (ends - starts)
        if not lowest:
            return means
        first = np.clip(np.searchsorted(self.edges_ms, starts, "right") - 1, 0, len(self.prices) - 1)
        last = np.clip(np.searchsorted(self.edges_ms, ends, "left"), first + 1, len(self.prices))
        least = np.array([self.prices[a:b].min() for a, b in zip(first, last, strict=True)])
        found: Amounts = np.minimum(means, least)
        return found

    def _until(self, times_ms: Times) -> Amounts:
        within = np.interp(times_ms, self.edges_ms, self.cumulative)
        outside = np.minimum(times_ms - self.edges_ms[0], 0) + np.maximum(times_ms - self.edges_ms[-1], 0)
        found: Amounts = within + outside * (self.usual / MS_PER_HOUR)
        return found


def money_of(region: Region) -> MoneyCurve | None:
    """The curve of a region whose price changes; None where it is one number, or none."""
    return _curve(region.prices) if region.prices else None


@lru_cache(maxsize=64)
def _curve(steps: Sequence[PriceStep]) -> MoneyCurve:
    edges = np.array([*(each.start_ms for each in steps), steps[-1].end_ms], np.int64)
    prices = np.array([each.per_kwh for each in steps], float)
    cumulative = np.append(0.0, np.cumsum(prices * np.diff(edges) / MS_PER_HOUR))
    usual = float(cumulative[-1]) * MS_PER_HOUR / float(edges[-1] - edges[0])
    return MoneyCurve(edges, prices, cumulative, usual)
