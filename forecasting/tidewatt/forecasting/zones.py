"""Zones of the grid, and every name they are known by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the grid with one carbon intensity. Coordinates in degrees; `timezone` is an IANA name.

    `within` is the key of the zone that contains it, where the table knows one ("" for countries).
    """

    key: str
    name: str
    country: str  # ISO 3166 two-letter code
    timezone: str
    latitude: float
    longitude: float
    aliases: tuple[str, ...]
    within: str = ""


def zone(text: str) -> Zone:
    """The one zone that `text` names, by key or any alias, upper or lower case; else ForecastError."""
    raise NotImplementedError


def keyed(key: str) -> Zone | None:
    """The zone of an exact key; None where there is none."""
    raise NotImplementedError


def find(text: str) -> list[Zone]:
    """Zones whose name, country, place, cloud region or alias contains `text`, best matches first."""
    raise NotImplementedError


def nearest(latitude: float, longitude: float) -> tuple[Zone, float]:
    """The zone whose centre is nearest, and the distance in km."""
    raise NotImplementedError
