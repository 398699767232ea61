"""Energy and location-based emissions by hour, zone, project and site: what a scope 2 inventory is made from.

The GHG Protocol asks for the most precise factor that is accessible, and its revision for hours. Energy in an
operator's own machines is scope 2, in a cloud's scope 3. The market-based side is the operator's contracts:
its column is empty here, and never filled by any calculation.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.emission import micrograms, rounded
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.units import HOUR_MS, UJ_PER_KWH
from tidewatt.scheduler.schemas import Message

SIGNAL = "average"  # an inventory is of averages; what one more kWh causes belongs to savings
OWN_PROJECT = "(Tidewatt itself)"
COLUMNS = (
    "hour_utc", "zone", "project", "region", "site", "cloud", "scope", "scope_basis", "it_kwh",
    "facility_kwh", "pue", "pue_source", "average_gco2_per_kwh", "location_based_g", "intensity_source",
    "market_based_g",
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """An hour of a project in one place. `cloud` is a provider, "" own hardware; `stated` if that is said."""

    hour_ms: int
    zone: str
    project: str
    region: str
    site: str
    cloud: str
    stated: bool
    pue_micro: int
    pue_source: str


@dataclass(frozen=True, slots=True)
class Where:
    """Where one attempt ran, as it was frozen at its launch; `cloud` is None where nobody said."""

    zone: str
    pue_micro: int
    pue_source: str
    site: str = ""
    cloud: str | None = None


@dataclass(slots=True)
class Amount:
    """Microjoules at the machine and with PUE, and micrograms of the part whose intensity was observed."""

    it_uj: int = 0
    facility_uj: int = 0
    emitted_ug: int = 0
    unpriced_uj: int = 0
    sources: dict[str, None] = field(default_factory=dict)

    def add(self, other: "Amount") -> None:
        """Adds what another job used in the same hour and place."""
        self.it_uj += other.it_uj
        self.facility_uj += other.facility_uj
        self.emitted_ug += other.emitted_ug
        self.unpriced_uj += other.unpriced_uj
        self.sources |= other.sources


class HourView(Message):
    """A line of the inventory; see `Spot`. Grams are None where an intensity of the hour was not observed."""

    hour_utc: str
    zone: str
    project: str
    region: str
    site: str
    cloud: str
    scope: int
    scope_basis: str
    it_kwh: float
    facility_kwh: float
    pue: float
    pue_source: str
    average_gco2_per_kwh: float | None
    location_based_g: float | None
    intensity_source: str
    market_based_g: None = None


class Hours(Message):
    """The inventory of jobs that ended since a time; what could not be put into hours is counted beside."""

    hours: tuple[HourView, ...]
    jobs: int
    unmetered_jobs: int
    jobs_without_hours: int
    kwh_without_hours: float


class Rates:
    """Observed intensity of one zone in mg/kWh."""

    def __init__(self, series: Series) -> None:
        self.source = f"{series.source} ({series.kind})"
        steps = [
            (int(start), int(end), round(float(value) * 1000))
            for start, end, value in zip(
                series.steps.start_ms, series.steps.end_ms, series.steps.gco2_per_kwh, strict=True
            )
            if value == value  # what was not observed is not a number
        ]
        self._starts_ms = [start for start, _, _ in steps]
        self._steps = steps

    def at(self, time_ms: int) -> int | None:
        """The intensity then; None where it was not observed."""
        place = bisect_right(self._starts_ms, time_ms) - 1
        if place < 0 or time_ms >= self._steps[place][1]:
            return None
        return self._steps[place][2]


RatesOf = Callable[[str, int], Rates | None]
"""What was observed in a zone at a time; None where nothing was."""


def hours_of(
    cells: Iterable[Cell], places: Mapping[str, Where], project: str, rates: RatesOf
) -> dict[Spot, Amount]:
    """A job's energy and emissions by hour, whose sums are those of its account, to the last integer.

    Sums are rounded once, as the account's are, and an hour has the difference of two of them. Data moved
    between regions is not in it: networks are nobody's scope 2.
    """
    found: dict[Spot, Amount] = {}
    emitted = 0
    facility: dict[str, int] = {}
    for (attempt_id, hour_ms), group in _grouped(cells).items():
        where = places[attempt_id]
        it_uj = sum(cell.active_uj + cell.idle_uj for cell in group)
        before = facility.get(attempt_id, 0)
        facility[attempt_id] = before + it_uj * where.pue_micro
        amount = Amount(it_uj, rounded(facility[attempt_id], MICRO) - rounded(before, MICRO))
        priced = emitted + _price(group, where, rates, amount) * where.pue_micro
        amount.emitted_ug = micrograms(priced, MICRO) - micrograms(emitted, MICRO)
        emitted = priced
        found.setdefault(_spot(hour_ms, group[0].region, where, project), Amount()).add(amount)
    return found


def _grouped(cells: Iterable[Cell]) -> dict[tuple[str, int], list[Cell]]:
    """The cells of each attempt by the hour that they lie in."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.attempt_id, cell.start_ms // HOUR_MS * HOUR_MS), []).append(cell)
    return found


