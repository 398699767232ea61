"""Steps made of single points, in whatever order and state they came."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.series import Steps, instant, milliseconds, touching


@dataclass(frozen=True, slots=True)
class Point:
    """One value for `[start_ms, end_ms)`; None where the service has a place but no value."""

    start_ms: int
    end_ms: int
    value: float | None


def point(start: datetime, step_s: int, value: float | None) -> Point:
    """A value that holds for `step_s` seconds from `start` on."""
    start_ms = milliseconds(start)
    return Point(start_ms, start_ms + 1000 * step_s, value)


def assembled(points: Iterable[Point], what: str) -> tuple[Steps, tuple[str, ...]]:
    """Ascending disjoint steps, and what had to be done for that, in words for people.

    Points out of order are sorted; of several for the same time the last one wins; those without a value
    become holes. Nothing is ever filled in.

    Raises:
        FeedError: steps overlap, so that for some time there would be two values.
    """
    given = list(points)
    kept = {each.start_ms: each for each in given}
    ordered = sorted(kept.values(), key=lambda each: each.start_ms)
    known = [(each.start_ms, each.end_ms, each.value) for each in ordered if each.value is not None]
    steps = Steps(
        np.array([start for start, _, _ in known], np.int64),
        np.array([end for _, end, _ in known], np.int64),
        np.array([value for _, _, value in known], float),
    )
    crossing = np.flatnonzero(steps.start_ms[1:] < steps.end_ms[:-1])
    if len(crossing):
        raise FeedError(f"{what}: two values for {instant(int(steps.start_ms[crossing[0] + 1]))}: refused")
    return steps, _repairs(given, ordered, len(known), what)


def within(steps: Steps, start: datetime, end: datetime) -> Steps:
    """The whole steps that begin at or after `start` and ended by `end`."""
    start_ms, end_ms = milliseconds(start), milliseconds(end)
    part = touching(steps, start_ms, end_ms)
    inside = (steps.start_ms[part] >= start_ms) & (steps.end_ms[part] <= end_ms)
    return Steps(steps.start_ms[part][inside], steps.end_ms[part][inside], steps.gco2_per_kwh[part][inside])


def _repairs(given: list[Point], ordered: list[Point], known: int, what: str) -> tuple[str, ...]:
    """One sentence for each thing that was done."""
    done = []
    if len(given) > len(ordered):
        done.append(f"{what}: {len(given) - len(ordered)} repeated, the last of each counts")
    starts = [each.start_ms for each in given]
    if any(later < earlier for earlier, later in pairwise(starts)):
        done.append(f"{what}: out of order, sorted")
    if len(ordered) > known:
        done.append(f"{what}: {len(ordered) - known} without a value, left open")
    return tuple(done)
