"""A strict stand-in for Open-Meteo's forecast: hourly weather of one place or several."""

from datetime import UTC, date, datetime, timedelta
from math import pi, sin

from tests.grid.server import BadRequest, GridServer, Request, Response

UNITS = {
    "temperature_2m": "°C",
    "dew_point_2m": "°C",
    "wind_speed_10m": "m/s",
    "shortwave_radiation": "W/m²",
    "precipitation": "mm",
}
ONLY = {
    "temperature_unit": "celsius",
    "wind_speed_unit": "ms",
    "precipitation_unit": "mm",
    "timeformat": "unixtime",
    "timezone": "GMT",
}
KNOWN = {
    "latitude",
    "longitude",
    "hourly",
    "forecast_days",
    "past_days",
    "start_date",
    "end_date",
    "apikey",
    *ONLY,
}
MOST_DAYS = 16
OLDEST = timedelta(days=93)


class OpenMeteoServer(GridServer):
    """`key`: what a commercial host wants; "" for the free one. `known_days`: beyond them values are null."""

    key = ""
    known_days = 7

    def answer(self, request: Request) -> Response:
        """The answer of the real service to this request."""
        if request.path != "/v1/forecast":
            raise BadRequest(Response(404, {"error": True, "reason": "Not Found"}))
        for name, _ in request.query:
            if name not in KNOWN:
                raise _refused(f"Unknown parameter '{name}'")
        for name, value in ONLY.items():
            if request.value(name) != value:
                raise _refused(
                    f"Cannot initialize from invalid String value {request.value(name)} for key {name}"
                )
        if self.key and request.value("apikey") != self.key:
            raise BadRequest(Response(401, {"error": True, "reason": "The supplied API key is invalid."}))
        places = self._places(request)
        variables = request.value("hourly").split(",")
        if unknown := [name for name in variables if name not in UNITS]:
            raise _refused(f"Cannot initialize ForecastVariable from invalid String value {unknown[0]}")
        first, last = self._days(request)
        told = [self._told(place, variables, first, last) for place in places]
        return Response(200, told if len(told) > 1 else told[0])

    def value(self, variable: str, latitude: float, at: datetime) -> float:
        """What is told for an hour that is named after its beginning or its end, as the variable has it."""
        hour = at.timestamp() / 3600
        match variable:
            case "temperature_2m":
                return round(20 - latitude / 5 + 5 * sin(2 * pi * (hour - 9) / 24), 1)
            case "dew_point_2m":
                return round(5 - latitude / 10, 1)
            case "wind_speed_10m":
                return round(5 + 3 * sin(2 * pi * hour / 61), 2)
            case "shortwave_radiation":
                return round(max(0.0, 800 * sin(2 * pi * (hour - 6) / 24)))
            case _:
                return 0.1 * (at.hour % 3)

    def _places(self, request: Request) -> list[tuple[float, float]]:
        texts = [request.value(name).split(",") for name in ("latitude", "longitude")]
        if not request.value("latitude") or len(texts[0]) != len(texts[1]):
            raise _refused("Parameter 'latitude' and 'longitude' must have the same number of elements")
        places = [(float(a), float(b)) for a, b in zip(*texts, strict=True)]
        if any(abs(latitude) > 90 or abs(longitude) > 180 for latitude, longitude in places):
            raise _refused("Latitude must be in range of -90 to 90°.")
        return places

    def _days(self, request: Request) -> tuple[date, date]:
        today = self.now.date()
        if request.value("start_date"):
            if request.value("forecast_days") or request.value("past_days"):
                raise _refused(
                    "Parameter 'forecast_days' is mutually exclusive with 'start_date' and 'end_date'"
                )
            first, last = (date.fromisoformat(request.value(name)) for name in ("start_date", "end_date"))
        else:
            first = today - timedelta(days=int(request.value("past_days", "0")))
            last = today + timedelta(days=int(request.value("forecast_days", "7")) - 1)
        if not today - OLDEST <= first <= last <= today + timedelta(days=MOST_DAYS - 1):
            raise _refused("Parameter 'start_date' is out of allowed range")
        return first, last

    def _told(
        self, place: tuple[float, float], variables: list[str], first: date, last: date
    ) -> dict[str, object]:
        midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
        hours = [midnight + timedelta(hours=i) for i in range(24 * ((last - first).days + 1))]
        end = self.now + timedelta(days=self.known_days)
        columns = {
            name: [self.value(name, place[0], at) if at <= end else None for at in hours]
            for name in variables
        }
        return {
            "latitude": place[0],
            "longitude": place[1],
            "generationtime_ms": 0.1,
            "utc_offset_seconds": 0,
            "timezone": "GMT",
            "timezone_abbreviation": "GMT",
            "elevation": 38.0,
            "hourly_units": {"time": "unixtime", **{name: UNITS[name] for name in variables}},
            "hourly": {"time": [int(at.timestamp()) for at in hours], **columns},
        }


def _refused(reason: str) -> BadRequest:
    return BadRequest(Response(400, {"error": True, "reason": reason}))
