"""Features of the generation mix: shares by fuel as they were lately, and how demand moves."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.lookback import mean, windows

Integers = NDArray[np.int64]
Megawatts = NDArray[np.float64]

FUELS = ("coal", "gas", "hydro", "nuclear", "solar", "wind")
DAY_H = 24
WEEK_H = 7 * DAY_H


def columns(
    mw: Mapping[str, Megawatts], origins: Integers, hours: Integers
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Shares of each main fuel and the course of all generation, from before each origin (issues, hours)."""
    generation = {fuel: power for fuel, power in mw.items() if fuel not in ("demand", "imports")}
    if not generation:
        return
    total = _sum(list(generation.values()))
    slot = hours % DAY_H
    for fuel in FUELS:
        if fuel in generation:
            yield from _share(fuel, generation[fuel] / total, origins, slot)
    load = np.log(total)
    week = _week(load, origins)
    same = mean(week.reshape(len(origins), 7, DAY_H), 1)
    off = week - np.tile(same, (1, 7))
    yield "generation, yesterday", (week[:, -DAY_H:] - same)[:, slot]
    yield "generation, 7 d before", week[:, hours % WEEK_H] - same[:, slot]
    for span in (3, 24):
        yield f"generation, last {span} h against usual", mean(off[:, -span:], 1)[:, None]
    yield "generation, shape of the day", (same - mean(same, 1)[:, None])[:, slot]


def _share(
    fuel: str, share: Megawatts, origins: Integers, slot: Integers
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    week = _week(share, origins)
    same = mean(week.reshape(len(origins), 7, DAY_H), 1)
    off = week - np.tile(same, (1, 7))
    yield f"{fuel}, same hour", same[:, slot]
    yield f"{fuel}, yesterday", (week[:, -DAY_H:] - same)[:, slot]
    for span in (3, 24):
        yield f"{fuel}, last {span} h against usual", mean(off[:, -span:], 1)[:, None]


def _sum(powers: list[Megawatts]) -> Megawatts:
    """All generation; NaN where no fuel is known or nothing is generated."""
    stacked = np.stack(powers)
    total = np.nansum(stacked, axis=0)
    return np.where(np.isnan(stacked).all(axis=0) | (total <= 0), np.nan, total)


def _week(values: Megawatts, origins: Integers) -> Megawatts:
    """The last week before each origin: (issues, 168)."""
    return windows(values, origins, WEEK_H)
