"""Which plants run when: the hourly shape of a grid's carbon intensity from its generation of a whole year.

The sun and the wind give what they give; what demand leaves beyond them is shared among the other plants,
each following it as its fuel usually does: a merit order, with the response of each fuel measured rather than
computed from prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import DISPATCHABLE, GCO2_PER_KWH
from tidewatt.forecasting.series import Intensities, milliseconds
from tidewatt.forecasting.sun import clear_sky_w_m2

FACTORS = GCO2_PER_KWH[Basis.LIFECYCLE]
YEAR = 2022  # whose middles of months stand for all years: the sun's place hardly differs between them
# Generation under real skies and with real panels is flatter than the irradiance of a cloudless sky: of
# 0.5 to 1.0, this exponent came nearest to the 25 of the 42 zones that have two per cent of solar or more.
CLOUDS: Final = 0.75
LEAST_RESIDUAL = 0.1  # of its mean: a grid never runs without any of its other plants
TROPIC_DEG = 20.0  # from here to the pole the seasons are those of one hemisphere


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How grids use electricity and plants, as measured on zones whose generation is known by the hour.

    `demand`: (bands, 12, 2, 24), mean 1, by month, working day or weekend, and local hour, for the northern
    latitudes `latitudes`. `wind`: (12, 24), mean 1. `response`: by fuel, by how much per cent generation
    grows with one per cent more residual demand. `trust`: how far the effects of sun, demand and wind on
    each day, and differences between months and between days of the week, are believed (0 to 1).
    `spread`: by fuel, what its share adds to the distance of p10 below and of p90 above the mean, relative.
    `widest`: the furthest that any hour of a zone lies from the mean of its day, relative.
    """

    latitudes: NDArray[np.float64]
    demand: Intensities
    wind: Intensities
    response: Mapping[str, float]
    trust: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]
    widest: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a grid is: degrees, and the clock by which it lives."""

    latitude: float
    longitude: float
    timezone: str


def shape(shares: Mapping[str, float], place: Place, behaviour: Behaviour) -> Intensities:
    """Lifecycle intensity relative to its mean of the year, (12, 2, 24, 3): mean, p10 and p90.

    By month, working day or weekend, and hour of local time; `shares` are of the year's generation, by fuel.
    No grid is modelled wilder than the wildest one observed: its hours keep their order, closer together.
    """
    effects = parts(shares, place, behaviour)
    names = ("sun", "demand", "wind")
    moves = np.sum(
        [behaviour.trust[name] * part for name, part in zip(names, effects.hours, strict=True)], axis=0
    )
    wild = float(np.abs(moves).max()) / behaviour.widest
    mean = (1 + moves / max(wild, 1)) * (
        1 + behaviour.trust["month"] * effects.month + behaviour.trust["day"] * effects.day
    )
    mean = mean / _year(mean)
    low, high = (
        sum(shares.get(fuel, 0.0) * each[side] for fuel, each in behaviour.spread.items()) for side in (0, 1)
    )
    return np.stack([mean, mean * (1 - min(low, 0.9)), mean * (1 + high)], -1)


@dataclass(frozen=True, slots=True)
class Parts:
    """What moves the intensity, relative: (12, 2, 24) each within days, the mean of a day being 0.

    `month` (12, 1, 1): differences between months; `day` (12, 2, 1): between days of one month.
    """

    hours: tuple[Intensities, Intensities, Intensities]  # sun, demand, wind
    month: Intensities
    day: Intensities


def parts(shares: Mapping[str, float], place: Place, behaviour: Behaviour) -> Parts:
    """The parts of the modelled intensity: by the sun alone, by demand as well, and by the wind as well."""
    sun = sunshine(place)
    demand, wind = demand_at(place.latitude, behaviour), _seasons(behaviour.wind, place.latitude)[:, None, :]
    even, calm = (np.broadcast_to(x.mean(-1, keepdims=True), x.shape) for x in (demand, wind))
    runs = [
        intensity(shares, sun, used, blown, behaviour.response)
        for used, blown in ((even, calm), (demand, calm), (demand, wind))
    ]
    first, second, third = (within_days(run) for run in runs)
    days = runs[-1].mean(-1, keepdims=True)
    months = (days * np.array([5, 2])[:, None]).sum(1, keepdims=True) / 7
    return Parts((first, second - first, third - second), months / months.mean() - 1, days / months - 1)


def intensity(
    shares: Mapping[str, float],
    sun: Intensities,
    demand: Intensities,
    wind: Intensities,
    response: Mapping[str, float],
) -> Intensities:
    """Lifecycle intensity in gCO2eq/kWh, (12, 2, 24), of a grid whose annual shares are these.

    `sun` and `wind` are generation relative to its mean; so is `demand`, of everything. Always between the
    factors of the cleanest and of the dirtiest fuel.
    """
    weather = shares.get("solar", 0.0) * sun[:, None, :] + shares.get("wind", 0.0) * wind
    residual = demand - weather
    residual = np.maximum(residual, LEAST_RESIDUAL * max(float(residual.mean()), LEAST_RESIDUAL))
    relative = np.log(residual / residual.mean())
    wanted = {
        fuel: shares[fuel] * np.exp(response.get(fuel, 0.0) * relative)
        for fuel in DISPATCHABLE
        if shares.get(fuel, 0.0) > 0
    }
    total = np.sum(list(wanted.values()), axis=0) if wanted else np.zeros_like(residual)
    scale = np.divide(residual, total, out=np.zeros_like(residual), where=total > 0)
    grams = np.sum([FACTORS[fuel] * power * scale for fuel, power in wanted.items()], axis=0)
    grams = grams + FACTORS["solar"] * shares.get("solar", 0.0) * sun[:, None, :]
    grams = grams + FACTORS["wind"] * shares.get("wind", 0.0) * wind
    return np.asarray(grams / (total * scale + weather), float)


def sunshine(place: Place) -> Intensities:
    """Solar generation relative to its mean of the year, (12, 24), by local hour in the middle of months."""
    clock = ZoneInfo(place.timezone)
    middles = [datetime(YEAR, m + 1, 15, h, 30, tzinfo=clock) for m in range(12) for h in range(24)]
    time_ms = np.array([milliseconds(moment) for moment in middles])
    power = clear_sky_w_m2(place.latitude, place.longitude, time_ms).reshape(12, 24) ** CLOUDS
    return np.asarray(power / power.mean(), float)


def demand_at(latitude: float, behaviour: Behaviour) -> Intensities:
    """Demand relative to its mean, (12, 2, 24), at a latitude, of either hemisphere."""
    at = np.interp(abs(latitude), behaviour.latitudes, np.arange(len(behaviour.latitudes)))
    below = int(at)
    above = min(below + 1, len(behaviour.latitudes) - 1)
    demand = behaviour.demand[below] + (at - below) * (behaviour.demand[above] - behaviour.demand[below])
    return _seasons(demand, latitude)


def within_days(values: Intensities) -> Intensities:
    """Values relative to the mean of their day, less one; days are the last axis."""
    return np.asarray(values / values.mean(-1, keepdims=True) - 1, float)


def _seasons(northern: Intensities, latitude: float) -> Intensities:
    """Months as they are at a latitude: half a year later in the south, the mean of both on the equator."""
    north = 0.5 + np.clip(latitude / TROPIC_DEG, -1, 1) / 2
    return np.asarray(north * northern + (1 - north) * np.roll(northern, 6, axis=0), float)


def _year(values: Intensities) -> float:
    """The mean of a year of (12, 2, 24) values: five working days to two of the weekend."""
    return float(values.mean(axis=(0, 2)) @ np.array([5, 2]) / 7)
