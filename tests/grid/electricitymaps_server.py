"""A strict stand-in for Electricity Maps v3: plans, nulls, estimates, and never a look-up of the caller."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.grid.server import NOON, BadRequest, GridServer, Request, Response, aware

KEY = "em-key-7f3a9c"
LONGEST = timedelta(days=10)
HOUR = timedelta(hours=1)
ZONES = ("DE", "GB", "FR", "US-CAL-CISO", "US-MIDW-MISO")
HORIZONS = range(1, 73)
COMMON = {
    "zone",
    "zoneKey",
    "lat",
    "lon",
    "dataCenterProvider",
    "dataCenterRegion",
    "disableCallerLookup",
    "temporalGranularity",
}
OBSERVED = COMMON | {"disableEstimations", "emissionFactorType"}
PARAMETERS = {
    "latest": OBSERVED,
    "history": OBSERVED,
    "past": OBSERVED | {"datetime"},
    "past-range": OBSERVED | {"start", "end"},
    "forecast": COMMON | {"horizonHours", "environment"},
}


@dataclass(frozen=True)
class Plan:
    """What a key may do."""

    zones: tuple[str, ...] = ZONES
    verbs: tuple[str, ...] = tuple(PARAMETERS)


FREE = Plan(("DE",), ("latest", "history"))


class ElectricityMapsServer(GridServer):
    """The newest `estimated_hours` of the past are estimates, and `nulls` are hours without a value.

    A request that names no zone is counted in `caller_lookups`: the real service would take the caller's
    own place.
    """

    def __init__(self, now: datetime = NOON, plan: Plan | None = None) -> None:
        super().__init__(now)
        self.plan = plan or Plan()
        self.estimated_hours = 2
        self.nulls: set[datetime] = set()
        self.caller_lookups = 0
        self.nested_past = False

    def answer(self, request: Request) -> Response:
        """The answer of the real service to this request."""
        verb = request.path.removeprefix("/v3/carbon-intensity/")
        if request.path == "/v3/zones":
            return Response(200, self._zones(request))
        if verb not in PARAMETERS:
            return Response(404, {"status": "error", "message": "Not found"})
        if request.headers.get("auth-token") != KEY:
            return Response(401, {"error": "Invalid auth-token"})
        zone = self._zone(request)
        self._check(request, verb, zone)
        match verb:
            case "latest":
                return Response(200, self._item(zone, self._hour(self.now), request) | granular())
            case "history":
                items = self._items(zone, self._hour(self.now) - 23 * HOUR, self.now, request)
                return Response(200, {"zone": zone, "history": list(items)} | granular())
            case "past":
                return Response(200, self._past(zone, request))
            case "past-range":
                start, end = (self._time(request, name) for name in ("start", "end"))
                if not start < end <= start + LONGEST:
                    raise invalid(f"at most {LONGEST.days} days of hourly data")
                items = self._items(zone, start, min(end - HOUR, self.now), request)
                return Response(200, {"zone": zone, "data": list(items)} | granular())
        return Response(200, self._forecast(zone, request))

    def intensity(self, zone: str, at: datetime, basis: str = "lifecycle") -> int:
        """Grams per kWh of the hour that begins then."""
        whole = 300 + ZONES.index(zone) * 20 + int(at.timestamp() // 3600) * 5 % 60
        return whole if basis == "lifecycle" else whole - 40

    def _zone(self, request: Request) -> str:
        named = request.values("zone") + request.values("zoneKey")
        if not named and not request.values("dataCenterRegion") and not request.values("lat"):
            self.caller_lookups += 1
            raise invalid("the caller would have been looked up")
        if len(named) != 1 or named[0] not in ZONES:
            raise BadRequest(Response(404, {"status": "error", "message": f"Zone {named} does not exist"}))
        return named[0]

    def _check(self, request: Request, verb: str, zone: str) -> None:
        given = [name for name, _ in request.query]
        if len(set(given)) < len(given) or set(given) - PARAMETERS[verb]:
            raise invalid(f"unknown or repeated parameters: {sorted(set(given) - PARAMETERS[verb])}")
        if request.value("temporalGranularity", "hourly") != "hourly":
            raise invalid("this stand-in has hours only")
        if request.value("emissionFactorType", "lifecycle") not in ("lifecycle", "direct"):
            raise invalid("no such emissionFactorType")
        if verb == "forecast" and float(request.value("horizonHours", "24")) not in HORIZONS:
            raise invalid("horizonHours is a number from 1 to 72")
        if zone not in self.plan.zones:
            raise BadRequest(Response(401, {"error": f"Token unauthorized for zoneKey={zone}"}))
        if verb not in self.plan.verbs:
            raise BadRequest(Response(401, {"error": "Endpoint not available on this plan"}))

    def _time(self, request: Request, name: str) -> datetime:
        time = aware(request.value(name))
        if time is None:
            raise invalid(f"{name} must be a time with a time zone")
        return time

    def _past(self, zone: str, request: Request) -> dict[str, object]:
        item = self._item(zone, self._hour(self._time(request, "datetime")), request)
        return {"zone": zone, "data": [item]} | granular() if self.nested_past else item

    def _items(
        self, zone: str, start: datetime, last: datetime, request: Request
    ) -> Iterator[dict[str, object]]:
        at = self._hour(start)
        while at <= last:
            if at >= start:
                yield self._item(zone, at, request)
            at += HOUR

    def _item(self, zone: str, at: datetime, request: Request) -> dict[str, object]:
        estimated = at > self.now - (self.estimated_hours + 1) * HOUR
        basis = request.value("emissionFactorType", "lifecycle")
        return {
            "zone": zone,
            "carbonIntensity": None if at in self.nulls else self.intensity(zone, at, basis),
            "datetime": stamp(at),
            "updatedAt": stamp(self.now),
            "createdAt": "2026-02-26T03:45:20.860Z",
            "emissionFactorType": basis,
            "isEstimated": estimated,
            "estimationMethod": "TIME_SLICER_AVERAGE" if estimated else None,
        }

    def _forecast(self, zone: str, request: Request) -> dict[str, object]:
        hours = int(float(request.value("horizonHours", "24")))
        times = [self._hour(self.now) + i * HOUR for i in range(hours)]
        forecast = [
            {
                "carbonIntensity": None if at in self.nulls else self.intensity(zone, at) + 2,
                "datetime": stamp(at),
            }
            for at in times
        ]
        return {"zone": zone, "forecast": forecast, "updatedAt": stamp(self.now)} | granular()

    def _zones(self, request: Request) -> dict[str, object]:
        known = request.headers.get("auth-token") == KEY
        access = {"access": [f"carbon-intensity/{verb}" for verb in self.plan.verbs]} if known else {}
        return {zone: {"zoneName": zone, **access} for zone in (self.plan.zones if known else ZONES)}

    def _hour(self, at: datetime) -> datetime:
        return at.replace(minute=0, second=0, microsecond=0)


def stamp(at: datetime) -> str:
    """A time as the service writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def granular() -> dict[str, object]:
    """The field that says how long the steps are."""
    return {"temporalGranularity": "hourly"}


def invalid(message: str) -> BadRequest:
    """The refusal of a request that is wrong in itself."""
    return BadRequest(Response(400, {"status": "error", "message": message}))
