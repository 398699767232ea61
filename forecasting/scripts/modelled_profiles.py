"""Writes what modelled profiles stand on: `python forecasting/scripts/modelled_profiles.py DATA`.

DATA is a folder with `production_mix_hourly_42zones_2019_2022.parquet` and `country_annual.csv`. From the
first, how grids behave (`behaviour.csv`); from the second, what countries generate (`generation.csv`).
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from tidewatt.forecasting.dispatch import Behaviour, Parts, Place, parts, within_days
from tidewatt.forecasting.mix import DISPATCHABLE
from tidewatt.forecasting.series import Intensities
from tidewatt.forecasting.zones import EARTH_RADIUS_KM, every, zone

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripts import profile_tables  # the cleaning that the built-in profiles use as well

OUT = profile_tables.OUT
SUBNATIONAL = Path(__file__).parent / "subnational.csv"
COLUMNS = {
    "mw_coal": "coal",
    "mw_nat_gas": "gas",
    "mw_oil": "oil",
    "mw_biomass": "biomass",
    "mw_geothermal": "geothermal",
    "mw_hydro": "hydro",
    "mw_nuclear": "nuclear",
    "mw_solar": "solar",
    "mw_wind": "wind",
    "mw_other": "other",
    "mw_unknown": "other",
}
ANNUAL = {
    "coal_twh": "coal",
    "gas_twh": "gas",
    "oil_twh": "oil",
    "biofuel_twh": "biomass",
    "other_renewable_twh": "geothermal",
    "hydro_twh": "hydro",
    "nuclear_twh": "nuclear",
    "solar_twh": "solar",
    "wind_twh": "wind",
}
FUELS = tuple(dict.fromkeys(COLUMNS.values()))
MOST_HYDRO = 0.3  # a grid with more generates for its neighbours' demand as well
MOST_OF_ONE = 0.98  # of one fuel: a few plants, not a grid
TRUSTED = ("sun", "demand", "wind", "month", "day")
LATITUDES = np.arange(25.0, 60.0, 5.0)
NEAR_DEG = 5.0  # zones count exp(-|difference of latitude| / this)
NEAR_KM = 300.0  # around a zone inside a country, zones count exp(-distance / this)
SURROUNDED_KM = 500.0  # without a known zone so near, a zone keeps its country's shares
OF_NOTE = 0.05  # a fuel with this share has a response worth measuring
APART_KM = 1000.0  # zones this near to each other are alike: they are never judged by one another
PRIOR = 1.0  # of ridge regression of trusts towards 1, against as many squared relative errors of zones
SPREAD_PRIOR = 0.25  # the weight of the mean spread, as that of so many zones of a single fuel
QUIET = 0.03  # deviations below this are noise: a zone weighs no more for having less
BEHAVIOUR_HEADER = """\
# How grids use electricity and plants by month, day (0 Monday to Friday, 1 weekend) and local hour, relative
# to the mean of the year, with the responses and trusts that `dispatch.py` explains; written by
# forecasting/scripts/modelled_profiles.py.
# Computed from hourly generation by source of 42 grid zones, 2019 to 2022, as prepared by CarbonCast
# (Apache-2.0) from EIA-930 of the U.S. Energy Information Administration (public domain) and from the ENTSO-E
# Transparency Platform (free re-use with attribution).
"""
GENERATION_HEADER = """\
# Shares of annual generation by source in thousandths, the latest of 2021 to 2023 (older where nothing newer
# is known); written by forecasting/scripts/modelled_profiles.py.
# Source: Our World in Data and Ember, CC BY 4.0, through the package codecarbon (MIT). Its other fossil
# generation is called oil, its other renewables geothermal.
# Zones inside Australia and Canada: forecasting/scripts/subnational.csv names the sources.
# Zones US-* inside the country: what grid zones around them generated, 2019 to 2022, nearer ones counting
# more; as prepared by CarbonCast (Apache-2.0) from EIA-930 of the U.S. Energy Information Administration
# (public domain).
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A zone whose generation is known by the hour; tables by month, weekend and local hour."""

    key: str
    place: Place
    generation: Mapping[str, Intensities]  # by fuel, (12, 2, 24), relative to the mean of all
    profile: Intensities  # (12, 2, 24, 3)

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the year's generation."""
        return {fuel: float(power.mean()) for fuel, power in self.generation.items()}

    @property
    def total(self) -> Intensities:
        """All generation relative to its mean, (12, 2, 24)."""
        return np.asarray(np.sum(list(self.generation.values()), axis=0))


@cache
def known(data: Path) -> list[Known]:
    """The zones of the mix file."""
    columns = ["zone", "ts", "ci_direct", "ci_lifecycle", *COLUMNS]
    frame = pd.read_parquet(data / profile_tables.MIX, columns=columns)
    found = []
    for name, rows in frame.groupby("zone", observed=True):
        place = zone(str(name) if str(name) != "SC" else "eia:SC")
        series = profile_tables.clean(rows)
        power = rows.set_index("ts").loc[series.index, list(COLUMNS)].fillna(0).clip(lower=0)
        table = profile_tables.fitted(series, place.timezone)
        at = Place(place.latitude, place.longitude, place.timezone)
        found.append(Known(place.key, at, _generation(power, place.timezone), table))
    return sorted(found, key=lambda each: each.key)


