"""Weather of Open-Meteo: no key, hourly, a week ahead. Data under CC BY 4.0: Weather data by Open-Meteo.com.

A zone's weather is the mean over its centre and up to four places more. The service does not tell of which
model run a forecast is, so an issue is as of the time it was asked for, and only what lies ahead is kept.
What it tells of the past is analysis, made afterwards: it comes as observed, never as a forecast.

The free host is for non-commercial use; with a key the commercial one is asked.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting import quantity
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Access, Cadence, FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.feeds.options import Options
from tidewatt.forecasting.feeds.points import within
from tidewatt.forecasting.feeds.reply import MIB
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.transport import Pairs, Transport
from tidewatt.forecasting.feeds.wire import Record, check_page, record, records, words
from tidewatt.forecasting.series import Steps, milliseconds, stepped
from tidewatt.forecasting.zones import Zone, every, keyed

NAME = "open_meteo"
BASE_URL = "https://api.open-meteo.com"
KEYED_URL = "https://customer-api.open-meteo.com"
PER_MINUTE = 60.0  # 600 are allowed for each address of a network
LARGEST_BYTES = 4 * MIB  # several times what the longest reply has
DAYS_AHEAD = 8  # today among them
MOST_PLACES = 5
HOUR_S = 3600
KELVIN = 273.15
INSTANT, BEFORE = "at the hour", "over the hour before"
# Each of our variables: theirs, its unit, what to add to it, and which time its value is for.
VARIABLES: Mapping[str, tuple[str, str, float, str]] = {
    "temperature_k": ("temperature_2m", "°C", KELVIN, INSTANT),
    "dew_point_k": ("dew_point_2m", "°C", KELVIN, INSTANT),
    "wind_m_s": ("wind_speed_10m", "m/s", 0.0, INSTANT),
    "short_wave_w_m2": ("shortwave_radiation", "W/m²", 0.0, BEFORE),
    "precipitation_mm": ("precipitation", "mm", 0.0, BEFORE),
}
AFTERWARDS = "Open-Meteo's weather of the past is analysis, made afterwards"
Place = tuple[float, float]
Values = NDArray[np.float64]


class OpenMeteo:
    """The feed, for every zone. Options: `places`, by zone a list of [latitude, longitude]; `base_url`."""

    name = "Open-Meteo"
    cadence = Cadence(
        forecast_every=timedelta(hours=3),
        observed_every=timedelta(days=1),
        span=timedelta(days=30),
        backfill=timedelta(days=90),
        revised_for=timedelta(days=1),
    )

    def __init__(
        self, config: Mapping[str, object], credentials: Mapping[str, Secret], transport: Transport
    ) -> None:
        self._key = credentials.get("key")
        options = Options(NAME, {name: value for name, value in config.items() if name != "places"})
        self.base_url = options.address("base_url", KEYED_URL if self._key else BASE_URL)
        options.refuse_others()
        self._places = _given(config.get("places", {}))
        self._transport = transport

    def quantities(self, zone: str) -> tuple[str, ...]:
        """All weather variables, wherever there is a zone."""
        return tuple(map(quantity.weather, VARIABLES)) if keyed(zone) else ()

    def fetch_forecast(self, zone: str, now: datetime) -> Fetched:
        """A week from the current hour on, as issued at `now`."""
        told = self._told(zone, {"forecast_days": DAYS_AHEAD})
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        ahead = {name: within(steps, hour, now + timedelta(days=DAYS_AHEAD)) for name, steps in told.items()}
        return Fetched(
            issued=tuple(
                Issued(quantity.weather(name), now, steps)
                for name, steps in ahead.items()
                if len(steps.start_ms)
            )
        )

    def fetch_observations(self, zone: str, start: datetime, end: datetime, now: datetime) -> Fetched:
        """The analysed hours that lie in `[start, end)` and have ended."""
        until = min(end, now)
        days = {
            "start_date": f"{start.astimezone(UTC):%Y-%m-%d}",
            # values over the hour before midnight stand at the beginning of the next day
            "end_date": f"{until.astimezone(UTC) + timedelta(hours=1):%Y-%m-%d}",
        }
        told = self._told(zone, days)
        past = {name: within(steps, start, until) for name, steps in told.items()}
        return Fetched(
            observed=tuple(
                Observed(quantity.weather(name), steps) for name, steps in past.items() if len(steps.start_ms)
            ),
            notes=(AFTERWARDS,),
        )

    def access(self, zone: str, now: datetime) -> Access:
        """Asks for the forecast."""
        issued = self.fetch_forecast(zone, now).issued
        ahead_h = max((each.steps.end_ms[-1] - milliseconds(now) for each in issued), default=0) / 3.6e6
        places = len(self.places(zone))
        detail = f"{ahead_h:.0f} h ahead, mean over {places} place{'s' if places != 1 else ''}"
        return Access(zone, ("weather forecast",) if issued else (), detail=detail)

    def places(self, zone: str) -> tuple[Place, ...]:
        """Where the zone's weather is taken: as configured, else its centre and those of its parts."""
        here = keyed(zone)
        if here is None:
            raise FeedError(f"Open-Meteo cannot be asked for {zone!r}: there is no such zone", denied=True)
        parts = [each for each in every() if each.within == zone]
        return self._places.get(zone) or tuple(map(_centre, [here, *parts][:MOST_PLACES]))

    def _told(self, zone: str, span: Pairs) -> dict[str, Steps]:
        """Each variable as mean over the zone's places."""
        places = self.places(zone)
        query = {**parameters(places), **span, **({"apikey": self._key} if self._key else {})}
        reply = self._transport.get(f"{self.base_url}/v1/forecast", params=query)
        check_page(reply, self.name)
        if reply.status in (401, 403):
            raise FeedError("Open-Meteo does not accept this key: check OPEN_METEO_KEY", denied=True)
        if reply.status != 200:
            raise FeedError(f"Open-Meteo refused the request ({reply.status}): {reply.excerpt}")
        body = reply.json()
        told = records(body if isinstance(body, list) else [body], "Open-Meteo's reply")
        if len(told) != len(places):
            raise FeedError(f"Open-Meteo told {len(told)} places instead of {len(places)}: refused")
        return weather(told)


