"""The Carbon Intensity API for Great Britain: keyless, half-hours, national and regional, 48 hours ahead.

The system operator counts CO2 from generation only, no other gases and no life cycle, and imports with the
intensity of the country they come from; so its kind is average, direct, CO2, by consumption. What a region
used is never measured: regional numbers of the past are the model's, and no observations here.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.points import Point, assembled, within
from tidewatt.forecasting.feeds.reply import MIB
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import milliseconds

NAME = "great_britain"
BASE_URL = "https://api.carbonintensity.org.uk"
PER_MINUTE = 20.0  # no limit is published; this is far below what dashboards ask
LARGEST_BYTES = 4 * MIB  # several times what the longest reply has
ZONE = "GB"
KIND = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
QUANTITY = intensity(KIND)
HALF_HOUR_S = 1800
REGIONS = 17
OUTWARD = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]?")
WHAT = "the GB Carbon Intensity API"


class GreatBritain:
    """The feed of zone `GB`. Options: `region_id` (1 to 17) or `postcode` (outward part), and `base_url`."""

    name = "GB Carbon Intensity"

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        options = Options(NAME, config)
        self._base_url = options.address("base_url", BASE_URL)
        region_id = options.whole("region_id", 0, 0, REGIONS)
        postcode = options.text("postcode").strip().upper()
        options.refuse_others()
        self._region = _region(region_id, postcode)
        self._region_id = region_id
        if self._region:
            self.name = f"GB Carbon Intensity, {self._region.replace('/', ' ')}"
        self._transport = transport
        self.cadence = Cadence(
            forecast_every=timedelta(minutes=30),
            observed_every=None if self._region else timedelta(minutes=30),
            span=timedelta(days=13),  # a call is refused above 14
            backfill=timedelta(days=365),
            revised_for=timedelta(days=2),
        )

    def quantities(self, zone: str) -> tuple[str, ...]:
        """The average intensity of Great Britain."""
        return (QUANTITY,) if zone == ZONE else ()

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """The forecast as it stands, taken as issued when the half-hour began in which it is asked."""
        _check_zone(zone)
        issued_at = half_hour(now)
        body = self._asked(forecast_path(issued_at, self._region))
        return parsed_forecast(body, issued_at, self._region_id)

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The half-hours of `[start, end)` that ended by `now` and have an actual value; national only."""
        _check_zone(zone)
        if self._region:
            return Fetched(notes=(f"{WHAT} observes no regions, it only models them",))
        body = self._asked(range_path(start, end))
        return parsed_observed(body, start, min(end, now))

    def access(self, zone: str, now: datetime) -> Access:
        """Whether the service answers; it needs no key."""
        issued = self.fetch_forecast(zone, now).issued
        ahead = (int(issued[0].steps.end_ms[-1]) / 1000 - now.timestamp()) / 3600 if issued else 0.0
        said = [f"{ahead:.0f} h ahead" if issued else "no forecast now", "no key needed"]
        may = ["forecast"] if issued else []
        if self._region:
            return Access(zone, tuple(may), ("history",), "; ".join([*said, "regions are not observed"]))
        past = self.fetch_observations(zone, now - timedelta(days=1), now, now).observed
        count = sum(len(each.steps.start_ms) for each in past)
        may += ["history"] if count else []
        missing = tuple(verb for verb in ("forecast", "history") if verb not in may)
        return Access(zone, tuple(may), missing, "; ".join([*said, f"{count} values of the last 24 h"]))

    def _asked(self, path: str) -> wire.Record:
        """The body of a call; an empty one is an empty object."""
        reply = self._transport.get(self._base_url + path)
        wire.check_page(reply, WHAT)
        if reply.status != 200:
            raise FeedError(
                f"{WHAT} refused the request ({reply.status}): {wire.said(reply)}",
                denied=reply.status in (401, 403, 404),
            )
        return wire.record(reply.json(), "the reply") if reply.body.strip() else {}


