"""An outlook as a curve that can be integrated quickly and exactly."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Outlook, Rung, Segment
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, utc

Times = NDArray[np.int64]
Amounts = NDArray[np.float64]
MS_PER_HOUR = 3_600_000
_CACHED = 256  # outlooks: more than any site has regions


@dataclass(frozen=True, slots=True, eq=False)
class CostCurve:
    """Piecewise-constant carbon intensity without holes, from the first to the last of its `edges_ms`.

    `edges_ms`: (n+1,) int64, Unix milliseconds. `hours`: (n+1,) the edges as hours since the first one.
    `cumulative`: (n+1,) float64, integral since the first edge in (gCO2/kWh) * h: what 1 kW emits, in grams.
    Between the edges of the two indices `even` all steps are `step_ms` long, and only the first and the last
    step may lie outside; 0: they differ.
    """

    outlook: Outlook
    edges_ms: Times
    hours: Amounts
    cumulative: Amounts
    step_ms: int = 0
    even: tuple[int, int] = (0, 0)

    @property
    def kind(self) -> Kind:
        """What the numbers mean."""
        return self.outlook.kind

    @property
    def start_ms(self) -> int:
        """The first known instant."""
        return int(self.edges_ms[0])

    @property
    def end_ms(self) -> int:
        """The instant from which nothing is known."""
        return int(self.edges_ms[-1])

    @property
    def noise(self) -> float:
        """The rounding error that an integral may have, in grams."""
        return 8.0 * float(np.finfo(np.float64).eps) * abs(float(self.cumulative[-1]))

    def covers(self, start_ms: int, end_ms: int) -> bool:
        """True where all of `[start_ms, end_ms)` is known."""
        return self.start_ms <= start_ms and end_ms <= self.end_ms

    def integral(self, starts_ms: Times, ends_ms: Times) -> Amounts:
        """Grams that 1 kW emits over each `[start, end)`, all within the curve."""
        until = self._until(np.concatenate((starts_ms, ends_ms)))
        return until[len(starts_ms) :] - until[: len(starts_ms)]

    def grams_per_kw(self, start_ms: int, end_ms: int) -> float:
        """Grams that 1 kW emits over `[start_ms, end_ms)`, within the curve."""
        return self._until_one(end_ms) - self._until_one(start_ms)

    def mean(self, start_ms: int, end_ms: int) -> float:
        """Mean intensity over `[start_ms, end_ms)` in gCO2/kWh, within the curve."""
        return self.grams_per_kw(start_ms, end_ms) * MS_PER_HOUR / (end_ms - start_ms)

    def segments(self, start_ms: int, end_ms: int) -> tuple[Segment, ...]:
        """The parts of the outlook that `[start_ms, end_ms)` touches."""
        return tuple(
            segment
            for segment in self.outlook.segments
            if floor_ms(segment.start) < end_ms and ceil_ms(segment.end) > start_ms
        )

    def _until_one(self, time_ms: int) -> float:
        """As `_until` of one time: NumPy takes its time for a single number."""
        edges, cumulative = self.edges_ms, self.cumulative
        i = min(max(int(edges.searchsorted(time_ms, "right")) - 1, 0), len(edges) - 2)
        start, end = int(edges[i]), int(edges[i + 1])
        share = min(max((time_ms - start) / (end - start), 0.0), 1.0)
        return float(cumulative[i]) + share * float(cumulative[i + 1] - cumulative[i])

    def _until(self, times_ms: Times) -> Amounts:
        hours = (times_ms - self.edges_ms[0]) / MS_PER_HOUR
        amounts: Amounts = np.interp(hours, self.hours, self.cumulative)
        return amounts


def source(segment: Segment) -> str:
    """A part of an outlook in words: `file de.csv (live, issued 2026-11-22 06:00 UTC)`."""
    issued = f", issued {utc(floor_ms(segment.issued_at))}" if segment.issued_at is not None else ""
    return f"{segment.source} ({segment.rung}{issued})"


def remarks(curve: CostCurve, start_ms: int, end_ms: int) -> tuple[str, ...]:
    """What a reader must know of the outlook over `[start_ms, end_ms)`: its note, hindsight, its seams."""
    parts = curve.segments(start_ms, end_ms)
    said = [curve.outlook.note] if curve.outlook.note else []
    if any(part.rung is Rung.HINDSIGHT for part in parts) and "hindsight" not in curve.outlook.note:
        said.append("planned in hindsight")
    said += [
        f"continued after {utc(floor_ms(after.start))} by {after.source}"
        for before, after in pairwise(parts)
        if (before.rung, before.source) != (after.rung, after.source)
    ]
    return tuple(said)


def curve_of(outlook: Outlook | None) -> CostCurve | None:
    """The curve of an outlook, made once for each object; None where nothing is known.

    A hole ends the curve: what lies behind it is not known well enough to wait for.
    """
    if outlook is None:
        return None
    cached = _curves.get(id(outlook))
    if cached is None or cached.outlook is not outlook:
        made = _curve(outlook)
        if made is None:
            return None
        cached = _curves[id(outlook)] = made
        while len(_curves) > _CACHED:
            _curves.popitem(last=False)
    return cached


# By identity: an outlook holds arrays and cannot be hashed. Its curve keeps it alive, so no id is used twice.
_curves: OrderedDict[int, CostCurve] = OrderedDict()


def _curve(outlook: Outlook) -> CostCurve | None:
    steps = outlook.steps
    unknown = np.flatnonzero(~np.isfinite(steps.gco2_per_kwh))
    holes = np.flatnonzero(steps.start_ms[1:] != steps.end_ms[:-1]) + 1
    n = int(min([len(steps.start_ms), *unknown[:1], *holes[:1]]))
    if n == 0:
        return None
    edges = np.append(steps.start_ms[:n], steps.end_ms[n - 1]).astype(np.int64)
    hours = (edges - edges[0]) / MS_PER_HOUR
    cumulative = np.append(0.0, np.cumsum(steps.gco2_per_kwh[:n] * np.diff(hours)))
    return CostCurve(outlook, edges, hours, cumulative, *_even(edges))


def _even(edges_ms: Times) -> tuple[int, tuple[int, int]]:
    """The length of the steps, and between which edges they have it; a cut first or last step is left out."""
    lengths = np.diff(edges_ms)
    inner = lengths[1:-1]
    if not inner.size or (inner != inner[0]).any():
        return 0, (0, 0)
    step = int(inner[0])
    return step, (int(lengths[0] != step), len(lengths) - int(lengths[-1] != step))