def parameters(places: Sequence[Place]) -> dict[str, str]:
    """The query for these places: all variables, in the units of `VARIABLES`, times as Unix seconds."""
    return {
        "latitude": ",".join(f"{latitude:.4f}" for latitude, _ in places),
        "longitude": ",".join(f"{longitude:.4f}" for _, longitude in places),
        "hourly": ",".join(theirs for theirs, _, _, _ in VARIABLES.values()),
        "temperature_unit": "celsius",
        "wind_speed_unit": "ms",
        "precipitation_unit": "mm",
        "timeformat": "unixtime",
        "timezone": "GMT",
    }


def weather(places: Sequence[Record]) -> dict[str, Steps]:
    """Hourly steps of each variable, as mean over the places; an hour that one of them misses is a hole."""
    start_ms = _hours(places[0])
    if any(not np.array_equal(_hours(each), start_ms) for each in places):
        raise FeedError("Open-Meteo told different hours for the places of one zone: refused")
    return {name: _steps(places, name, start_ms) for name in VARIABLES}


def _steps(places: Sequence[Record], name: str, label_ms: NDArray[np.int64]) -> Steps:
    """Values at the hour become the mean of both ends of it; those over the hour before are moved to it."""
    theirs, unit, added, meaning = VARIABLES[name]
    mean = np.mean([_column(each, theirs, unit, len(label_ms)) for each in places], axis=0) + added
    values = (mean[:-1] + mean[1:]) / 2 if meaning == INSTANT else mean[1:]
    known = np.isfinite(values)
    return stepped(label_ms[:-1][known], label_ms[1:][known], values[known])


def _column(place: Record, theirs: str, unit: str, count: int) -> Values:
    """One variable of one place; NaN for null."""
    units = record(place.get("hourly_units"), "Open-Meteo's hourly_units")
    if units.get(theirs) != unit:
        raise FeedError(f"Open-Meteo told {theirs} in {words(units.get(theirs))!r}, not {unit!r}: refused")
    column = record(place.get("hourly"), "Open-Meteo's hourly").get(theirs)
    if not isinstance(column, list) or len(column) != count:
        raise FeedError(f"Open-Meteo told not as many values of {theirs} as hours: refused")
    if any(isinstance(value, bool) or not isinstance(value, int | float | None) for value in column):
        raise FeedError(f"Open-Meteo told a value of {theirs} that is no number: refused")
    return np.array([np.nan if value is None else float(value) for value in column])


def _hours(place: Record) -> NDArray[np.int64]:
    """The hours that the values are named after, Unix milliseconds."""
    units = record(place.get("hourly_units"), "Open-Meteo's hourly_units")
    times = record(place.get("hourly"), "Open-Meteo's hourly").get("time")
    if units.get("time") != "unixtime" or place.get("utc_offset_seconds") != 0:
        raise FeedError("Open-Meteo told local times or none: refused")
    if not isinstance(times, list) or any(type(each) is not int for each in times):
        raise FeedError("Open-Meteo told times that are no Unix seconds: refused")
    seconds = np.array(times, np.int64)
    if (np.diff(seconds) != HOUR_S).any() or (seconds % HOUR_S).any():
        raise FeedError("Open-Meteo told times that are not hour after hour: refused")
    return seconds * 1000


def _centre(zone: Zone) -> Place:
    return zone.latitude, zone.longitude


def _given(places: object) -> dict[str, tuple[Place, ...]]:
    """The option `places`, checked."""
    if not isinstance(places, Mapping):
        raise ForecastError(f"places of the source {NAME} must be a table such as {{DE = [[52.5, 13.4]]}}")
    return {
        str(zone): tuple(_place(str(zone), each) for each in _list(zone, given))
        for zone, given in places.items()
    }


def _list(zone: object, given: object) -> Sequence[object]:
    if keyed(str(zone)) is None:
        raise ForecastError(f"places of the source {NAME} name a zone that does not exist: {zone}")
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_PLACES:
        raise ForecastError(f"places of {zone} must be a list of 1 to {MOST_PLACES} [latitude, longitude]")
    return given


def _place(zone: str, given: object) -> Place:
    match given:
        case [int() | float() as latitude, int() | float() as longitude] if (
            isfinite(latitude) and isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180
        ):
            return float(latitude), float(longitude)
    raise ForecastError(f"a place of {zone} must be [latitude, longitude] in degrees, not {given!r}")
