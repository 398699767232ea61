"""Small charts as inline SVG: no scripts, no fonts, no text of their own.

They stretch to the width they are given, so that words stay readable on a phone: labels and numbers stand
beside them as HTML. Colours are CSS classes of the page; a sign is shown by side and word, never by colour
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

_WIDTH, _HEIGHT = 1000.0, 10.0


@dataclass(frozen=True, slots=True)
class GridStep:
    """One step of the grid beside what jobs used in it; None where it is not known."""

    start: datetime
    end: datetime
    gco2_per_kwh: float | None
    kwh: float | None


def bar(value: float | None, most: float, look: str = "energy") -> Markup:
    """A bar from the left edge; none where the value is not known."""
    if value is None or most <= 0:
        return Markup("")
    return _svg(_rect(0, max(value, 0) / most * _WIDTH, look))


def diverging(value: float | None, least: float, most: float) -> Markup:
    """A bar from zero to the right (saved) or to the left (lost), on one scale for all rows of a table."""
    low, high = min(least, 0.0), max(most, 0.0)
    if value is None or high <= low:
        return Markup("")
    scale = _WIDTH / (high - low)
    zero, end = -low * scale, (value - low) * scale
    look = "saved" if value >= 0 else "lost"
    return _svg(_rect(min(zero, end), abs(end - zero), look) + _line(zero, "zero"))


def interval(low: float, point: float, high: float) -> Markup:
    """A range with its point, and zero, which is always in sight."""
    first, last = min(low, point, 0.0), max(high, point, 0.0)
    margin = (last - first) * 0.04 or 1.0
    scale = _WIDTH / (last - first + 2 * margin)
    place = [(value - first + margin) * scale for value in (low, point, high, 0.0)]
    return _svg(
        _line(place[3], "zero")
        + _rect(place[0], place[2] - place[0], "range", top=3.5, height=3)
        + _dot(place[1], "dot-saved" if point >= 0 else "dot-lost")
    )


def dumbbell(baseline: float, actual: float, most: float) -> Markup:
    """From what would have been emitted (open) to what was (filled)."""
    if most <= 0:
        return Markup("")
    ends = [max(value, 0) / most * (_WIDTH - 60) + 30 for value in (baseline, actual)]
    look = "saved" if actual <= baseline else "lost"
    return _svg(
        _rect(min(ends), abs(ends[0] - ends[1]), look, top=4, height=2)
        + _dot(ends[0], "dot-rim")
        + _dot(ends[0], "dot-open")
        + _dot(ends[1], f"dot-{look}")
    )


def timeline(steps: Sequence[GridStep], height: float = 100.0) -> Markup:
    """Intensity as a stepped line over the energy used; gaps stay gaps."""
    if not steps:
        return Markup("")
    begin, end = steps[0].start.timestamp(), max(step.end.timestamp() for step in steps)
    scale = _WIDTH / max(end - begin, 1.0)
    clean = [step.gco2_per_kwh for step in steps if step.gco2_per_kwh is not None]
    used = [step.kwh for step in steps if step.kwh is not None]
    top, most = max(clean, default=0.0) * 1.1 or 1.0, max(used, default=0.0) * 1.6 or 1.0
    bars, path, open_end = "", "", None
    for step in steps:
        left, right = ((edge.timestamp() - begin) * scale for edge in (step.start, step.end))
        if step.kwh:
            tall = step.kwh / most * height
            bars += _rect(left, right - left, "energy", top=height - tall, height=tall)
        if step.gco2_per_kwh is not None:
            level = height - step.gco2_per_kwh / top * height
            path += f"{'L' if open_end == step.start else 'M'}{left:.2f} {level:.2f}H{right:.2f}"
            open_end = step.end
    line = f'<path class="grid-line" d="{path}" vector-effect="non-scaling-stroke"/>' if path else ""
    return _svg(bars + line, height, "timeline")


def _svg(inner: str, height: float = _HEIGHT, name: str = "bar") -> Markup:
    """Not read aloud: what it shows stands beside it in words."""
    return Markup(  # noqa: S704 - made of numbers and of our own words alone
        f'<svg class="{name}" viewBox="0 0 {_WIDTH:g} {height:g}" preserveAspectRatio="none"'
        f' aria-hidden="true" focusable="false">{inner}</svg>'
    )


def _rect(left: float, width: float, look: str, *, top: float = 1, height: float = 8) -> str:
    return (
        f'<rect class="{look}" x="{left:.2f}" y="{top:.2f}" width="{max(width, 1.5):.2f}"'
        f' height="{height:.2f}"/>'
    )


def _line(place: float, look: str) -> str:
    return f'<path class="{look}" d="M{place:.2f} 0V{_HEIGHT:g}" vector-effect="non-scaling-stroke"/>'


def _dot(place: float, look: str) -> str:
    """A round mark, however the chart is stretched: the round cap of a line without length."""
    return f'<path class="dot {look}" d="M{place:.2f} {_HEIGHT / 2:g}h0" vector-effect="non-scaling-stroke"/>'
