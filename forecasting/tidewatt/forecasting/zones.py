"""Zones of the grid, and every name they are known by."""

import csv
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from unicodedata import combining, normalize

from tidewatt.forecasting.errors import ForecastError

TABLE = Path(__file__).parent / "data" / "zones.csv"
EARTH_RADIUS_KM = 6371.0
NEAR_MATCHES = 3


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the grid with one carbon intensity. Coordinates in degrees; `timezone` is an IANA name.

    `aliases` are qualified by who uses them (`eia:CISO`, `iso3:DEU`, `aws:eu-west-1`); each is also accepted
    without its qualifier where that is unambiguous. `within` is the key of the zone that contains it, "" for
    countries.
    """

    key: str
    name: str
    country: str  # ISO 3166 two-letter code
    timezone: str
    latitude: float
    longitude: float
    aliases: tuple[str, ...]
    within: str = ""
    places: tuple[str, ...] = ()  # where its cloud regions are


def zone(text: str) -> Zone:
    """The one zone that `text` names, by key or any alias, upper or lower case.

    Raises:
        ForecastError: no zone or several zones are called so; the text names candidates.
    """
    keys = _names().get(text.strip().lower(), ())
    if len(keys) == 1:
        return _zones()[keys[0]]
    if keys:
        choices = " or ".join(_unambiguous(key) for key in keys)
        raise ForecastError(f"zone {text!r} is ambiguous: say {choices}")
    near = _near(text)
    hint = f"; did you mean {', '.join(f'{z.key} ({z.name})' for z in near)}?" if near else "."
    raise ForecastError(
        f"unknown zone {text!r}{hint} `tidewatt zones TEXT` searches by name, place and cloud region"
    )


def keyed(key: str) -> Zone | None:
    """The zone of an exact key; None where there is none.

    For keys from our own records: what people type goes through `zone`.
    """
    return _zones().get(key)


def find(text: str) -> list[Zone]:
    """Zones in whose key, name, country, aliases or places all words of `text` occur, best matches first.

    Words are looked for at the beginning of words, and only where that finds nothing anywhere in them.
    """
    words = _words(text)
    for starts in (True, False):
        ranked = [(_rank(words, z), key) for key, z in _zones().items() if _matches(words, key, starts)]
        if ranked:
            return [_zones()[key] for _, key in sorted(ranked)]
    return []


def every() -> list[Zone]:
    """All zones, by key."""
    return [_zones()[key] for key in sorted(_zones())]


def nearest(latitude: float, longitude: float, count: int = 1) -> list[tuple[Zone, float]]:
    """The `count` zones whose centres are nearest, nearest first, and how far those are in km.

    Centres are rough, so near a border the answer may be the neighbour: show it, never take it silently. A
    country that is divided into several zones stands aside for them; WattTime's own areas never answer.
    """
    grids = [z for z in _zones().values() if not z.key.startswith("WT:")]
    parts = Counter(z.within for z in grids)
    away = ((_distance_km(latitude, longitude, z), z.key) for z in grids if parts[z.key] < 2)
    return [(_zones()[key], km) for km, key in sorted(away)[:count]]


@cache
def _zones() -> dict[str, Zone]:
    """The table, by key."""
    lines = TABLE.read_text("utf-8").splitlines()
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    return {row[0]: _zone(row) for row in islice(rows, 1, None)}


def _zone(row: list[str]) -> Zone:
    key, name, country, timezone, latitude, longitude, within, aliases, places = row
    return Zone(
        key=key,
        name=name,
        country=country,
        timezone=timezone,
        latitude=float(latitude),
        longitude=float(longitude),
        aliases=tuple(aliases.split()),
        within=within,
        places=tuple(places.split("; ")) if places else (),
    )


@cache
def _names() -> dict[str, tuple[str, ...]]:
    """Keys of the zones that a name in lower case may mean."""
    names: dict[str, tuple[str, ...]] = {}
    for key, each in _zones().items():
        bare = (alias.partition(":")[2] for alias in each.aliases)
        for name in {text.lower() for text in (key, *each.aliases, *bare)}:
            names[name] = (*names.get(name, ()), key)
    return names


def _unambiguous(key: str) -> str:
    """A name that means only this zone, with the zone's own name."""
    each = _zones()[key]
    name = next(text for text in (key, *each.aliases) if len(_names()[text.lower()]) == 1)
    return f"{name} ({each.name})"


def _near(text: str) -> list[Zone]:
    """Up to three zones that `text` may have meant."""
    from difflib import get_close_matches  # only where somebody mistyped

    called = {z.name.lower(): (key,) for key, z in _zones().items()} | _names()
    close = get_close_matches(text.strip().lower(), called, n=2 * NEAR_MATCHES, cutoff=0.7)
    keys = dict.fromkeys([*(z.key for z in find(text)), *(key for name in close for key in called[name])])
    return [_zones()[key] for key in islice(keys, NEAR_MATCHES)]


@cache
def _haystacks() -> dict[str, str]:
    """Everything that can be searched for, by key, in plain words, each with a space before it."""
    table = _zones()
    return {
        key: " " + " ".join(_words(" ".join((key, z.name, table[z.country].name, *z.aliases, *z.places))))
        for key, z in table.items()
    }


def _matches(words: list[str], key: str, starts: bool) -> bool:
    before = " " if starts else ""
    return bool(words) and all(before + word in _haystacks()[key] for word in words)


def _rank(words: list[str], zone: Zone) -> int:
    """0 for an exact name, then those whose own name starts so, then phrases, then scattered words."""
    text, name = " ".join(words), " ".join(_words(zone.name))
    if zone.key in _names().get(text, ()) or name == text:
        return 0
    if name.startswith(text):
        return 1
    if text in name:
        return 2
    return 3 if text in _haystacks()[zone.key] else 4


def _words(text: str) -> list[str]:
    """Words in lower case, without accents and punctuation."""
    plain = (c for c in normalize("NFKD", text.lower()) if not combining(c))
    return "".join(c if c.isalnum() else " " for c in plain).split()


def _distance_km(latitude: float, longitude: float, zone: Zone) -> float:
    """Great-circle distance by the haversine formula."""
    p1, p2 = radians(latitude), radians(zone.latitude)
    half = sin((p2 - p1) / 2) ** 2 + cos(p1) * cos(p2) * sin(radians(zone.longitude - longitude) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(half))
