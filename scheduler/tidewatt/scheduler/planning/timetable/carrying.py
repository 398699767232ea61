"""Prices of an earlier look at a queue, for the slots of a later one."""

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import Amounts, Places
from tidewatt.scheduler.planning.timetable.windows import Prices


def carried(prices: Prices, old: Places, new: Places) -> Prices | None:
    """The same prices at the same times, nothing where there were none; None where the places are others."""
    if old.names != new.names or old.site.tolist() != new.site.tolist():
        return None
    middles = (new.edges_ms[:-1] + new.edges_ms[1:]) // 2
    at = np.searchsorted(old.edges_ms, middles, "right") - 1
    known = (at >= 0) & (at < len(old.edges_ms) - 1)

    def taken(amounts: Amounts) -> Amounts:
        found = np.zeros((len(amounts), len(middles)))
        found[:, known] = amounts[:, at[known]]
        return found

    return Prices(taken(prices.unit), taken(prices.site))