def _generation(power: "pd.DataFrame", timezone: str) -> dict[str, Intensities]:
    """Mean power of each fuel by calendar slot, relative to the mean of all fuels together."""
    power = power[power.sum(axis=1) > 0].astype("float64")
    slots = profile_tables.hours(power.iloc[:, 0], timezone).slot
    means = power.groupby(slots).mean().reindex(range(12 * 2 * 24)).to_numpy().reshape(12, 2, 24, -1)
    tables = {fuel: np.zeros((12, 2, 24)) for fuel in FUELS}
    for number, column in enumerate(power.columns):
        tables[COLUMNS[column]] += means[..., number]
    total = float(np.sum(list(tables.values())) / (12 * 2 * 24))
    return {fuel: table / total for fuel, table in tables.items()}


def fitted(zones: list[Known]) -> Behaviour:
    """The behaviour of these zones."""
    measured = {each.key: _measured(apart(zones, each.place)) for each in zones}
    return replace(_measured(zones), trust=_trust(zones, measured), spread=_spread(zones))


def apart(zones: list[Known], place: Place) -> list[Known]:
    """The zones that are far enough from a place to say something new about it."""
    return [z for z in zones if distance_km(z.place, place) > APART_KM]


def distance_km(one: Place, other: Place) -> float:
    """Great-circle distance by the haversine formula."""
    p1, p2 = radians(one.latitude), radians(other.latitude)
    across = sin(radians(one.longitude - other.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(sin((p2 - p1) / 2) ** 2 + cos(p1) * cos(p2) * across))


def _measured(zones: list[Known]) -> Behaviour:
    """Demand, wind and responses of these zones, everything trusted."""
    typical = [z for z in zones if _follows_demand(z)]
    demand = []
    for latitude in LATITUDES:
        weight = [np.exp(-abs(z.place.latitude - latitude) / NEAR_DEG) for z in typical]
        demand.append(np.average([z.total / z.total.mean() for z in typical], axis=0, weights=weight))
    windy = [z.generation["wind"] for z in zones if z.shares["wind"] > OF_NOTE]
    wind = np.mean([w.mean(1) / w.mean() for w in windy], axis=0)
    trust = dict.fromkeys(TRUSTED, 1.0)
    widest = max(float(np.abs(within_days(z.profile[..., 0])).max()) for z in zones)
    return Behaviour(LATITUDES, np.array(demand), wind, _responses(zones), trust, {}, widest)


def _follows_demand(zone: Known) -> bool:
    """True where generation is a measure of demand: no exporter of water power, no single plant."""
    return zone.shares["hydro"] < MOST_HYDRO and max(zone.shares.values()) < MOST_OF_ONE


def _responses(zones: list[Known]) -> dict[str, float]:
    """How fuels follow residual demand within days: the median over zones of log-log slopes."""
    slopes: dict[str, list[float]] = {fuel: [] for fuel in DISPATCHABLE}
    for each in zones:
        residual = np.log(np.maximum(each.total - each.generation["solar"] - each.generation["wind"], 0.05))
        change = residual - residual.mean(-1, keepdims=True)
        for fuel in DISPATCHABLE:
            if each.shares[fuel] > OF_NOTE:
                power = within_days(each.generation[fuel])
                slopes[fuel].append(float((power * change).sum() / (change**2).sum()))
    responses = {fuel: float(np.median(found)) for fuel, found in slopes.items() if found}
    return {"oil": responses["gas"]} | responses


def _trust(zones: list[Known], measured: Mapping[str, Behaviour]) -> dict[str, float]:
    """By how much each effect must be taken back, by ridge regression towards not at all.

    Every zone is modelled with what was measured on zones far from it. It has the same weight as any other,
    whether its intensity moves much or little.
    """
    effects = [parts(z.shares, z.place, measured[z.key]) for z in zones]
    observed = [_observed(z.profile[..., 0]) for z in zones]
    hours = _ridge([e.hours for e in effects], [o.hours[0] for o in observed])
    month = _ridge([(e.month,) for e in effects], [o.month for o in observed])
    day = _ridge([(e.day,) for e in effects], [o.day for o in observed])
    return dict(zip(TRUSTED, np.clip([*hours, *month, *day], 0, 1).tolist(), strict=True))


def _observed(mean: Intensities) -> Parts:
    """A profile's own deviations."""
    days = mean.mean(-1, keepdims=True)
    months = (days * np.array([5, 2])[:, None]).sum(1, keepdims=True) / 7
    return Parts((within_days(mean), mean * 0, mean * 0), months / months.mean() - 1, days / months - 1)


def _ridge(effects: list[tuple[Intensities, ...]], observed: list[Intensities]) -> NDArray[np.float64]:
    """Factors of the effects, shrunk towards one."""
    count = len(effects[0])
    square, moment = PRIOR * np.eye(count), np.zeros(count)
    for effect, seen in zip(effects, observed, strict=True):
        x = np.stack([each.ravel() for each in effect], -1) / max(float(seen.std()), QUIET)
        rest = seen.ravel() / max(float(seen.std()), QUIET) - x.sum(-1)
        square += x.T @ x / len(x)
        moment += x.T @ rest / len(x)
    return np.asarray(1 + np.linalg.solve(square, moment), float)


def _spread(zones: list[Known]) -> dict[str, tuple[float, float]]:
    """By fuel, what its share adds to the relative distances of p10 and p90.

    Least squares without negative values, shrunk towards the mean of the zones where few use a fuel.
    """
    shares = np.array([[each.shares[fuel] for fuel in FUELS] for each in zones])
    shrunk = np.vstack([shares, np.sqrt(SPREAD_PRIOR) * np.eye(len(FUELS))])
    sides = []
    for q in (1, 2):
        relative = np.array([abs(z.profile[..., q] / z.profile[..., 0] - 1).mean() for z in zones])
        usual = np.full(len(FUELS), np.sqrt(SPREAD_PRIOR) * relative.mean())
        sides.append(nnls(shrunk, np.concatenate([relative, usual]))[0])
    return {fuel: (float(a), float(b)) for fuel, a, b in zip(FUELS, *sides, strict=True)}


def lines(behaviour: Behaviour) -> Iterator[list[str]]:
    """Rows of `behaviour.csv`: what, of what, month, weekend, values."""
    for number, latitude in enumerate(behaviour.latitudes):
        for month in range(12):
            for weekend in range(2):
                values = (f"{v:.3f}" for v in behaviour.demand[number, month, weekend])
                yield ["demand", f"{latitude:.0f}", str(month + 1), str(weekend), *values]
    for month in range(12):
        yield ["wind", "", str(month + 1), "", *(f"{v:.3f}" for v in behaviour.wind[month])]
    for fuel, response in behaviour.response.items():
        yield ["response", fuel, "", "", f"{response:.2f}"]
    for effect, trust in behaviour.trust.items():
        yield ["trust", effect, "", "", f"{trust:.2f}"]
    for fuel, (low, high) in behaviour.spread.items():
        yield ["spread", fuel, "", "", f"{low:.3f}", f"{high:.3f}"]
    yield ["widest", "", "", "", f"{behaviour.widest:.2f}"]


def surroundings(zones: list[Known]) -> Iterator[tuple[str, dict[str, float]]]:
    """Shares of zones that are not known themselves, where others of their country are."""
    keys = {each.key for each in zones}
    grids = [each for each in zones if max(each.shares.values()) < MOST_OF_ONE]
    for target in every():
        place = Place(target.latitude, target.longitude, target.timezone)
        inside = target.within == target.country and target.key not in keys
        near = [z for z in grids if inside and z.key.startswith(f"{target.country}-")]
        away = np.array([distance_km(z.place, place) for z in near])
        if len(near) and away.min() < SURROUNDED_KM:
            weight = np.exp(-away / NEAR_KM) / np.exp(-away / NEAR_KM).sum()
            shares = weight @ np.array([[z.shares[fuel] for fuel in FUELS] for z in near])
            yield target.key, dict(zip(FUELS, shares.tolist(), strict=True))


def write_behaviour(data: Path, out: Path = OUT) -> None:
    """Writes `behaviour.csv`."""
    with (out / "behaviour.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(BEHAVIOUR_HEADER)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["what", "of", "month", "weekend", "values"])
        rows.writerows(lines(fitted(known(data))))


def write_generation(data: Path, out: Path = OUT) -> None:
    """Writes `generation.csv`."""
    with (
        (data / "country_annual.csv").open(encoding="utf-8") as source,
        (out / "generation.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        file.write(GENERATION_HEADER)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["zone", "year", "whose", *FUELS])
        for row in csv.DictReader(source):
            twh = {fuel: float(row[column]) for column, fuel in ANNUAL.items()}
            if sum(twh.values()) > 0:
                rows.writerow([zone(f"iso3:{row['iso3']}").key, row["year"], "own", *_thousandths(twh)])
        for row in _records(SUBNATIONAL):
            shares = {fuel: float(row.get(fuel, 0)) for fuel in FUELS}
            rows.writerow([row["zone"], row["year"], "own", *_thousandths(shares)])
        for key, shares in surroundings(known(data)):
            rows.writerow([key, "2019-2022", "around", *_thousandths(shares)])


def _records(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file whose comment lines start with `#`."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _thousandths(parts: Mapping[str, float]) -> list[str]:
    """Parts of the whole by fuel, in the order of the table."""
    return [f"{1000 * parts.get(fuel, 0.0) / sum(parts.values()):.0f}" for fuel in FUELS]


if __name__ == "__main__":
    write_behaviour(Path(sys.argv[1]))
    write_generation(Path(sys.argv[1]))
