"""A strict stand-in for WattTime v3: what the real service refuses is refused here, in the same words."""

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.grid.server import NOON, BadRequest, GridServer, Request, Response, aware

USER, PASSWORD = "freddo", "the_frog_42!"
TOKEN_LIVES = timedelta(minutes=30)
LONGEST_HISTORY = timedelta(days=32)
LONGEST_ISSUES = timedelta(days=1)
PAGE_403 = Response(
    403, b"<html><head><title>403 Forbidden</title></head></html>", {"Content-Type": "text/html"}
)
SIGNALS = ("co2_moer", "co2_aoer", "health_damage")
REGIONS = {
    "CAISO_NORTH": (("v3/forecast", "v3/historical"), (38.0, -122.5, 35.0, -118.0)),
    "UK": (("v3/historical",), (59.0, -8.0, 49.0, 2.0)),
    "ISONE_WCMA": ((), (43.0, -74.0, 41.0, -71.0)),
}
"""What the account may do in each region, and the region's corners: north, west, south, east."""
PARAMETERS = {
    "/v3/region-from-loc": ({"signal_type", "latitude", "longitude"}, set[str]()),
    "/v3/forecast": ({"region", "signal_type"}, {"model", "horizon_hours"}),
    "/v3/forecast/historical": ({"region", "signal_type", "start", "end"}, {"model", "horizon_hours"}),
    "/v3/historical": (
        {"region", "signal_type", "start", "end"},
        {"model", "include_imputed_marker", "updated_since"},
    ),
    "/v3/my-access": (set[str](), {"region", "signal_type"}),
    "/v3/signal-index": ({"region", "signal_type"}, set[str]()),
}
"""Required and other parameters of each call."""


