"""Carbon against delay and cost of one job: chart, table and plain data."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from tidewatt.scheduler.cli.text import cut, grams, lasting, local, painted, percent, table
from tidewatt.scheduler.planning.frontier import Frontier, Point
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR

HEIGHT, MARGIN, WIDEST = 12, 10, 96
MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
CHOSEN, AT_ONCE = "●", "○"
MOST_ROWS = 12


def frontier_lines(found: Frontier, now: datetime, width: int) -> Iterator[str]:
    """The chart, the regions that its letters stand for, and the starts that are worth a look."""
    if not found.points:
        yield "nothing is known of the grid here: there is nothing to weigh (is a zone configured?)"
        return
    marks = marks_of(found)
    yield painted("CO2 expected above idle (g) against how much later the job ends (h)", "bold")
    yield from _chart(found, marks, width)
    named = "   ".join(f"{mark} {name}" for name, mark in marks.items())
    at_once = "" if found.immediate_g is None else f"{AT_ONCE} at once at home   "
    yield f"{'':{MARGIN}}{CHOSEN} this plan   {at_once}{named}"
    yield ""
    yield from _table(found, now)
    yield ""
    yield from _weights(found)


def marks_of(found: Frontier) -> dict[str, str]:
    """A letter for each region and pool of the frontier."""
    points = [*found.points, *([found.chosen] if found.chosen else [])]
    return dict(zip(dict.fromkeys(name_of(point) for point in points), MARKS, strict=False))


def name_of(point: Point) -> str:
    """Region and pool."""
    return f"{point.region} {point.pool}".rstrip()


def frontier_view(found: Frontier) -> dict[str, Any]:
    """The frontier as plain data, see docs/formats.md."""
    return {
        "immediate_g": found.immediate_g,
        "g_per_hour": found.g_per_hour,
        "g_per_price": found.g_per_price,
        "chosen": None if found.chosen is None else _point_view(found.chosen, found),
        "points": [_point_view(point, found) for point in found.points],
    }


def _point_view(point: Point, found: Frontier) -> dict[str, Any]:
    worth = point.worth_g_per_h
    saving = saving_of(point, found)
    return {
        "region": point.region,
        "pool": point.pool,
        "start": moment(point.start_ms).isoformat(),
        "end": moment(point.end_ms).isoformat(),
        "later_h": point.later_ms / MS_PER_HOUR,
        "expected_g": point.expected_g,
        "saving_percent": None if saving is None else round(100 * saving, 3) + 0.0,
        "price": point.price,
        "worth_g_per_h": None if worth is None or not isfinite(worth) else worth,
    }


def saving_of(point: Point, found: Frontier) -> float | None:
    """Share saved against starting at once at home."""
    return 1 - point.expected_g / found.immediate_g if found.immediate_g else None


def _chart(found: Frontier, marks: dict[str, str], width: int) -> Iterator[str]:
    columns = max(min(width - MARGIN - 1, WIDEST), 24)
    points = [*found.points, *([found.chosen] if found.chosen else [])]
    longest = max(max(point.later_ms for point in points), 1)
    most = max(max(point.expected_g for point in points), found.immediate_g or 0.0, 1e-9)
    cells = [[" "] * columns for _ in range(HEIGHT)]

    def put(later_ms: int, expected_g: float, mark: str) -> None:
        row = min(round((1 - expected_g / most) * (HEIGHT - 1)), HEIGHT - 1)
        cells[row][round(later_ms / longest * (columns - 1))] = mark

    for column in range(columns):  # the best that can be had for so much delay
        had = [p for p in found.points if p.later_ms <= (column + 0.5) / (columns - 1) * longest]
        if had:
            put(round(column / (columns - 1) * longest), min(p.expected_g for p in had), "·")
    for point in found.points:
        put(point.later_ms, point.expected_g, marks.get(name_of(point), "+"))
    if found.immediate_g is not None:
        put(0, found.immediate_g, AT_ONCE)
    if found.chosen is not None:
        put(found.chosen.later_ms, found.chosen.expected_g, CHOSEN)
    for index, line in enumerate(cells):
        shown = index in (0, (HEIGHT - 1) // 2)
        label = grams(most * (1 - index / (HEIGHT - 1))) if shown else ""
        yield f"{label:>{MARGIN - 1}} {''.join(line)}".rstrip()
    yield f"{0:>{MARGIN - 1}} " + "─" * columns
    ticks = [" "] * (columns + 8)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = f"{longest / MS_PER_HOUR * share:.3g} h" if share else "soonest"
        at = min(round(share * (columns - 1)), columns - len(text))
        ticks[at : at + len(text)] = text
    yield painted(" " * MARGIN + "".join(ticks).rstrip(), "dim")


def _table(found: Frontier, now: datetime) -> Iterator[str]:
    """The points that a weight of delay would choose, else as many as fit."""
    hull = [point for point in found.points if point.worth_g_per_h is not None]
    rows = [_row(point, found, now) for point in _spread(hull, MOST_ROWS)]
    if rows and len(hull) > 1:  # no weight is too high for the soonest, but a lower one chooses the next
        rows[0] = (*rows[0][:-1], f"more than {hull[1].worth_g_per_h:.3g} g")
    header = ("STARTS", "WHERE", "LATER", "EXPECTED", "LESS", "PRICE", "WHILE AN HOUR IS WORTH")
    yield from table(header, rows, right=(2, 3, 4, 5, 6))


def _row(point: Point, found: Frontier, now: datetime) -> tuple[str, ...]:
    saving, worth = saving_of(point, found), point.worth_g_per_h
    later = "soonest" if point.later_ms == 0 else lasting(point.later_ms / 1000)
    return (
        local(moment(point.start_ms), now),
        cut(name_of(point), 28),
        later,
        grams(point.expected_g),
        "" if saving is None else percent(saving),
        f"{point.price:.3g}" if point.price else "",
        "anything" if worth is None or not isfinite(worth) else f"at most {worth:.3g} g",
    )


def _spread(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


def _weights(found: Frontier) -> Iterator[str]:
    chosen = found.chosen
    if chosen is None:
        return
    later = "at the soonest" if chosen.later_ms == 0 else f"{lasting(chosen.later_ms / 1000)} later"
    saving = saving_of(chosen, found)
    less = "" if saving is None else f", {percent(abs(saving))} {'less' if saving >= 0 else 'MORE'}"
    yield f"  {CHOSEN} ends {later} in {name_of(chosen)}: {grams(chosen.expected_g)}{less}"
    hour, price = f"{found.g_per_hour:g} g", f"{found.g_per_price:g} g"
    yield f"    with g_per_hour = {hour} and g_per_price = {price}, as configured: an hour, one unit of money"
