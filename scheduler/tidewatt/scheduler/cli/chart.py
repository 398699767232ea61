"""A small chart of carbon intensity for the terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tidewatt.scheduler.cli.text import painted, parsed
from tidewatt.scheduler.client import Json

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ABOVE, _BELOW = "░", "▓"  # of the mean, inside the band from p10 to p90
_MARGIN = 7  # columns of the axis on the left


def chart_lines(
    steps: Sequence[Json], seams: Sequence[datetime], width: int, height: int = 8
) -> Iterator[str]:
    """Columns of equal time, from zero up to the mean; shades reach from p10 to p90 where there is a band.

    `seams` are marked below the axis.
    """
    spans = [(_moment(step["start"]), _moment(step["end"]), step) for step in steps]
    start, end = spans[0][0], spans[-1][1]
    count = max(min(width - _MARGIN, 96), 12)
    column = (end - start) / count
    edges = [(start + i * column, start + (i + 1) * column) for i in range(count)]
    means, lows, highs = (
        [_mean(spans, *edge, key) for edge in edges] for key in ("gco2_per_kwh", "p10", "p90")
    )
    top = max([value for value in (*means, *highs) if value is not None] or [1.0]) or 1.0
    for row in reversed(range(height)):
        label = f"{top * (row + 1) / height:6.0f}" if row in (height - 1, height // 2 - 1) else " " * 6
        cells = "".join(_cell(*values, row, height / top) for values in zip(means, lows, highs, strict=True))
        yield f"{label} {cells}".rstrip()
    yield f"{0:6} " + "".join(
        "┴" if any(start + i * column <= seam < start + (i + 1) * column for seam in seams) else "─"
        for i in range(count)
    )
    yield painted(" " * _MARGIN + hours_line(start, column, count), "dim")


def _moment(text: str) -> datetime:
    moment = parsed(text)
    assert moment is not None  # noqa: S101 - the schema's word
    return moment


def _mean(
    spans: Sequence[tuple[datetime, datetime, Json]], start: datetime, end: datetime, key: str
) -> float | None:
    """Time-weighted mean of a value over [start, end); None where no step has it."""
    weighted, covered = 0.0, 0.0
    for first, last, step in spans:
        overlap_s = (min(last, end) - max(first, start)).total_seconds()
        if overlap_s > 0 and step[key] is not None:
            weighted += overlap_s * step[key]
            covered += overlap_s
    return weighted / covered if covered else None


def _cell(mean: float | None, low: float | None, high: float | None, row: int, rows_per_unit: float) -> str:
    if mean is None:
        return " "
    filled = round((mean * rows_per_unit - row) * 8)
    if filled >= 8:
        return _BELOW if low is not None and low * rows_per_unit - row < 0.5 else _EIGHTHS[8]
    if filled > 0:
        return _EIGHTHS[filled]
    return _ABOVE if high is not None and high * rows_per_unit - row >= 0.5 else " "


def hours_line(start: datetime, column: timedelta, count: int) -> str:
    """Local times below the axis, where they fit."""
    line, free = [" "] * count, 0
    shown = [1, 2, 3, 6, 12, 24]
    apart = next((hours for hours in shown if timedelta(hours=hours) / column >= 8), 24)
    at = start.astimezone().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while (place := int((at - start) / column)) < count - 5:
        local = at.astimezone()
        if local.hour % apart == 0 and place >= free:
            text = f"{local:%a}" if apart == 24 or local.hour == 0 else f"{local:%H:%M}"
            line[place : place + len(text)] = text
            free = place + len(text) + 2
        at += timedelta(hours=1)
    return "".join(line).rstrip()
