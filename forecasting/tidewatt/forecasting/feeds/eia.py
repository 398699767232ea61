"""The hourly electric grid monitor of the U.S. Energy Information Administration (EIA-930), API version 2.

It tells what each balancing authority generates by fuel, its demand and the forecast of that; the intensity
is computed from the mix with published factors (see `mix.py`). Periods are UTC hours named after their end,
and become steps named after their start here. About one to two hours late; restated for days.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tidewatt.forecasting import quantity
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.generation import (
    INTENSITIES,
    aligned,
    by_fuel,
    finished,
    fuels_of,
    observed,
    with_nights,
)
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.points import Point, assembled, within
from tidewatt.forecasting.feeds.secret import Secret, variables
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.feeds.wire import Record, check_page, record, records, words
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.mix import method as mix_method
from tidewatt.forecasting.series import Steps, empty, milliseconds
from tidewatt.forecasting.zones import Zone, keyed

NAME = "eia"
BASE_URL = "https://api.eia.gov/v2"
GENERATION = "electricity/rto/fuel-type-data/data/"
REGION = "electricity/rto/region-data/data/"
PER_MINUTE = 60.0  # a key of one's own allows about 9,000 an hour, DEMO_KEY about 30
PAGE = 5000
MOST_PAGES = 40
HOUR_MS = 3_600_000
LOOKED_BACK = timedelta(days=3)  # so much is always asked for: it shows which fuels are usual
UNIT = "megawatthours"
DEMAND, DEMAND_FORECAST, INTERCHANGE = "D", "DF", "TI"
FUELS: Mapping[str, str] = {
    "COL": "coal",
    "NG": "gas",
    "OIL": "oil",
    "GEO": "geothermal",
    "WAT": "hydro",
    "NUC": "nuclear",
    "SUN": "solar",
    "SNB": "solar",  # with a battery of its own
    "WND": "wind",
    "WNB": "wind",
    "BAT": "storage",
    "PS": "storage",
    "OES": "storage",
    "UES": "storage",
    "OTH": "other",
    "UNK": "other",
}
"""Our fuel of each of EIA's energy sources; biomass is part of EIA's "other"."""
SOLAR = [part for part, fuel in FUELS.items() if fuel == "solar"]


class Eia:
    """The feed, for zones with an `eia:` alias. Options: `backfill_days`, and `base_url`."""

    name = "EIA"

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        options = Options(NAME, config)
        self._base_url = options.address("base_url", BASE_URL)
        backfill = timedelta(days=options.whole("backfill_days", 3 * 365, 1, 3650))
        options.refuse_others()
        self.cadence = Cadence(
            forecast_every=timedelta(hours=3),
            observed_every=timedelta(hours=1),
            span=timedelta(days=60),
            backfill=backfill,
            revised_for=timedelta(days=3),
        )
        self._credentials, self._transport = credentials, transport

    def quantities(self, zone: str) -> tuple[str, ...]:
        """Intensity by both bases, power by fuel, demand and imports; empty outside the United States."""
        if not respondent(zone):
            return ()
        others = (quantity.generation("demand"), quantity.generation("imports"))
        return (*INTENSITIES, *fuels_of(FUELS.values()), *others)

    def method(self, kind: Kind, *, ahead: bool) -> str:
        """The factors that turn the mix into intensity."""
        return mix_method(kind.basis)

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The day-ahead forecast of demand, MW; EIA does not say when it was made, so it is as of `now`."""
        rows = self._rows(REGION, zone, now - timedelta(hours=2), now + timedelta(days=3), DEMAND_FORECAST)
        steps, notes = _region(rows, DEMAND_FORECAST)
        ahead = within(steps, now - timedelta(hours=1), now + timedelta(days=4))
        if not len(ahead.start_ms):
            return Fetched(notes=notes)
        return Fetched(issued=(Issued(quantity.generation("demand"), now, ahead),), notes=notes)

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The mix of the hours that lie in `[start, end)`, its intensity, demand and imports."""
        since = min(start, end - LOOKED_BACK)
        mix, notes = generation(self._rows(GENERATION, zone, since, end), _place(zone))
        region = self._rows(REGION, zone, start, end)
        demand, demand_notes = _region(region, DEMAND)
        exports, export_notes = _region(region, INTERCHANGE)
        imports = Steps(exports.start_ms, exports.end_ms, 0.0 - exports.gco2_per_kwh)
        told = (
            *mix,
            Observed(quantity.generation("demand"), demand),
            Observed(quantity.generation("imports"), imports),
        )
        inside = (Observed(each.quantity, within(each.steps, start, end)) for each in told)
        return Fetched(
            observed=tuple(each for each in inside if len(each.steps.start_ms)),
            notes=(*notes, *demand_notes, *export_notes),
        )

    def access(self, zone: str, now: datetime) -> Access:
        """Asks for the last two days of the mix and of the demand forecast."""
        mix = self.fetch_observations(zone, now - timedelta(days=2), now, now)
        ahead = self.fetch_forecast(zone, now)
        newest = max((int(each.steps.end_ms[-1]) for each in mix.observed), default=None)
        may = (*(("history",) if newest else ()), *(("demand forecast",) if ahead.issued else ()))
        without = tuple(verb for verb in ("history", "demand forecast") if verb not in may)
        if newest is None:
            return Access(zone, may, without, f"the key works, but {respondent(zone)} has no mix of late")
        late_h = (milliseconds(now) - newest) / HOUR_MS
        detail = (
            f"{respondent(zone)}: newest hour ended {late_h:.1f} h ago; no forecast of the intensity itself"
        )
        return Access(zone, may, without, detail)

    def _rows(
        self, route: str, zone: str, start: datetime, end: datetime, kind: str = ""
    ) -> list[tuple[int, Record]]:
        """Every row whose hour lies in `[start, end)`, with the start of its hour; page after page."""
        rows: list[Record] = []
        if end - _rounded_up(start) < timedelta(hours=1):
            return []
        for page in range(MOST_PAGES):
            query = parameters(respondent(zone), start, end, page * PAGE, kind)
            part = records(self._asked(route, query).get("data"), "EIA's data")
            rows += part
            if len(part) < PAGE:
                break
        return [(_start_ms(row), row) for row in rows]

    def _asked(self, route: str, query: Mapping[str, str]) -> Record:
        """The `response` of one call."""
        reply = self._transport.get(f"{self._base_url}/{route}", params={"api_key": self._key(), **query})
        check_page(reply, self.name)
        if reply.status in (401, 403):
            raise FeedError(
                f"EIA does not accept this key ({reply.status}): check {variables(NAME, 'key')[0]}, or key "
                "under [eia] in the credentials file",
                denied=True,
            )
        if reply.status != 200:
            raise FeedError(f"EIA refused the request ({reply.status}): {reply.excerpt}")
        body = record(reply.json(), "EIA's reply")
        return record(body.get("response"), "EIA's response")

    def _key(self) -> Secret:
        """The key; a FeedError that says where to put it where it is missing."""
        key = self._credentials.get("key")
        if not key:
            raise FeedError(
                f"EIA needs a key: set {variables(NAME, 'key')[0]}, or key under [eia] in the credentials "
                "file; it is free at https://www.eia.gov/opendata",
                denied=True,
            )
        return key


def _place(zone: str) -> Zone:
    place = keyed(zone)
    if place is None:
        raise FeedError(f"EIA cannot be asked for {zone!r}: there is no such zone", denied=True)
    return place


def respondent(zone: str) -> str:
    """EIA's code of a zone's balancing authority; "" where it has none."""
    known = keyed(zone)
    codes = [alias for alias in known.aliases if alias.startswith("eia:")] if known else []
    return codes[0].removeprefix("eia:") if codes else ""


def parameters(
    respondent: str, start: datetime, end: datetime, offset: int = 0, kind: str = ""
) -> dict[str, str]:
    """The query for the hours in `[start, end)`: EIA's bounds are inclusive and name hours by their end."""
    first = _rounded_up(start) + timedelta(hours=1)
    last = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    query = {
        "frequency": "hourly",
        "data[0]": "value",
        "facets[respondent][]": respondent,
        "start": f"{first:%Y-%m-%dT%H}",
        "end": f"{last:%Y-%m-%dT%H}",
        "sort[0][column]": "period",
        "sort[0][direction]": "asc",
        "offset": str(offset),
        "length": str(PAGE),
    }
    return {**query, "facets[type][]": kind} if kind else query


