"""Documents of the ENTSO-E transparency platform: which to ask for, and what stands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.markup import Node, parsed
from tidewatt.forecasting.feeds.points import Point
from tidewatt.forecasting.feeds.wire import moment, words
from tidewatt.forecasting.series import milliseconds

MINUTE_MS = 60_000
STEPS_MS = {"PT15M": 15 * MINUTE_MS, "PT30M": 30 * MINUTE_MS, "PT60M": 60 * MINUTE_MS, "PT1H": 60 * MINUTE_MS}
MEGAWATT = "MAW"
NOTHING = "no matching data found"
REPEATING = "A03"  # positions that repeat the one before are left out
THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
LONGEST_STEPS = 40_000  # of one period: a year of quarters


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of document: its type, the process behind it, and the parameter that names the area."""

    document: str
    process: str
    area: str = "in_Domain"


GENERATION = Asked("A75", "A16")
LOAD = Asked("A65", "A16", "outBiddingZone_Domain")
LOAD_AHEAD = Asked("A65", "A01", "outBiddingZone_Domain")
GENERATION_AHEAD = Asked("A71", "A01")
DRIVEN_AHEAD = tuple(Asked("A69", process) for process in ("A18", "A40", "A01"))
"""Forecasts of wind and sun: the current one, the intraday one, the one of the day before."""


@dataclass(frozen=True, slots=True)
class Track:
    """The points of one series: `part` is its plant type, "" for a total; `taken` where it is consumption."""

    part: str
    taken: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says; `made_at` is when the platform wrote it, which is when it was asked."""

    made_at: datetime | None
    tracks: tuple[Track, ...]


def parameters(asked: Asked, eic: str, start: datetime, end: datetime) -> dict[str, str]:
    """The query for `[start, end)`, in UTC to the minute; the platform answers in whole steps."""
    return {
        "documentType": asked.document,
        "processType": asked.process,
        asked.area: eic,
        "periodStart": f"{start.astimezone(UTC):%Y%m%d%H%M}",
        "periodEnd": f"{end.astimezone(UTC):%Y%m%d%H%M}",
    }


def document(body: bytes, what: str) -> Document:
    """What stands in a reply; nothing where the platform acknowledges that it has no such data.

    Raises:
        FeedError: it is not such a document, in another unit, or a refusal; its text is passed on.
    """
    root = parsed(body, what)
    if root.name == "Acknowledgement_MarketDocument":
        reason = root.said("Reason", "text")
        if NOTHING in reason.lower():
            return Document(None, ())
        raise FeedError(f"{what} is a refusal: {words(reason)}")
    if root.name != "GL_MarketDocument":
        raise FeedError(f"{what} is of an unknown kind, {words(root.name)}: refused")
    made = root.said("createdDateTime")
    made_at = moment(made, f"the time of {what}") if made else None
    return Document(made_at, tuple(_track(series, what) for series in root.every("TimeSeries")))


def _track(series: Node, what: str) -> Track:
    unit = series.said("quantity_Measure_Unit.name")
    if unit != MEGAWATT:
        raise FeedError(f"{what} is in {words(unit)!r} instead of {MEGAWATT!r}: refused")
    repeating = series.said("curveType") == REPEATING
    points = [
        each for period in series.every("Period") for each in _points(period, repeating=repeating, what=what)
    ]
    taken = series.find("outBiddingZone_Domain.mRID") is not None
    return Track(series.said("MktPSRType", "psrType"), taken, tuple(points))


def _points(period: Node, *, repeating: bool, what: str) -> Iterator[Point]:
    """The values of a period on equal steps; where repeats are left out they are put back."""
    start_ms, end_ms = (
        milliseconds(moment(period.said("timeInterval", edge), what)) for edge in ("start", "end")
    )
    resolution = period.said("resolution")
    step_ms = STEPS_MS.get(resolution)
    if step_ms is None:
        raise FeedError(f"{what} has steps of {words(resolution)!r}: refused")
    count, rest = divmod(end_ms - start_ms, step_ms)
    if rest or not 0 < count <= LONGEST_STEPS:
        raise FeedError(f"{what} has a period that is not a whole number of steps: refused")
    told: dict[int, float] = {}
    for each in period.every("Point"):
        position = _position(each.said("position"), count, what)
        told[position] = _quantity(each.said("quantity"), what)
    value: float | None = None
    for position in range(1, count + 1):
        value = told.get(position, value if repeating else None)
        if value is not None:
            at_ms = start_ms + (position - 1) * step_ms
            yield Point(at_ms, at_ms + step_ms, value)


def _position(told: str, count: int, what: str) -> int:
    text = _plain(told)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= count:
        raise FeedError(f"{what} has a point outside of its period (position {words(text)!r}): refused")
    return int(text)


def _quantity(text: str, what: str) -> float:
    try:
        value = float(_plain(text))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise FeedError(f"{what} has a quantity that is no number ({words(text)!r}): refused")
    return value


def _plain(text: str) -> str:
    """A number without the commas that some documents put between thousands."""
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text