class WattTimeServer(GridServer):
    """Tokens live for 30 minutes of `now`; the first time they end with 401, then once with a proxy's 403."""

    def __init__(self, now: datetime = NOON, period_s: int = 300) -> None:
        super().__init__(now)
        self.period_s = period_s
        self.imputed: set[datetime] = set()
        self.warnings: list[dict[str, str]] = []
        self.password = PASSWORD
        self._tokens: dict[str, datetime] = {}
        self._expiries = 0

    def answer(self, request: Request) -> Response:
        """The answer of the real service to this request."""
        if request.path == "/login":
            return self._login(request)
        if request.path not in PARAMETERS:
            return Response(404, {"detail": "Not Found"})
        self._check_token(request)
        self._check_parameters(request)
        match request.path:
            case "/v3/region-from-loc":
                return self._region_from_loc(request)
            case "/v3/my-access":
                return Response(200, my_access(request.value("region")))
            case "/v3/signal-index":
                return Response(200, self._index(request))
            case "/v3/forecast":
                return Response(200, self._forecast(request))
            case "/v3/forecast/historical":
                return Response(200, self._issues(request))
        return Response(200, self._historical(request))

    def moer(self, at: datetime, issued_at: datetime | None = None) -> float:
        """Pounds of CO2 per MWh of the period that begins then, as observed or as once forecast."""
        quarter = int(at.timestamp()) // 900
        return 800.0 + quarter * 7 % 97 + (0.0 if issued_at is None else issued_at.hour / 4)

    def _login(self, request: Request) -> Response:
        wanted = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {wanted}":
            return Response(401, {"detail": "Unauthorized"})
        token = f"abcdef{len(self._tokens):06d}"
        self._tokens[token] = self.now
        return Response(200, {"token": token})

    def _check_token(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        issued = self._tokens.get(token)
        if issued is None:
            raise BadRequest(Response(401, {"detail": "Invalid authentication credentials"}))
        if self.now - issued < TOKEN_LIVES:
            return
        self._expiries += 1
        if self._expiries == 2:
            raise BadRequest(PAGE_403)
        raise BadRequest(Response(401, {"detail": "Token has expired"}))

    def _check_parameters(self, request: Request) -> None:
        required, others = PARAMETERS[request.path]
        given = {name for name, _ in request.query}
        if len(given) < len(request.query) or given - required - others:
            raise refused(f"unknown or repeated parameters: {sorted(given - required - others)}")
        for name in sorted(required - given):
            raise BadRequest(missing(name))
        if request.value("signal_type", SIGNALS[0]) not in SIGNALS:
            raise refused("no such signal_type")
        if not request.value("horizon_hours", "24").isdigit() or int(
            request.value("horizon_hours", "24")
        ) not in range(73):
            raise refused("horizon_hours is a whole number from 0 to 72")
        for name in {"start", "end"} & given:
            if aware(request.value(name)) is None:
                raise refused(f"{name} must be a time with a time zone")
        self._check_scope(request)

    def _check_scope(self, request: Request) -> None:
        endpoint = request.path.lstrip("/").removesuffix("/historical" if "forecast/" in request.path else "")
        if endpoint not in ("v3/forecast", "v3/historical"):
            return
        region = request.value("region")
        if region not in REGIONS:
            raise refused("no such region")
        if endpoint not in REGIONS[region][0] or request.value("signal_type") != "co2_moer":
            raise BadRequest(
                Response(
                    403,
                    {
                        "error": "Invalid query parameters",
                        "message": "Invalid scope. You do not have sufficient access to this resource.",
                    },
                )
            )

    def _region_from_loc(self, request: Request) -> Response:
        latitude, longitude = float(request.value("latitude")), float(request.value("longitude"))
        for region, (_, (north, west, south, east)) in REGIONS.items():
            if south <= latitude <= north and west <= longitude <= east:
                full = f"{region} in full"
                return Response(
                    200,
                    {"region": region, "region_full_name": full, "signal_type": request.value("signal_type")},
                )
        error = "No coverage available for these coordinates and signal_type"
        given = {name: request.value(name) for name in ("latitude", "longitude", "signal_type")}
        return Response(404, {"error": error, **given})

    def _forecast(self, request: Request) -> dict[str, object]:
        issued_at = self._period(self.now)
        return {
            "data": self._points(issued_at, int(request.value("horizon_hours", "24")), issued_at),
            "meta": self._meta(request)
            | {
                "generated_at_period_seconds": 300,
                "generated_at": issued_at.isoformat(),
            },
        }

    def _issues(self, request: Request) -> dict[str, object]:
        start, end = self._range(request, LONGEST_ISSUES)
        horizon_hours = int(request.value("horizon_hours", "24"))
        return {
            "data": [
                {"generated_at": at.isoformat(), "forecast": self._points(at, horizon_hours, at)}
                for at in self._periods(start, end)
            ],
            "meta": self._meta(request) | {"generated_at_period_seconds": 300},
        }

    def _historical(self, request: Request) -> dict[str, object]:
        start, end = self._range(request, LONGEST_HISTORY)
        marked = request.value("include_imputed_marker") == "true"
        data = []
        for at in self._periods(start, min(end, self.now - timedelta(seconds=self.period_s))):
            item: dict[str, object] = {"point_time": at.isoformat(), "value": self.moer(at)}
            if marked:
                item["last_updated"] = self.now.isoformat()
                item["imputed_data_used"] = at in self.imputed
            data.append(item)
        meta = self._meta(request)
        return {"data": data, "meta": meta | {"model": {"type": "binned_regression", "date": "2023-03-01"}}}

    def _index(self, request: Request) -> dict[str, object]:
        point = {"point_time": self._period(self.now).isoformat(), "value": 96.0}
        return {"data": [point], "meta": self._meta(request) | {"units": "percentile"}}

    def _meta(self, request: Request) -> dict[str, object]:
        return {
            "data_point_period_seconds": self.period_s,
            "region": request.value("region"),
            "warnings": self.warnings,
            "signal_type": request.value("signal_type"),
            "model": {"date": "2023-03-01"},
            "units": "lbs_co2_per_mwh",
        }

    def _points(self, start: datetime, hours: int, issued_at: datetime) -> list[dict[str, object]]:
        count = max(1, hours * 3600 // self.period_s)
        times = [start + timedelta(seconds=self.period_s * i) for i in range(count)]
        return [{"point_time": at.isoformat(), "value": self.moer(at, issued_at)} for at in times]

    def _range(self, request: Request, longest: timedelta) -> tuple[datetime, datetime]:
        start, end = aware(request.value("start")), aware(request.value("end"))
        assert start is not None
        assert end is not None
        if start > end or end - start > longest:
            raise refused(f"a range of {end - start} where at most {longest} are allowed")
        return start, end

    def _period(self, at: datetime) -> datetime:
        return at - timedelta(seconds=at.timestamp() % self.period_s)

    def _periods(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Periods that begin in the closed range."""
        at = self._period(start)
        while at <= end:
            if at >= start:
                yield at
            at += timedelta(seconds=self.period_s)


def my_access(only: str = "") -> dict[str, object]:
    """What the account may do, in the nested shape of the service."""
    model = {"model": "2023-03-01", "data_start": "2021-01-01", "train_start": "2019-01-01"}
    regions = [
        {
            "region": region,
            "region_full_name": f"{region} in full",
            "parent": region.partition("_")[0],
            "data_point_period_seconds": 300,
            "endpoints": [
                {"endpoint": endpoint, "models": [model | {"train_end": "2022-12-31"}]}
                for endpoint in endpoints
            ],
        }
        for region, (endpoints, _) in REGIONS.items()
        if endpoints and region in (only, only or region)
    ]
    return {"signal_types": [{"signal_type": "co2_moer", "regions": regions}]}


def refused(message: str) -> BadRequest:
    """The refusal of a request that is wrong in itself."""
    error = {"error": "INVALID_QUERY_PARAMS", "message": message, "docs": "https://docs.watttime.org/"}
    return BadRequest(Response(400, error))


def missing(name: str) -> Response:
    """The refusal of a request that lacks a parameter."""
    detail = {"loc": ["query", name], "msg": "field required", "type": "value_error.missing"}
    return Response(422, {"detail": [detail]})
