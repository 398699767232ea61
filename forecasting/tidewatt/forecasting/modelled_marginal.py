"""Marginal intensity from an hourly generation mix: which plants followed when more or less was needed.

No feed says which plant would serve one more kWh. What changed from hour to hour says which plants did
follow: the slope of each fuel's changes on the changes of all that can follow, by season, hour and load
(Hawkes 2010, Energy Policy 38, 5977-5987, with emissions; by load and hour of the day in Siler-Evans, Azevedo
and Morgan 2012, Environmental Science and Technology 46, 4742-4748). Here

* what can follow is the generation that is dispatched; wind and sun, which follow the weather, are left out,
  and so is nuclear power where it stands still;
* changes that are far out count less (Huber 1964; of the whole as well, after Mallows 1975), and slopes are
  drawn to those of coarser cells where a cell has seen little;
* the best plants of a fuel run first: a fuel's factor at the margin rises from the lowest to the highest of
  table A.III.2 (IPCC 2014, AR5 WG3 Annex III) with the share of its capacity that is in use.

It knows nothing of imports, of storage, and of hours in which wind and sun are curtailed: those are on the
margin then, and it takes the plants. Where mostly water follows it says nothing at all: water that is used
now is missing later, and what takes its place is not in the mix. It is a model and no observation: it may
plan, but never settle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.mix import DISPATCHABLE, GCO2_PER_KWH, generation_mw
from tidewatt.forecasting.models.calendar import local
from tidewatt.forecasting.series import Intensities, Milliseconds, Steps

LABEL = "modelled marginal"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_DAYS = 365.2425
MIDWINTER = 15  # days from 1970-01-01 to the middle of the first season
SEASONS, HOURS, BANDS = 4, 24, 3  # December to February first; local hours; thirds of the load
RANGE: Mapping[Basis, Mapping[str, tuple[float, float]]] = {
    Basis.LIFECYCLE: {"coal": (740.0, 910.0), "gas": (410.0, 650.0)},
    Basis.DIRECT: {"coal": (670.0, 870.0), "gas": (350.0, 490.0)},
}
"""Lowest and highest factor of pulverised coal and combined cycle gas in that table; others have one only."""

NEEDS_H = 28 * 24
FOLLOWS = 0.05  # nuclear power that takes a smaller share of the changes stands still
BURNED = ("coal", "gas", "oil", "biomass", "other")
MOSTLY = 0.5  # share of the changes that burned fuels must follow
FULL = 0.99  # quantile of a fuel's power that counts as its capacity
LEVERAGE = 3.0  # changes beyond so many robust standard deviations count less
EXACT = 0.2  # so much of a change is never far out
HUBER = 1.345  # residuals beyond so many robust standard deviations count less
ROUNDS = 3
COARSE = 50.0  # so many hours of usual change weigh as much as a cell's own
NEIGHBOUR = 0.5  # weight of the hour before and the hour after
Power = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MarginalTable:
    """What follows in a zone. `share[fuel]` (season, hour, band): part of one more kWh that the fuel serves.

    `usual` (season, hour): gCO2/kWh at the load that is usual then. `edges` (season, bands - 1): MW of
    following generation between the bands. `capacity_mw` by fuel.
    """

    timezone: str
    basis: Basis
    share: Mapping[str, NDArray[np.float64]]
    edges_mw: NDArray[np.float64]
    capacity_mw: Mapping[str, float]
    usual: Intensities

    @property
    def kind(self) -> Kind:
        """Marginal, of what the zone generates, in CO2 equivalents."""
        return Kind(Signal.MARGINAL, self.basis, Boundary.PRODUCTION, "CO2eq")


def estimate(
    mw: Mapping[str, Power], start_ms: int, timezone: str, basis: Basis = Basis.LIFECYCLE
) -> MarginalTable | None:
    """What an hourly mix, (n,) MW by fuel from `start_ms` on, tells.

    None where less than four weeks are known, or where burned fuels follow less than half of the changes.
    """
    mw, known = _known(mw)
    fuels = _following(mw, known)
    if not fuels or known.sum() < NEEDS_H:
        return None
    season, hour = _calendar(_hours(start_ms, len(known)), timezone)
    follows = np.sum([mw[fuel] for fuel in fuels], axis=0)
    edges = np.stack([_edges(follows[known & (season == each)], follows[known]) for each in range(SEASONS)])
    band = _band(follows, season, edges)
    more = _change(follows)
    good = _pairs(known) & np.isfinite(more) & (np.abs(more) > 0)
    if good.sum() < NEEDS_H // 2:
        return None
    cells = (season[good], hour[good], band[good])
    share = {fuel: _slopes(_change(mw[fuel])[good], more[good], cells) for fuel in fuels}
    whole = np.maximum(np.sum(list(share.values()), axis=0), 0.1)
    share = {fuel: np.clip(values / whole, 0.0, 1.0) for fuel, values in share.items()}
    burned = sum(_share_of(values, cells, more[good]) for fuel, values in share.items() if fuel in BURNED)
    if burned < MOSTLY:
        return None
    capacity = {fuel: max(float(np.quantile(mw[fuel][known], FULL)), 1.0) for fuel in fuels}
    table = MarginalTable(timezone, basis, share, edges, capacity, np.zeros((SEASONS, HOURS)))
    values = _values(table, mw, season, hour, band)
    return MarginalTable(
        timezone, basis, share, edges, capacity, _means(values[known], season[known], hour[known])
    )


def series(table: MarginalTable, mw: Mapping[str, Power], start_ms: int) -> Steps:
    """The modelled marginal intensity of hours whose mix is known, (n,) MW by fuel from `start_ms` on."""
    mw, known = _known(mw)
    start = _hours(start_ms, len(known))
    season, hour = _calendar(start, table.timezone)
    missing = [fuel for fuel in table.share if fuel not in mw]
    mw = {**mw, **{fuel: np.zeros(len(start)) for fuel in missing}}
    follows = np.sum([mw[fuel] for fuel in table.share], axis=0)
    values = _values(table, mw, season, hour, _band(follows, season, table.edges_mw))
    return Steps(start[known], start[known] + HOUR_MS, values[known])


def usual(usual_g: Intensities, start_ms: Milliseconds, timezone: str) -> Intensities:
    """GCO2/kWh of a table (season, hour) in the hours that start then: for plans, whose mix is not known yet.

    Between the middles of two seasons both have weight, so that the first of a season is no cliff.
    """
    local_ms = local(np.asarray(start_ms, np.int64), timezone)
    hour = local_ms // HOUR_MS % HOURS
    position = (local_ms / DAY_MS - MIDWINTER) / YEAR_DAYS * SEASONS
    before = np.floor(position)
    share = position - before
    season = before.astype(np.int64) % SEASONS
    later = (season + 1) % SEASONS
    return np.asarray((1 - share) * usual_g[season, hour] + share * usual_g[later, hour], float)


def followed(table: MarginalTable, mw: Mapping[str, Power], start_ms: int) -> tuple[Power, Power]:
    """What the table says of each hour's change and what it was: of emissions with fixed factors, kg/h.

    NaN where the mix is not known; the change is from the hour before. For tests of a table on other months.
    """
    mw, known = _known(mw)
    season, hour = _calendar(_hours(start_ms, len(known)), table.timezone)
    factors = GCO2_PER_KWH[table.basis]
    powers = {fuel: mw[fuel] for fuel in table.share if fuel in mw}
    follows = np.sum(list(powers.values()), axis=0)
    slope = np.sum([factors[fuel] * table.share[fuel] for fuel in table.share], axis=0)
    band = _band(follows, season, table.edges_mw)
    said = slope[season, hour, band] * _change(follows)
    was = _change(np.sum([factors[fuel] * power for fuel, power in powers.items()], axis=0))
    good = _pairs(known)
    return np.where(good, said, np.nan), np.where(good, was, np.nan)


def _known(mw: Mapping[str, Power]) -> tuple[dict[str, Power], NDArray[np.bool_]]:
    """Power without negative values and small holes, and the hours whose mix is known."""
    known = ~np.isnan(generation_mw(mw))
    clean = {
        fuel: np.nan_to_num(np.maximum(power, 0.0)) for fuel, power in mw.items() if fuel in DISPATCHABLE
    }
    return clean, known


def _following(mw: Mapping[str, Power], known: NDArray[np.bool_]) -> tuple[str, ...]:
    """Fuels that are dispatched; nuclear power only where its changes are a part of all changes."""
    fuels = tuple(fuel for fuel in mw if mw[fuel][known].any())
    if "nuclear" not in fuels or len(fuels) == 1:
        return fuels
    good = _pairs(known)
    more = _change(np.sum([mw[fuel] for fuel in fuels], axis=0))[good]
    share = float(_robust(_change(mw["nuclear"])[good], more))
    return fuels if share >= FOLLOWS else tuple(fuel for fuel in fuels if fuel != "nuclear")


def _robust(own: Power, more: Power) -> float:
    """One slope through the origin, by Huber's weights."""
    usual = _ordinary(more)
    weight = usual
    slope = 0.0
    for _ in range(ROUNDS):
        slope = float((weight * own * more).sum() / max((weight * more**2).sum(), 1e-9))
        weight = usual * _weights(own - slope * more, more)
    return slope


