"""The built-in profile: what the grid is usually like, without key or network."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import (
    Intensities,
    Milliseconds,
    Outlook,
    Rung,
    Segment,
    Steps,
    instant,
    milliseconds,
)
from tidewatt.forecasting.zones import Zone, keyed

SHAPED = Path(__file__).parent / "data" / "profiles.csv"
ANNUAL = Path(__file__).parent / "data" / "annual_means.csv"
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HOUR_MS = 3_600_000
MEAN, P10, P90 = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Profile:
    """Usual average lifecycle intensity of a zone.

    `table` is (12, 2, 24, 3): month, working day or weekend, hour of local time, and mean, p10, p90; None
    where `flat`, when only the annual mean of a country is known. `modelled`: the hours are computed from
    the generation of a year, not observed. `zone` is the zone whose numbers these are: the one asked for,
    else one that contains it.
    """

    zone: str
    label: str  # "built-in profile of DE, 2019-2022", "modelled profile of ES, from ..."
    flat: bool
    gco2_per_kwh: float  # mean of the year
    timezone: str
    table: Intensities | None
    modelled: bool = False

    def outlook(self, now: datetime, until: datetime) -> Outlook:
        """The usual intensity over `[now, until)`, in hours. Months are blended around their middles."""
        now_ms, until_ms = milliseconds(now), milliseconds(until)
        if until_ms <= now_ms:
            raise ForecastError(f"the profile was asked for nothing: {now} to {until}")
        p10 = p90 = None
        if self.table is None:
            steps = Steps(np.array([now_ms]), np.array([until_ms]), np.array([self.gco2_per_kwh]))
        else:
            start = np.arange(now_ms // HOUR_MS * HOUR_MS, until_ms, HOUR_MS)
            values = hourly(self.table, start, self.timezone)
            end = np.minimum(start + HOUR_MS, until_ms)
            steps = Steps(np.maximum(start, now_ms), end, values[:, MEAN])
            p10, p90 = values[:, P10], values[:, P90]
        segment = Segment(instant(now_ms), instant(until_ms), Rung.PROFILE, self.label)
        return Outlook(self.zone, KIND, steps, (segment,), p10, p90)


def profile(zone_key: str) -> Profile | None:
    """What is usual in a zone; None where the zone is unknown or its country's intensity is.

    The zone's own table, else that of a zone that contains it, else a modelled profile of the zone itself,
    else the annual mean of its country.
    """
    zone = keyed(zone_key)
    inner_first: list[Zone] = []
    while zone is not None:
        inner_first.append(zone)
        zone = keyed(zone.within)
    if not inner_first:
        return None
    from tidewatt.forecasting.modelled_profile import modelled  # here, as it stands on this module

    shaped = next((found for each in inner_first if (found := _own(each)) is not None), None)
    return shaped or modelled(inner_first[0].key) or _flat(inner_first[-1])


def annual_mean(country: str) -> float | None:
    """Mean intensity of a country's latest year, gCO2eq/kWh, lifecycle; None where it is not known."""
    found = _annual().get(country)
    return found[0] if found is not None else None


def hourly(table: Intensities, start_ms: Milliseconds, timezone: str) -> Intensities:
    """Values (n, 3) of a table for hours that start at these Unix milliseconds.

    Between the middles of two months both have weight, so that the first of a month is no cliff.
    """
    return at(table, calendar(start_ms, timezone))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local times, (n,) each: `position` counts months of the year, whole in the middle of a month."""

    position: NDArray[np.float64]
    weekend: NDArray[np.int64]
    hour: NDArray[np.int64]
    day: NDArray[np.int64]  # of the proleptic calendar


def calendar(start_ms: Milliseconds, timezone: str) -> Calendar:
    """The local time of these Unix milliseconds."""
    place = ZoneInfo(timezone)
    local = [instant(int(ms)).astimezone(place) for ms in start_ms]
    return Calendar(
        np.array([t.month - 1.5 + (t.day - 0.5) / 30.4 for t in local], float),
        np.array([t.weekday() >= 5 for t in local], np.int64),
        np.array([t.hour for t in local], np.int64),
        np.array([t.toordinal() for t in local], np.int64),
    )


def at(table: Intensities, when: Calendar) -> Intensities:
    """Values of a table at these local times."""
    before = np.floor(when.position).astype(int)
    share = (when.position - before)[:, None]
    first, then = (table[month % 12, when.weekend, when.hour] for month in (before, before + 1))
    return np.asarray((1 - share) * first + share * then, float)


@lru_cache(maxsize=256)
def _own(zone: Zone) -> Profile | None:
    """The profile of a zone whose hours were observed."""
    lines = _shaped().get(zone.key)
    if lines is None:
        return None
    cells = [line.split(",") for line in lines]
    years = cells[0][1]
    table = np.array([row[5:] for row in cells], float).reshape(12, 2, 3, 24).swapaxes(2, 3)
    days = np.array([5, 2]) / 7
    mean = float(np.einsum("mdh,d->", table[..., MEAN], days) / (12 * 24))
    return Profile(zone.key, f"built-in profile of {zone.key}, {years}", False, mean, zone.timezone, table)


def _flat(zone: Zone) -> Profile | None:
    """The annual mean of a country, for every hour."""
    annual = _annual().get(zone.key)
    if annual is None:
        return None
    gco2_per_kwh, year = annual
    label = f"annual mean of {zone.name}, {year} (flat)"
    return Profile(zone.key, label, True, gco2_per_kwh, zone.timezone, None)


@cache
def _shaped() -> dict[str, list[str]]:
    """Lines of the table of shapes by zone, not yet parsed."""
    lines: dict[str, list[str]] = {}
    for line in SHAPED.read_text("utf-8").splitlines():
        if not line.startswith(("#", "zone,")):
            lines.setdefault(line.partition(",")[0], []).append(line)
    return lines


@cache
def _annual() -> dict[str, tuple[float, str]]:
    """Annual mean and its year by country."""
    lines = ANNUAL.read_text("utf-8").splitlines()
    rows = (line.split(",") for line in lines if not line.startswith(("#", "zone,")))
    return {zone: (float(mean), year) for zone, year, mean in rows}
