"""A strict stand-in for the GB Carbon Intensity API: times in the path, half-hours, national and regional."""

import re
from datetime import UTC, datetime, timedelta

from tests.grid.server import BadRequest, GridServer, Request, Response

HALF = timedelta(minutes=30)
LONGEST = timedelta(days=14)
FORWARD = {"fw24h": timedelta(hours=24), "fw48h": timedelta(hours=48), "pt24h": timedelta(hours=-24)}
POSTCODES = {"RG10": 12, "OX1": 12, "SW1": 13, "EH1": 2}
REGIONS = {2: "South Scotland", 12: "South England", 13: "London"}
FUELS = ("biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "solar", "wind")
NATIONAL = re.compile(r"/intensity(?:/(?P<start>[^/]+)(?:/(?P<end>[^/]+))?)?")
REGIONAL = re.compile(
    r"/regional/intensity/(?P<start>[^/]+)/(?P<end>[^/]+)/(?P<by>postcode|regionid)/(?P<place>[^/]+)"
)
REGIONAL_NOW = re.compile(r"/regional/(?P<by>postcode|regionid)/(?P<place>[^/]+)")


class GreatBritainServer(GridServer):
    """`actual_delay`: so long after a half-hour ended its actual value is not there yet."""

    actual_delay = timedelta(minutes=20)

    def answer(self, request: Request) -> Response:
        """The answer of the real service to this request."""
        if request.query:
            raise refused("no parameters are known")
        if found := REGIONAL.fullmatch(request.path):
            region = self._region(found["by"], found["place"])
            data = [self._regional(at, region) for at in self._slots(found["start"], found["end"])]
            return Response(200, {"data": self._place(region, found["place"], data)})
        if found := REGIONAL_NOW.fullmatch(request.path):
            region = self._region(found["by"], found["place"])
            here = self._place(region, found["place"], [self._regional(floor(self.now), region)])
            return Response(200, {"data": [here]})
        if found := NATIONAL.fullmatch(request.path):
            start = found["start"] or stamp(self.now + timedelta(minutes=1))
            slots = self._slots(start, found["end"]) if found["end"] else [floor(parsed(start))]
            return Response(200, {"data": [self._national(at) for at in slots]})
        raise missing()

    def forecast(self, at: datetime, region: int = 0) -> int:
        """Grams per kWh forecast for the half-hour that begins then."""
        return 120 + region + int(at.timestamp() // 1800) * 3 % 50

    def _slots(self, start_text: str, end_text: str) -> list[datetime]:
        """The half-hours from the one that holds or precedes the start on; ends are included."""
        start = parsed(start_text)
        first = floor(start - timedelta(seconds=1))
        if end_text in FORWARD:
            span = FORWARD[end_text]
            begin = min(first, first + span)
            return [begin + i * HALF for i in range(abs(span) // HALF)]
        end = parsed(end_text)
        if end < start or end - start > LONGEST:
            raise refused("Please enter a date range of 14 days or less")
        return [first + i * HALF for i in range((end - first) // HALF + 1)]

    def _national(self, at: datetime) -> dict[str, object]:
        known = at + HALF + self.actual_delay <= self.now
        actual = self.forecast(at) + 2 if known else None
        intensity = {"forecast": self.forecast(at), "actual": actual, "index": "moderate"}
        return {"from": stamp(at), "to": stamp(at + HALF), "intensity": intensity}

    def _regional(self, at: datetime, region: int) -> dict[str, object]:
        mix = [{"fuel": fuel, "perc": 100 / len(FUELS)} for fuel in FUELS]
        intensity = {"forecast": self.forecast(at, region), "index": "moderate"}
        return {"from": stamp(at), "to": stamp(at + HALF), "intensity": intensity, "generationmix": mix}

    def _region(self, by: str, place: str) -> int:
        region = POSTCODES.get(place, 0) if by == "postcode" else int(place) if place.isdigit() else 0
        if by == "postcode" and not region:
            raise refused("Please enter a valid postcode")
        if region not in REGIONS:
            raise BadRequest(Response(404, {"error": {"code": "404 Not Found", "message": "No such region"}}))
        return region

    def _place(self, region: int, place: str, data: list[dict[str, object]]) -> dict[str, object]:
        named = {} if place.isdigit() else {"postcode": place}
        return (
            {"regionid": region, "dnoregion": REGIONS[region], "shortname": REGIONS[region]}
            | named
            | {"data": data}
        )


def parsed(text: str) -> datetime:
    """A time of a path, which has minutes and is in UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        raise refused("Please enter a valid date in ISO8601 format YYYY-MM-DDThh:mmZ") from None


def floor(at: datetime) -> datetime:
    """The beginning of the half-hour that holds a time."""
    return at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)


def stamp(at: datetime) -> str:
    """A time as the service writes it."""
    return at.strftime("%Y-%m-%dT%H:%MZ")


def refused(message: str) -> BadRequest:
    """The refusal of a request that is wrong in itself."""
    return BadRequest(Response(400, {"error": {"code": "400 Bad Request", "message": message}}))


def missing() -> BadRequest:
    """What the service says of what it has not."""
    error = {"code": "500 Internal Server Error", "message": "Requested resource not found."}
    return BadRequest(Response(500, {"error": error}))