def _price(cells: Iterable[Cell], where: Where, rates: RatesOf, amount: Amount) -> int:
    """Microjoules times mg/kWh of what was observed; notes in the amount by whom, and what was not."""
    uj_mg = 0
    for cell in cells:
        both_uj = cell.active_uj + cell.idle_uj
        rate = rates(where.zone, cell.start_ms) if where.zone else None
        mg = None if rate is None else rate.at(cell.start_ms)
        if rate is None or mg is None:
            amount.unpriced_uj += both_uj
        else:
            amount.sources[rate.source] = None
            uj_mg += both_uj * mg
    return uj_mg


def own_hour(payload: Mapping[str, Any], where: Where) -> tuple[Spot, Amount]:
    """What Tidewatt itself used in an hour, from an event "own": a project of its own."""
    it_uj = sum(payload["energy_uj"].values())
    emitted_ug = payload["emissions_ug"].get(SIGNAL)
    amount = Amount(
        it_uj=it_uj,
        facility_uj=rounded(it_uj * where.pue_micro, MICRO),
        emitted_ug=emitted_ug or 0,
        unpriced_uj=it_uj if emitted_ug is None else 0,
        sources={} if emitted_ug is None else {payload["sources"][SIGNAL]: None},
    )
    return _spot(payload["hour_ms"], payload["region"], where, OWN_PROJECT), amount


def together(parts: Iterable[Mapping[Spot, Amount]]) -> dict[Spot, Amount]:
    """All jobs' hours in one, in order of time and place."""
    found: dict[Spot, Amount] = {}
    for part in parts:
        for spot, amount in part.items():
            found.setdefault(spot, Amount()).add(amount)
    return dict(sorted(found.items()))


def views(amounts: Mapping[Spot, Amount]) -> tuple[HourView, ...]:
    """The lines of the inventory."""
    return tuple(_view(spot, amount) for spot, amount in amounts.items())


def _spot(hour_ms: int, region: str, where: Where, project: str) -> Spot:
    return Spot(
        hour_ms=hour_ms,
        zone=where.zone,
        project=project,
        region=region,
        site=where.site,
        cloud=where.cloud or "",
        stated=where.cloud is not None,
        pue_micro=where.pue_micro,
        pue_source=where.pue_source,
    )


def _view(spot: Spot, amount: Amount) -> HourView:
    facility_kwh = amount.facility_uj / UJ_PER_KWH
    grams = None if amount.unpriced_uj or not amount.it_uj else amount.emitted_ug / 1e6
    return HourView(
        hour_utc=f"{moment(spot.hour_ms):%Y-%m-%dT%H:%M:%SZ}",
        zone=spot.zone,
        project=spot.project,
        region=spot.region,
        site=spot.site,
        cloud=spot.cloud,
        scope=3 if spot.cloud else 2,
        scope_basis="stated" if spot.stated else "assumed: own hardware",
        it_kwh=amount.it_uj / UJ_PER_KWH,
        facility_kwh=facility_kwh,
        pue=spot.pue_micro / MICRO,
        pue_source=spot.pue_source,
        average_gco2_per_kwh=None if grams is None or not facility_kwh else grams / facility_kwh,
        location_based_g=grams,
        intensity_source="; ".join(amount.sources) or "not observed",
    )
