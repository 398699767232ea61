"""Profiles of zones whose hours are not openly known, from what their country generates in a year."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from tidewatt.forecasting.dispatch import FACTORS, Behaviour, Place, shape
from tidewatt.forecasting.profile import MEAN, Profile, annual_mean
from tidewatt.forecasting.zones import keyed

BEHAVIOUR = Path(__file__).parent / "data" / "behaviour.csv"
GENERATION = Path(__file__).parent / "data" / "generation.csv"
FLAT = 0.005  # a grid that moves less than this about the mean of its days has no hours to choose from


@lru_cache(maxsize=512)
def modelled(zone_key: str) -> Profile | None:
    """The modelled profile of a country or a zone inside one.

    A zone inside a country has its own sun and clock, and its own generation where that is known, else what
    is generated around it, else the country's generation and level. Flat where hardly anything but one source
    runs, so that no hour differs from another; None where that is true of a country, or nothing is known.
    """
    zone = keyed(zone_key)
    if zone is None:
        return None
    of = zone.key if zone.key in generations() else zone.country
    if of not in generations():
        return None
    generation = generations()[of]
    shares = generation.shares
    level = annual_mean(of) or sum(FACTORS[fuel] * share for fuel, share in shares.items())
    label = f"modelled profile of {zone.key}, from {_described(generation)}"
    relative = shape(shares, Place(zone.latitude, zone.longitude, zone.timezone), behaviour())
    within = relative[..., MEAN] / relative[..., MEAN].mean(-1, keepdims=True) - 1
    if np.abs(within).max() < FLAT:
        if annual_mean(of) is not None:
            return None
        return Profile(zone.key, f"{label} (flat)", True, level, zone.timezone, None, modelled=True)
    return Profile(zone.key, label, False, level, zone.timezone, relative * level, modelled=True)


@dataclass(frozen=True, slots=True)
class Generation:
    """Shares of a year's generation by fuel; `whose` says whether of the `zone`: "own", or "around" it."""

    zone: str
    year: str
    whose: str
    shares: Mapping[str, float]


@cache
def generations() -> dict[str, Generation]:
    """What is generated in each country, and in zones inside some, or around them."""
    rows = csv.reader(line for line in GENERATION.read_text("utf-8").splitlines() if line[:1] != "#")
    fuels = next(rows)[3:]
    found = {}
    for key, year, whose, *thousandths in rows:
        twh = np.array(thousandths, float)
        found[key] = Generation(key, year, whose, dict(zip(fuels, (twh / twh.sum()).tolist(), strict=True)))
    return found


def _described(generation: Generation) -> str:
    where = "around it" if generation.whose == "around" else f"of {generation.zone}"
    return f"generation by source {where} in {generation.year}"


@cache
def behaviour() -> Behaviour:
    """How grids behave, as measured where hours are known."""
    rows = list(csv.reader(line for line in BEHAVIOUR.read_text("utf-8").splitlines() if line[:1] != "#"))
    table: dict[str, list[list[str]]] = {}
    for what, *rest in rows[1:]:
        table.setdefault(what, []).append(rest)
    demand = np.array([row[3:] for row in table["demand"]], float).reshape(-1, 12, 2, 24)
    return Behaviour(
        np.array(list(dict.fromkeys(float(row[0]) for row in table["demand"]))),
        demand,
        np.array([row[3:] for row in table["wind"]], float),
        {row[0]: float(row[3]) for row in table["response"]},
        {row[0]: float(row[3]) for row in table["trust"]},
        {row[0]: (float(row[3]), float(row[4])) for row in table["spread"]},
        float(table["widest"][0][3]),
    )
