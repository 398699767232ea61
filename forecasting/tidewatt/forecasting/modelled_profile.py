"""Profiles of zones whose hours are not openly known, from what their country generates in a year."""

import csv
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from tidewatt.forecasting.dispatch import FACTORS, Behaviour, Place, shape
from tidewatt.forecasting.profile import MEAN, Profile, annual_mean
from tidewatt.forecasting.zones import Zone, keyed

BEHAVIOUR = Path(__file__).parent / "data" / "behaviour.csv"
GENERATION = Path(__file__).parent / "data" / "generation.csv"
FLAT = 0.005  # a grid that moves less than this about the mean of its days has no hours to choose from


@lru_cache(maxsize=512)
def modelled(zone_key: str) -> Profile | None:
    """The modelled profile of a country or a zone inside one.

    A zone inside a country has its own sun and clock, with the generation that is known around it, else the
    country's generation and level. None where no generation is known, or where it is of one kind only, so
    that no hour differs from another.
    """
    zone = keyed(zone_key)
    if zone is None:
        return None
    of = zone.key if zone.key in generations() else zone.country
    if of not in generations():
        return None
    year, shares = generations()[of]
    level = annual_mean(of) or sum(FACTORS[fuel] * share for fuel, share in shares.items())
    relative = shape(shares, Place(zone.latitude, zone.longitude, zone.timezone), behaviour())
    within = relative[..., MEAN] / relative[..., MEAN].mean(-1, keepdims=True) - 1
    if np.abs(within).max() < FLAT:
        return None
    return Profile(
        zone.key, _label(zone, of, year), False, level, zone.timezone, relative * level, modelled=True
    )


def _label(zone: Zone, of: str, year: str) -> str:
    """Whose generation it was: the country's own, that around a zone inside it, or the whole country's."""
    if zone.key == zone.country:
        return f"modelled profile of {zone.key}, from its generation by source in {year}"
    whose = "generation by source around it" if of == zone.key else f"generation by source of all {of}"
    return f"modelled profile of {zone.key}, from {whose} in {year}"


@cache
def generations() -> dict[str, tuple[str, dict[str, float]]]:
    """Year and shares of generation by fuel, by zone: countries, and zones whose surroundings are known."""
    rows = csv.reader(line for line in GENERATION.read_text("utf-8").splitlines() if line[:1] != "#")
    fuels = next(rows)[2:]
    found = {}
    for key, year, *thousandths in rows:
        twh = np.array(thousandths, float)
        found[key] = year, dict(zip(fuels, (twh / twh.sum()).tolist(), strict=True))
    return found


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
