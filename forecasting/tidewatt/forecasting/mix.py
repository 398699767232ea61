"""Carbon intensity of a generation mix: mean power by fuel times published factors.

The factors are those that the built-in profiles were computed with, so that a zone's level does not jump when
its own mix takes over:

* coal, gas, biomass, geothermal, hydro, nuclear, wind: medians of table A.III.2 in Annex III of IPCC (2014),
  Climate Change 2014: Mitigation, Working Group III of the fifth assessment report: pulverised coal, combined
  cycle gas, dedicated biomass, onshore wind. Direct emissions are those of the table's column of that name;
  burning biomass counts as zero there, because what grew took it up.
* solar: 45, between that table's 48 (utility scale) and 41 (rooftop).
* oil: lifecycle 650 from postnote 268 (2006) of the UK Parliamentary Office of Science and Technology,
  direct 406; other: 700 and 575, a mean thermal plant. 406, 700 and 575 are defaults of the Electricity Maps
  project, which CarbonCast (Maji, Shenoy and Sitaraman 2022, BuildSys) takes as well.

Recomputing both columns of CarbonCast's hourly file of 42 zones (1.3 million hours) from its mix with these
factors differs by 0.024 g/kWh in the mean: the rounding of that file.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal

Power = NDArray[np.float64]

VERSION: Final = 1
MINOR = 0.02  # a fuel below this share of the generation may be missing without making the mix unknown

GCO2_PER_KWH: Final[Mapping[Basis, Mapping[str, float]]] = {
    Basis.LIFECYCLE: {
        "coal": 820.0,
        "gas": 490.0,
        "oil": 650.0,
        "biomass": 230.0,
        "geothermal": 38.0,
        "hydro": 24.0,
        "nuclear": 12.0,
        "solar": 45.0,
        "wind": 11.0,
        "other": 700.0,
    },
    Basis.DIRECT: {
        "coal": 760.0,
        "gas": 370.0,
        "oil": 406.0,
        "biomass": 0.0,
        "geothermal": 0.0,
        "hydro": 0.0,
        "nuclear": 0.0,
        "solar": 0.0,
        "wind": 0.0,
        "other": 575.0,
    },
}
"""Emissions of a kWh by fuel. Storage has none: it hands on energy that was counted when it was generated."""

DISPATCHABLE = ("coal", "gas", "oil", "biomass", "geothermal", "hydro", "nuclear", "other")
WEATHER_DRIVEN = ("wind", "solar")


def kind(basis: Basis) -> Kind:
    """The kind of an intensity computed here: average, of what the zone generates, in CO2 equivalents."""
    return Kind(Signal.AVERAGE, basis, Boundary.PRODUCTION, "CO2eq")


def method(basis: Basis) -> str:
    """How the intensity was got, for people: "generation mix x lifecycle factors (IPCC 2014), version 1"."""
    return f"generation mix x {basis} factors (IPCC 2014, AR5 WG3 Annex III), version {VERSION}"


def intensity(mw: Mapping[str, Power], basis: Basis) -> Power:
    """GCO2/kWh of each step from mean power by fuel; NaN where the mix is not known or nothing is generated.

    `mw`: (n,) each, of fuels in `quantity.FUELS`; others and storage are passed over. A negative value is a
    plant's own use, and no generation. A fuel that is missing at a step (NaN) makes the step unknown, unless
    its usual share is below `MINOR`; one that is absent from `mw` altogether generates nothing.
    """
    generated = _generated(mw, basis)
    if not generated:
        return np.full(_length(mw), np.nan)
    total = np.sum(list(generated.values()), axis=0)
    factors = GCO2_PER_KWH[basis]
    kg_per_h = np.sum([factors[fuel] * power for fuel, power in generated.items()], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, kg_per_h / total, np.nan), float)


def generation_mw(mw: Mapping[str, Power]) -> Power:
    """All generation of each step without storage, MW; NaN where the mix is not known."""
    generated = _generated(mw, Basis.LIFECYCLE)
    return (
        np.asarray(np.sum(list(generated.values()), axis=0), float)
        if generated
        else np.full(_length(mw), np.nan)
    )


def _generated(mw: Mapping[str, Power], basis: Basis) -> dict[str, Power]:
    """Power of the fuels that have a factor, not below zero; what minor fuels miss counts as zero."""
    power = {fuel: np.maximum(mw[fuel], 0.0) for fuel in GCO2_PER_KWH[basis] if fuel in mw}
    power = {fuel: values for fuel, values in power.items() if not np.isnan(values).all()}
    usual = {fuel: float(np.nanmean(values)) for fuel, values in power.items()}
    all_of_it = sum(usual.values())
    return {
        fuel: np.nan_to_num(values, nan=0.0) if usual[fuel] < MINOR * all_of_it else values
        for fuel, values in power.items()
    }


def _length(mw: Mapping[str, Power]) -> int:
    return max((len(values) for values in mw.values()), default=0)
