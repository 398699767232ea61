"""Names of what is kept over time: intensity of a kind, generation by fuel, weather."""

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal

MW = "mw "
WEATHER = "weather "
FUELS = (
    "coal",
    "gas",
    "oil",
    "biomass",
    "geothermal",
    "hydro",
    "nuclear",
    "solar",
    "wind",
    "storage",
    "other",
)
"""Fuels of a generation mix; beside them may stand `mw demand`, `mw imports`, `mw generation` (all fuels)."""

VARIABLES = ("temperature_k", "dew_point_k", "wind_m_s", "short_wave_w_m2", "precipitation_mm")
"""Weather at the zone, as mean over its places; wind at 10 m unless a source only has another height."""


def intensity(kind: Kind) -> str:
    """The quantity of a kind of carbon intensity, gCO2/kWh."""
    return str(kind)


def generation(fuel: str) -> str:
    """The quantity of mean power by fuel, MW."""
    return MW + fuel


def weather(variable: str) -> str:
    """The quantity of one weather variable; its unit ends its name."""
    return WEATHER + variable


def kind_of(quantity: str) -> Kind | None:
    """The kind of carbon intensity that a quantity is; None for others."""
    return _KINDS.get(quantity)


_KINDS = {
    str(kind): kind
    for kind in (
        Kind(signal, basis, boundary, gas)
        for signal in Signal
        for basis in Basis
        for boundary in Boundary
        for gas in ("CO2eq", "CO2")
    )
}