def generation(
    rows: Sequence[tuple[int, Record]], place: Zone
) -> tuple[tuple[Observed, ...], tuple[str, ...]]:
    """Power of each fuel and the intensity of the mix, without newest hours that are not whole yet."""
    by_part: dict[str, list[Point]] = {}
    for start_ms, row in rows:
        points = by_part.setdefault(words(row.get("fueltype")), [])
        points.append(Point(start_ms, start_ms + HOUR_MS, _megawatts(row)))
    unknown = [part for part in by_part if part not in FUELS]
    notes = [f"EIA's energy source {part} is not known here and counts as other" for part in unknown]
    parts: dict[str, Steps] = {}
    for part, points in by_part.items():
        parts[part], repairs = assembled(points, f"EIA's {part}")
        notes += repairs
    fuels = {part: FUELS.get(part, "other") for part in parts}
    storage = [part for part, fuel in fuels.items() if fuel == "storage"]
    whole, left_out = finished(with_nights(aligned(parts), SOLAR, place), storage)
    return observed(by_fuel(whole, fuels)), (*notes, *(f"EIA: {note}" for note in left_out))


def _region(rows: Sequence[tuple[int, Record]], kind: str) -> tuple[Steps, tuple[str, ...]]:
    """One kind of region data, MW: demand, its forecast, or what flows out."""
    found = [(start_ms, row) for start_ms, row in rows if row.get("type") == kind]
    if not found:
        return empty(), ()
    points = [Point(start_ms, start_ms + HOUR_MS, _megawatts(row)) for start_ms, row in found]
    return assembled(points, f"EIA's {kind}")


def _megawatts(row: Record) -> float | None:
    """Mean power of the hour, MW; EIA writes a number, a text that is one, or null."""
    unit = row.get("value-units")
    if unit != UNIT:
        raise FeedError(f"EIA told power in {words(unit)!r} instead of {UNIT!r}: refused")
    value = row.get("value")
    match value:
        case None | "":
            return None
        case bool():
            pass
        case int() | float():
            return float(value)
        case str():
            try:
                parsed = float(value)
            except ValueError:
                parsed = float("nan")
            if abs(parsed) < float("inf"):
                return parsed
    raise FeedError(f"EIA told a power that is no number: {words(value)[:40]!r}")


def _start_ms(row: Record) -> int:
    """The start of the hour that the row's period ends."""
    period = row.get("period")
    try:
        ended = datetime.strptime(str(period), "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        raise FeedError(f"EIA told a period that is no UTC hour: {words(period)[:40]!r}") from None
    return milliseconds(ended) - HOUR_MS


def _rounded_up(moment: datetime) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if hour == moment else hour + timedelta(hours=1)
