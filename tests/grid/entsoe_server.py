"""A strict stand-in for the ENTSO-E transparency platform; behind it a small grid with a merit order."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import groupby
from math import pi, sin

from tests.grid.server import BadRequest, GridServer, Request, Response

NOW = datetime(2026, 3, 1, 19, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
YEAR = timedelta(days=366)
ALLOWED_PER_MINUTE = 400
BAN = timedelta(minutes=10)
GERMANY = "10Y1001A1001A82H"
AREAS = {GERMANY, "10YFR-RTE------C", "10YFI-1--------U"}
COMBINATIONS = {
    ("A75", "A16"): "in_Domain",
    ("A65", "A16"): "outBiddingZone_Domain",
    ("A65", "A01"): "outBiddingZone_Domain",
    ("A69", "A01"): "in_Domain",
    ("A69", "A40"): "in_Domain",
    ("A69", "A18"): "in_Domain",
    ("A71", "A01"): "in_Domain",
}
NAMESPACE = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
ACKNOWLEDGEMENT = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"
Shape = Callable[[datetime], float]
UNAUTHORIZED = b"""<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.0 Transitional//EN" "http://www.w3.org/TR/REC-html40/loose.dtd">
<html><head><title>Error</title></head><body>Unauthorized. Missing or invalid security token</body></html>"""


@cache
def demand(at: datetime) -> float:
    """MW that are used."""
    return round(
        55_000 + 9_000 * sin(2 * pi * (_hours(at) - 8) / 24) + 2_000 * sin(2 * pi * _hours(at) / 168)
    )


@cache
def wind(at: datetime) -> float:
    """MW of wind on land."""
    return round(14_000 + 9_000 * sin(2 * pi * _hours(at) / 61) + 4_000 * sin(2 * pi * _hours(at) / 23.5))


@cache
def offshore(at: datetime) -> float:
    """MW of wind at sea."""
    return round(wind(at) / 5)


@cache
def solar(at: datetime) -> float:
    """MW of the sun."""
    return round(max(0.0, 22_000 * sin(2 * pi * (_hours(at) - 6) / 24)))


def lignite(at: datetime) -> float:
    """MW of lignite, which runs first of what can be dispatched."""
    return round(min(max(_rest(at), 0.0), 12_000.0))


def gas(at: datetime) -> float:
    """MW of gas, which runs last."""
    return round(max(_rest(at) - 12_000.0, 0.0))


def pumping(at: datetime) -> float:
    """MW that pumps take, at noon."""
    return 3_000.0 if 10 <= at.hour < 14 else 0.0


MIX: dict[str, Shape] = {
    "B01": lambda at: 5_000.0,
    "B02": lignite,
    "B04": gas,
    "B10": lambda at: 2_000.0 if 17 <= at.hour < 21 else 0.0,
    "B16": solar,
    "B18": offshore,
    "B19": wind,
}


def _hours(at: datetime) -> float:
    return at.timestamp() / 3600


def _rest(at: datetime) -> float:
    return demand(at) - wind(at) - offshore(at) - solar(at) - 5_000


class EntsoeServer(GridServer):
    """`repeating`: curves of type A03. `late`: delays of single plant types beyond the usual hour."""

    token = "a-token-that-entsoe-gave"
    delay = HOUR
    repeating = True
    wind_error = 1.0  # of the day-ahead forecast, by which the true one is multiplied

    def __init__(self, now: datetime = NOW) -> None:
        super().__init__(now)
        self.late: dict[str, timedelta] = {"B16": HOUR}
        self.gaps: set[tuple[str, datetime]] = set()
        self._times: list[datetime] = []
        self._banned_until = datetime(2000, 1, 1, tzinfo=UTC)

    def answer(self, request: Request) -> Response:
        """The answer of the real platform to this request."""
        self._count()
        if request.path != "/api":
            raise BadRequest(
                Response(404, b"<html><body>Not found</body></html>", {"Content-Type": "text/html"})
            )
        if request.value("securityToken") != self.token:
            raise BadRequest(Response(401, UNAUTHORIZED, {"Content-Type": "text/html"}))
        combination = request.value("documentType"), request.value("processType")
        start, end = self._checked(request, combination)
        series = [xml for xml in self._series(combination, start, end) if xml]
        if not series:
            return acknowledged(
                f"No matching data found for Data item and interval {start}/{end}.", at=self.now
            )
        return _xml(
            f'<GL_MarketDocument xmlns="{NAMESPACE}"><mRID>1</mRID><revisionNumber>1</revisionNumber>'
            f"<type>{combination[0]}</type><process.processType>{combination[1]}</process.processType>"
            f"<createdDateTime>{self.now:%Y-%m-%dT%H:%M:%SZ}</createdDateTime>"
            f"<time_Period.timeInterval>{_interval(start, end)}</time_Period.timeInterval>"
            f"{''.join(series)}</GL_MarketDocument>"
        )

    def _count(self) -> None:
        self._times = [*(at for at in self._times if at > self.now - timedelta(minutes=1)), self.now]
        if len(self._times) > ALLOWED_PER_MINUTE:
            self._banned_until = self.now + BAN
        if self.now < self._banned_until:
            raise BadRequest(Response(429, b"Too many requests", {"Content-Type": "text/html"}))

    def _checked(self, request: Request, combination: tuple[str, str]) -> tuple[datetime, datetime]:
        area = COMBINATIONS.get(combination)
        if area is None:
            raise self._refused(
                f"The combination of [DocumentType={combination[0]}, ProcessType="
                f"{combination[1]}] is not valid, or the requested data is not allowed"
            )
        known = {"securityToken", "documentType", "processType", area, "periodStart", "periodEnd", "psrType"}
        also = (
            {"out_Domain"} if combination[0] == "A65" else set()
        )  # entsoe-py sends it, and gets its answers
        for name, _ in request.query:
            if name not in known | also:
                raise self._refused(
                    f"Input parameter does not exist: {name}; check you request against dependency tables"
                )
        if request.value(area) not in AREAS:
            raise self._refused(f"Delivered {area} is not valid for this area.")
        start, end = (self._time(request.value(name)) for name in ("periodStart", "periodEnd"))
        if not start < end:
            raise self._refused("Start date must be before end date")
        if end - start > YEAR:
            raise self._refused("The amount of requested data exceeds allowed limit: one year")
        return start, end

    def _time(self, text: str) -> datetime:
        if len(text) != 12 or not text.isdigit():
            raise self._refused(f"Invalid date time format: {text}, expected yyyyMMddHHmm in UTC")
        return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)

    def _series(self, combination: tuple[str, str], start: datetime, end: datetime) -> Iterable[str]:
        match combination:
            case ("A75", "A16"):
                for part, shape in MIX.items():
                    until = self.now - self.delay - self.late.get(part, timedelta(0))
                    yield self._told(part, "in", shape, start, min(end, until), QUARTER)
                yield self._told("B10", "out", pumping, start, min(end, self.now - self.delay), QUARTER)
            case ("A65", "A16"):
                yield self._told("", "out", demand, start, min(end, self.now - self.delay), QUARTER)
            case ("A65", "A01"):
                yield self._told("", "out", demand, start, min(end, self._tomorrow(10)), QUARTER)
            case ("A71", "A01"):
                yield self._told("", "in", demand, start, min(end, self._tomorrow(18)), HOUR)
            case ("A69", process):
                until = self._tomorrow(18) if process == "A01" else self.now + 8 * HOUR
                error = self.wind_error if process == "A01" else 1.0
                if process != "A40":
                    yield self._told("B16", "in", solar, start, min(end, until), QUARTER)
                    yield self._told(
                        "B18", "in", lambda at: round(offshore(at) * error), start, min(end, until), HOUR
                    )
                    yield self._told(
                        "B19", "in", lambda at: round(wind(at) * error), start, min(end, until), QUARTER
                    )

    def _tomorrow(self, published_hour: int) -> datetime:
        """The end of what was forecast for whole days: tomorrow's once it was published, else today's."""
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=2 if self.now.hour >= published_hour else 1)

    def _told(
        self, part: str, side: str, shape: Shape, start: datetime, end: datetime, step: timedelta
    ) -> str:
        """One series in periods of a day, whole steps, gaps left out."""
        first = start - (start - datetime(2000, 1, 1, tzinfo=UTC)) % step
        times = [first + i * step for i in range(max(0, -(-(end - first) // step)))]
        kept = [(at, shape(at)) for at in times if at + step <= end and (part, at) not in self.gaps]
        periods = [list(day) for _, day in groupby(kept, key=self._period_of(part))]
        if not kept:
            return ""
        kind = f"<MktPSRType><psrType>{part}</psrType></MktPSRType>" if part else ""
        return (
            f"<TimeSeries><mRID>1</mRID><businessType>A01</businessType><objectAggregation>A08</objectAggregation>"
            f'<{side}BiddingZone_Domain.mRID codingScheme="A01">{GERMANY}</{side}BiddingZone_Domain.mRID>'
            f"<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
            f"<curveType>{'A03' if self.repeating else 'A01'}</curveType>{kind}"
            f"{''.join(self._period(each, step) for each in periods)}</TimeSeries>"
        )

    def _period_of(self, part: str) -> Callable[[tuple[datetime, float]], tuple[date, int]]:
        """What steps of one period have in common: the day, and the gaps that came before.

        Where repeats are left out, something missing can only be shown by a new period.
        """
        gaps = [at for of, at in self.gaps if of == part and self.repeating]
        return lambda each: (each[0].date(), sum(gap < each[0] for gap in gaps))

    def _period(self, kept: list[tuple[datetime, float]], step: timedelta) -> str:
        start, end = kept[0][0], kept[-1][0] + step
        points, before = [], None
        for at, value in kept:
            if not (self.repeating and value == before):
                position = (at - start) // step + 1
                points.append(f"<Point><position>{position}</position><quantity>{value:g}</quantity></Point>")
            before = value
        resolution = f"PT{step // timedelta(minutes=1)}M"
        interval = f"<timeInterval>{_interval(start, end)}</timeInterval>"
        return f"<Period>{interval}<resolution>{resolution}</resolution>{''.join(points)}</Period>"

    def _refused(self, text: str) -> BadRequest:
        return BadRequest(acknowledged(text, 400, self.now))


def acknowledged(text: str, status: int = 200, at: datetime = NOW) -> Response:
    """What the platform answers where it has nothing, or refuses."""
    return _xml(
        f'<Acknowledgement_MarketDocument xmlns="{ACKNOWLEDGEMENT}"><mRID>1</mRID>'
        f"<createdDateTime>{at:%Y-%m-%dT%H:%M:%SZ}</createdDateTime>"
        f"<Reason><code>999</code><text>{text}</text></Reason></Acknowledgement_MarketDocument>",
        status,
    )


def _interval(start: datetime, end: datetime) -> str:
    return f"<start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end>"


def _xml(text: str, status: int = 200) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Response(status, body, {"Content-Type": "text/xml"})