def _slopes(own: Power, more: Power, cells: tuple[Integers, Integers, Integers]) -> NDArray[np.float64]:
    """Slopes (season, hour, band) through the origin, by Huber's weights, drawn to coarser cells."""
    shape = (SEASONS, HOURS, BANDS)
    ordinary = _ordinary(more)
    weight = ordinary
    slopes = np.zeros(shape)
    for _ in range(ROUNDS):
        product, square = np.zeros(shape), np.zeros(shape)
        np.add.at(product, cells, weight * own * more)
        np.add.at(square, cells, weight * more**2)
        usual = COARSE * float((weight * more**2).sum()) / max(float(weight.sum()), 1e-9)
        flat = product.sum() / max(square.sum(), 1e-9)
        by_hour = (_around(product.sum(axis=2)) + usual * flat) / (_around(square.sum(axis=2)) + usual)
        slopes = (_around(product) + usual * by_hour[..., None]) / (_around(square) + usual)
        weight = ordinary * _weights(own - slopes[cells] * more, more)
    return slopes


def _share_of(values: NDArray[np.float64], cells: tuple[Integers, Integers, Integers], more: Power) -> float:
    """Share of all changes that a fuel followed."""
    return float(np.average(values[cells], weights=np.abs(more)))


def _ordinary(more: Power) -> Power:
    """1 for changes of a usual size, falling with the square of those beyond: a jump tells of a fault."""
    spread = LEVERAGE * _spread(more)
    return np.asarray((spread / np.maximum(np.abs(more), spread)) ** 2 if spread > 0 else np.ones(len(more)))


