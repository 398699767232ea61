"""A strict stand-in for version 2 of EIA's interface: the hourly grid monitor."""

from datetime import UTC, datetime, timedelta

from tests.grid.server import BadRequest, GridServer, Request, Response

HOUR = timedelta(hours=1)
LONGEST = 5000
KNOWN = {
    "api_key",
    "frequency",
    "data[0]",
    "facets[respondent][]",
    "facets[type][]",
    "facets[fueltype][]",
    "start",
    "end",
    "sort[0][column]",
    "sort[0][direction]",
    "offset",
    "length",
}
RESPONDENTS = {"CISO": "California Independent System Operator", "ERCO": "ERCOT"}
ROUTES = {
    "/electricity/rto/fuel-type-data/data/": "fueltype",
    "/electricity/rto/region-data/data/": "type",
}
MEGAWATTS = {
    "COL": 200,
    "NG": 8000,
    "WND": 3000,
    "SUN": 2500,
    "WAT": 1800,
    "NUC": 2250,
    "OTH": 300,
    "BAT": -400,
}
KINDS = {"D": 22000, "DF": 21500, "NG": 17650, "TI": -4350}


class EiaServer(GridServer):
    """`delay`: so long after an hour ended it is told; `late` holds further delays of single sources."""

    key = "a-key-that-eia-gave"
    delay = timedelta(hours=1)
    ahead = timedelta(hours=30)  # how far the forecast of demand reaches

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        super().__init__(now)
        self.late: dict[str, timedelta] = {"WND": timedelta(hours=1)}
        self.missing: set[tuple[str, datetime]] = set()  # values that are null, by the hour's start

    def answer(self, request: Request) -> Response:
        """The answer of the real service to this request."""
        if not request.value("api_key"):
            raise _refused(403, "API_KEY_MISSING", "No api_key was supplied. Get one at https://www.eia.gov")
        if request.value("api_key") != self.key:
            raise _refused(403, "API_KEY_INVALID", "An invalid api_key was supplied.")
        facet = ROUTES.get(request.path)
        if facet is None:
            raise BadRequest(Response(404, {"error": "Not found", "code": 404}))
        _check(request, facet)
        rows = self._rows(request, facet)
        offset, length = (int(request.value(name, "0")) for name in ("offset", "length"))
        page = rows[offset : offset + min(length or LONGEST, LONGEST)]
        return Response(
            200,
            {
                "response": {
                    "total": str(len(rows)),
                    "dateFormat": 'YYYY-MM-DD"T"HH24',
                    "frequency": "hourly",
                    "data": page,
                    "description": "Hourly data by balancing authority. Source: Form EIA-930",
                },
                "request": {"command": request.path, "params": {"facets": {}}},
                "apiVersion": "2.1.8",
            },
        )

    def megawatts(self, name: str, start: datetime) -> float:
        """What the hour that begins then has of a source or kind."""
        return {**KINDS, **MEGAWATTS}[name] + start.hour + (start.day % 7) * 10

    def _rows(self, request: Request, facet: str) -> list[dict[str, object]]:
        first, last = (_hour(request.value(name)) for name in ("start", "end"))
        names = [*(MEGAWATTS if facet == "fueltype" else KINDS)]
        chosen = request.values(f"facets[{facet}][]") or names
        ended = [first + i * HOUR for i in range(max(0, int((last - first) / HOUR) + 1))]
        rows = [
            self._row(request.value("facets[respondent][]"), facet, name, end)
            for end in ended
            for name in names
            if name in chosen and self._told(name, end)
        ]
        return rows if request.value("sort[0][direction]", "desc") == "asc" else rows[::-1]

    def _told(self, name: str, end: datetime) -> bool:
        if name == "DF":
            return end <= self.now + self.ahead
        return end + self.delay + self.late.get(name, timedelta(0)) <= self.now

    def _row(self, respondent: str, facet: str, name: str, end: datetime) -> dict[str, object]:
        start = end - HOUR
        value: object = self.megawatts(name, start)
        if (name, start) in self.missing:
            value = None
        elif name == "WND":
            value = str(value)  # some values come as text
        return {
            "period": f"{end:%Y-%m-%dT%H}",
            "respondent": respondent,
            "respondent-name": RESPONDENTS[respondent],
            facet: name,
            "type-name": name.title(),
            "value": value,
            "value-units": "megawatthours",
        }


def _check(request: Request, facet: str) -> None:
    for name, _ in request.query:
        if name not in KNOWN or name in {"facets[type][]", "facets[fueltype][]"} - {f"facets[{facet}][]"}:
            raise _refused(400, "", f"Invalid parameter '{name}'")
    if request.value("frequency") != "hourly":
        raise _refused(
            400, "", "Invalid frequency; the only valid frequencies are 'hourly' and 'local-hourly'."
        )
    if request.value("data[0]") != "value":
        raise _refused(400, "", "Invalid data column")
    if request.value("facets[respondent][]") not in RESPONDENTS:
        raise _refused(400, "", "Invalid facet value")
    if int(request.value("length", "0")) > LONGEST:
        raise _refused(400, "", "Length exceeds 5000")


def _hour(text: str) -> datetime:
    """Hours have no zone in this interface: they are UTC, and nothing finer is understood."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        raise _refused(
            400, "", f"Invalid start or end date '{text}'; the format is YYYY-MM-DDTHH24"
        ) from None


def _refused(status: int, code: str, message: str) -> BadRequest:
    error: object = {"code": code, "message": message} if code else message
    body = {"error": error} if code else {"error": error, "code": status}
    return BadRequest(Response(status, body))