def half_hour(moment: datetime) -> datetime:
    """The beginning of the half-hour that holds a moment."""
    utc = moment.astimezone(UTC)
    return utc.replace(minute=utc.minute // 30 * 30, second=0, microsecond=0)


def forecast_path(issued_at: datetime, region: str) -> str:
    """Path of the 48 hours from a half-hour on; asked a minute into it, else the one before comes too."""
    part = f"/intensity/{_stamp(issued_at + timedelta(minutes=1))}/fw48h"
    return f"/regional{part}/{region}" if region else part


def range_path(start: datetime, end: datetime) -> str:
    """Path of what was over `[start, end)`."""
    return f"/intensity/{_stamp(half_hour(start) + timedelta(minutes=1))}/{_stamp(end)}"


def parsed_forecast(body: wire.Record, issued_at: datetime, region_id: int = 0) -> Fetched:
    """The issue in a reply, national or regional; however few half-hours there are, they are used."""
    items = _half_hours(body, region_id)
    steps, notes = assembled((_point(each, "forecast") for each in items), f"{WHAT}: forecast")
    if not len(steps.start_ms):
        return Fetched(notes=(*notes, f"{WHAT} sent an empty forecast"))
    missing = 96 - len(steps.start_ms)
    if missing > 0:
        notes += (f"{WHAT}: {len(steps.start_ms)} of 96 half-hours of a forecast",)
    return Fetched(issued=(Issued(QUANTITY, issued_at, steps),), notes=notes)


def parsed_observed(body: wire.Record, start: datetime, end: datetime) -> Fetched:
    """The actual values in `[start, end)` of a national reply; those not known yet are left out."""
    items = _half_hours(body, 0)
    ended = [each for each in items if wire.moment(each.get("to"), f"to of {WHAT}") <= end]
    points = [_point(each, "actual") for each in ended]
    newest = max((each.start_ms for each in points if each.value is not None), default=0)
    known = [each for each in points if each.start_ms <= newest]  # those after it are still to come
    steps, notes = assembled(known, f"{WHAT}: history")
    if not items:
        notes += (f"{WHAT} sent an empty history",)
    return Fetched(observed=(Observed(QUANTITY, within(steps, start, end)),), notes=notes)


def _half_hours(body: wire.Record, region_id: int) -> list[wire.Record]:
    """The half-hours, from a list of them, a region that holds such a list, or a list of one region."""
    data = body.get("data", [])
    if isinstance(data, list) and data and isinstance(data[0], dict) and "data" in data[0]:
        if len(data) > 1:
            raise FeedError(f"{WHAT} sent {len(data)} regions where one was asked for: refused")
        data = data[0]
    if isinstance(data, dict):
        given = data.get("regionid", region_id)
        if region_id and given != region_id:
            raise FeedError(f"{WHAT} answered for region {wire.words(given)}, not {region_id}: refused")
        data = data.get("data", [])
    return wire.records(data, f"data of {WHAT}")


def _point(item: wire.Record, which: str) -> Point:
    start = milliseconds(wire.moment(item.get("from"), f"from of {WHAT}"))
    end = milliseconds(wire.moment(item.get("to"), f"to of {WHAT}"))
    if end - start != 1000 * HALF_HOUR_S:
        raise FeedError(f"{WHAT} sent a step that is no half-hour: the service's format has changed")
    value = wire.record(item.get("intensity"), f"intensity of {WHAT}").get(which)
    return Point(start, end, wire.number(value, f"{which} of {WHAT}"))


def _region(region_id: int, postcode: str) -> str:
    """The end of a regional path; "" for the nation."""
    if region_id and postcode:
        raise ForecastError("the source great_britain takes region_id or postcode, not both")
    if postcode and not OUTWARD.fullmatch(postcode):
        raise ForecastError(
            f"postcode of the source great_britain must be the outward part alone, as RG10, not {postcode!r}"
        )
    if region_id:
        return f"regionid/{region_id}"
    return f"postcode/{postcode}" if postcode else ""


def _check_zone(zone: str) -> None:
    if zone != ZONE:
        raise FeedError(f"{WHAT} covers GB only, not {zone}", denied=True)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