def _weights(residual: Power, more: Power) -> Power:
    """1 within the usual spread of residuals, less beyond it; those far below the changes are all usual."""
    spread = HUBER * max(_spread(residual), EXACT * _spread(more))
    return np.asarray(spread / np.maximum(np.abs(residual), spread) if spread > 0 else np.ones(len(more)))


def _spread(values: Power) -> float:
    """Standard deviation of most, from the median distance to zero."""
    return 1.4826 * float(np.median(np.abs(values)))


def _around(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over each hour and, by half, the hours beside it; hours are axis 1."""
    return np.asarray(sums + NEIGHBOUR * (np.roll(sums, 1, axis=1) + np.roll(sums, -1, axis=1)), float)


def _values(
    table: MarginalTable, mw: Mapping[str, Power], season: Integers, hour: Integers, band: Integers
) -> Intensities:
    """GCO2/kWh by hour: each fuel's share at its factor for the capacity in use then."""
    total = np.zeros(len(season))
    for fuel, share in table.share.items():
        in_use = np.clip(mw[fuel] / table.capacity_mw[fuel], 0.0, 1.0)
        fixed = GCO2_PER_KWH[table.basis][fuel]
        low, high = RANGE[table.basis].get(fuel, (fixed, fixed))
        total += share[season, hour, band] * (low + (high - low) * in_use)
    return total


def _means(values: Intensities, season: Integers, hour: Integers) -> Intensities:
    """Mean by season and hour; that of the hour over all seasons where a season was not seen."""
    sums, count = np.zeros((SEASONS, HOURS)), np.zeros((SEASONS, HOURS))
    np.add.at(sums, (season, hour), values)
    np.add.at(count, (season, hour), 1.0)
    by_hour = sums.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0)
    return np.where(count > 0, sums / np.maximum(count, 1.0), by_hour)


def _edges(own: Power, of_all: Power) -> Power:
    """Loads that part a season into bands; of the whole past where the season was not seen."""
    seen = own if len(own) >= HOURS else of_all
    return np.asarray(np.quantile(seen, np.arange(1, BANDS) / BANDS), float)


def _band(follows: Power, season: Integers, edges: NDArray[np.float64]) -> Integers:
    return np.asarray((follows[:, None] > edges[season]).sum(axis=1), np.int64)


def _change(power: Power) -> Power:
    """Change from the hour before; NaN for the first."""
    return np.append(np.nan, np.diff(power))


def _pairs(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hours that are known, as is the one before."""
    return np.asarray(known & np.append(False, known[:-1]), bool)


def _hours(start_ms: int, count: int) -> Milliseconds:
    return start_ms + HOUR_MS * np.arange(count, dtype=np.int64)


def _calendar(start_ms: Milliseconds, timezone: str) -> tuple[Integers, Integers]:
    """Season and local hour of hours that start then."""
    local_ms = local(start_ms, timezone)
    days = local_ms // DAY_MS
    unique, place = np.unique(days, return_inverse=True)
    months = np.array([datetime.fromtimestamp(day * 86_400, UTC).month for day in unique.tolist()], np.int64)
    return months[place] % 12 // 3, local_ms // HOUR_MS % 24
