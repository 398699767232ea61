"""The grid of a simulation: what really happened, and what was predicted as of each moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Kind, Signal
from tidewatt.forecasting.series import (
    Outlook,
    Rung,
    Segment,
    Series,
    Steps,
    holes,
    instant,
    milliseconds,
    touching,
)
from tidewatt.forecasting.shrinkage import Outlooks as Source
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.region import Region

WEEK_MS = 7 * 86_400_000
MOST_HOLES = 0.02  # share of a truth that may be missing; there the value before holds
Outlooks = Mapping[str, Outlook | None]


class Foresight(Protocol):
    """What a contender sees of the grid ahead."""

    def issued_ms(self, now_ms: int) -> int:
        """When the newest forecasts at `now_ms` were issued."""
        ...

    def next_ms(self, now_ms: int) -> int:
        """When the next ones will be."""
        ...

    def outlooks(self, now_ms: int, signal: Signal) -> Outlooks:
        """The newest forecasts by region; None where nothing is known."""
        ...


class Truth:
    """What was observed of each region, by signal, without holes; what a run emitted is counted with it."""

    def __init__(self, regions: Sequence[Region], series: Mapping[tuple[str, Signal], Series]) -> None:
        self.regions = tuple(regions)
        self._series = dict(series)
        self._sums = {key: _sums(each.steps) for key, each in self._series.items()}

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Signals that are known everywhere."""
        names = [region.name for region in self.regions]
        return tuple(s for s in Signal if names and all((name, s) in self._series for name in names))

    def series(self, region: str, signal: Signal) -> Series | None:
        """The observations of one region."""
        return self._series.get((region, signal))

    def grams(
        self, region: str, signal: Signal, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Grams that 1 kW of IT draw emits in each `[start, end)` of Unix milliseconds, without PUE; (n,).

        Where nothing was observed any more the mean of the last week holds.

        Raises:
            BadInput: the observations begin later.
        """
        edges, sums = self._sums[region, signal]
        if len(starts) and int(starts.min()) < edges[0]:
            raise BadInput(
                f"jobs run from {instant(int(starts.min())):%Y-%m-%d %H:%M} UTC on, but observations of"
                f" {region} begin at {instant(int(edges[0])):%Y-%m-%d %H:%M}: give a later --start"
            )
        week = max(int(edges[-1]) - WEEK_MS, int(edges[0]))
        usual = (sums[-1] - float(np.interp(week, edges, sums))) / (edges[-1] - week)
        beyond = np.maximum(ends, edges[-1]) - np.maximum(starts, edges[-1])
        within = np.interp(ends, edges, sums) - np.interp(starts, edges, sums)
        made: NDArray[np.float64] = within + beyond * usual
        return made

    def ends_ms(self, signal: Signal) -> int:
        """Until when all regions were observed."""
        return min(int(sums[0][-1]) for (_, of), sums in self._sums.items() if of is signal)

    def observed(self, region: str, signal: Signal, start_ms: int, end_ms: int) -> NDArray[np.float64]:
        """Values of the steps that overlap the past `[start_ms, end_ms)` and had ended by its end."""
        steps = self._series[region, signal].steps
        part = touching(steps, start_ms, end_ms)
        values: NDArray[np.float64] = steps.gco2_per_kwh[part][steps.end_ms[part] <= end_ms]
        return values


class _Rhythm:
    """Issues every so often, from a first moment on."""

    def __init__(self, start_ms: int, every: timedelta) -> None:
        self._start_ms, self._every_ms = start_ms, every // timedelta(milliseconds=1)

    def issued_ms(self, now_ms: int) -> int:
        """The newest moment of issue."""
        return now_ms - (now_ms - self._start_ms) % self._every_ms

    def next_ms(self, now_ms: int) -> int:
        """The next one."""
        return self.issued_ms(now_ms) + self._every_ms


class Hindsight(_Rhythm):
    """Sees what will happen, as far ahead as forecasts reach and as often as they are issued."""

    def __init__(self, truth: Truth, start_ms: int, every: timedelta, ahead: timedelta | None) -> None:
        super().__init__(start_ms, every)
        self._truth, self._ahead = truth, ahead
        self._kept: dict[tuple[int, Signal], Outlooks] = {}

    def outlooks(self, now_ms: int, signal: Signal) -> Outlooks:
        """The truth from the last moment of issue on."""
        at = self.issued_ms(now_ms)
        if (at, signal) not in self._kept:
            self._kept = {key: kept for key, kept in self._kept.items() if key[0] == at}
            self._kept[at, signal] = {
                region.name: self._outlook(region.name, signal, at) for region in self._truth.regions
            }
        return self._kept[at, signal]

    def _outlook(self, region: str, signal: Signal, at_ms: int) -> Outlook | None:
        series = self._truth.series(region, signal)
        if series is None:
            return None
        steps = series.steps
        end_ms = int(steps.end_ms[-1])
        if self._ahead is not None:
            end_ms = min(end_ms, at_ms + self._ahead // timedelta(milliseconds=1))
        part = touching(steps, at_ms, end_ms)
        cut = Steps(steps.start_ms[part], steps.end_ms[part], steps.gco2_per_kwh[part])
        if not len(cut.start_ms):
            return None
        span = instant(int(cut.start_ms[0])), instant(int(cut.end_ms[-1]))
        return Outlook(series.zone, series.kind, cut, (Segment(*span, Rung.HINDSIGHT, series.source),))


class Issued(_Rhythm):
    """Forecasts of the production chain, issued every so often from what was known then and kept."""

    def __init__(
        self, chain: Source, regions: Sequence[Region], start_ms: int, every: timedelta, ahead: timedelta
    ) -> None:
        super().__init__(start_ms, every)
        self._chain, self._regions, self._ahead = chain, tuple(regions), ahead
        self._kept: dict[tuple[int, Signal], Outlooks] = {}

    def outlooks(self, now_ms: int, signal: Signal) -> Outlooks:
        """What the chain said at the last moment of issue."""
        at = self.issued_ms(now_ms)
        if (at, signal) not in self._kept:
            now = instant(at)
            until = now + self._ahead
            self._kept[at, signal] = {
                region.name: self._chain.outlook(zone, signal, now, until) if zone else None
                for region in self._regions
                for zone in (region.zones.get(str(signal), ""),)
            }
        return self._kept[at, signal]


def truth(
    chain: Source, regions: Sequence[Region], signals: Sequence[Signal], start: datetime, end: datetime
) -> Truth:
    """What the chain's providers had observed over `[start, end)`, once all was known.

    Raises:
        BadInput: a region's deciding signal was not observed, or kinds of one signal differ.
    """
    found: dict[tuple[str, Signal], Series] = {}
    for signal in signals:
        for region in regions:
            zone = region.zones.get(str(signal))
            if zone is None:
                continue
            later = max(end, instant(milliseconds(end) + 86_400_000 * 3))
            series = chain.observations(zone, signal, start, end, later)
            if series is not None:
                found[region.name, signal] = Series(
                    series.zone, series.kind, series.source, _whole(series, start, end)
                )
    known: dict[Signal, Kind] = {}
    for (region_name, signal), series in found.items():
        kind = known.setdefault(signal, series.kind)
        if not series.kind.continues(kind):
            raise BadInput(f"{region_name} has {series.kind} and others {kind}: kinds are never compared")
    return Truth(regions, found)


def _whole(series: Series, start: datetime, end: datetime) -> Steps:
    """The steps with each hole filled by the value before it.

    Raises:
        BadInput: too much is missing.
    """
    steps = series.steps
    usable = np.isfinite(steps.gco2_per_kwh)
    steps = Steps(steps.start_ms[usable], steps.end_ms[usable], steps.gco2_per_kwh[usable])
    first, last = (
        max(milliseconds(start), int(steps.start_ms[0])),
        min(milliseconds(end), int(steps.end_ms[-1])),
    )
    gaps = holes(steps, instant(first), instant(last))
    missing_ms = sum(milliseconds(b) - milliseconds(a) for a, b in gaps)
    if missing_ms > MOST_HOLES * (last - first):
        raise BadInput(
            f"{missing_ms / (last - first):.0%} of {series.zone} between {instant(first):%Y-%m-%d} and"
            f" {instant(last):%Y-%m-%d} was not observed by {series.source}: choose another time or zone"
        )
    ends = np.append(steps.start_ms[1:], steps.end_ms[-1])
    return Steps(steps.start_ms, ends, steps.gco2_per_kwh)


def _sums(steps: Steps) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Edges, and grams that 1 kW emits from the first one to each."""
    hours = (steps.end_ms - steps.start_ms) / 3_600_000
    edges = np.append(steps.start_ms, steps.end_ms[-1])
    return edges, np.append(0.0, np.cumsum(hours * steps.gco2_per_kwh))
