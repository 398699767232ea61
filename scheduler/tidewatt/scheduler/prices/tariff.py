"""What a kWh costs over a time, as steps without holes; what is not known says so."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol
from zoneinfo import ZoneInfo

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.policies.opening import Hours, open_windows
from tidewatt.scheduler.prices.recorded import Recorded
from tidewatt.scheduler.region import PriceStep

WEEK_MS = 7 * 86_400_000


class Tariff(Protocol):
    """A price that may change with time."""

    @property
    def source(self) -> str:
        """Whose figure it is, for people."""
        ...

    def steps(self, start: datetime, end: datetime) -> tuple[PriceStep, ...]:
        """The price over all of `[start, end)`, in order, without holes."""
        ...


@dataclass(frozen=True, slots=True)
class FixedTariff:
    """The same price at all times."""

    per_kwh: float
    source: str = "fixed, as stated"

    def steps(self, start: datetime, end: datetime) -> tuple[PriceStep, ...]:
        """One step."""
        return (PriceStep(time_ms(start), time_ms(end), self.per_kwh),)


@dataclass(frozen=True, slots=True)
class BandTariff:
    """A price by the time of use: that of the first band that holds, else the usual one."""

    usual: float
    bands: tuple[tuple[tuple[Hours, ...], float], ...]
    zone: ZoneInfo
    source: str = "by the time of use, as stated"

    def steps(self, start: datetime, end: datetime) -> tuple[PriceStep, ...]:
        """A step between each two changes."""
        spans = [
            [(time_ms(each.start), time_ms(each.end)) for each in open_windows(hours, self.zone, start, end)]
            for hours, _ in self.bands
        ]
        first, last = time_ms(start), time_ms(end)
        edges = {first, last, *(edge for band in spans for span in band for edge in span)}
        found = sorted(edge for edge in edges if first <= edge <= last)
        return tuple(PriceStep(a, b, self._at(a, spans)) for a, b in pairwise(found))

    def _at(self, at_ms: int, spans: Sequence[Sequence[tuple[int, int]]]) -> float:
        for band, (_, price) in zip(spans, self.bands, strict=True):
            if any(a <= at_ms < b for a, b in band):
                return price
        return self.usual


@dataclass(frozen=True, slots=True)
class RecordedTariff:
    """Prices of a file; where it says nothing, the mean of the last week that it knows before is assumed."""

    of: Recorded
    source: str

    def steps(self, start: datetime, end: datetime) -> tuple[PriceStep, ...]:
        """The steps of the file, cut, with the holes between them filled and marked."""
        first, last = time_ms(start), time_ms(end)
        known = self.of.steps
        at = max(bisect_right([each.start_ms for each in known], first) - 1, 0)
        found: list[PriceStep] = []
        now = first
        for step in known[at:]:
            if step.start_ms >= last:
                break
            begin, finish = max(step.start_ms, now), min(step.end_ms, last)
            if finish <= begin:
                continue
            if begin > now:
                found.append(PriceStep(now, begin, self._usual(now), known=False))
            found.append(PriceStep(begin, finish, step.per_kwh))
            now = finish
        if now < last:
            found.append(PriceStep(now, last, self._usual(now), known=False))
        return tuple(found)

    def _usual(self, at_ms: int) -> float:
        """The mean of the week that ends with the last step before; of the first week where there is none."""
        before = [each for each in self.of.steps if each.end_ms <= at_ms]
        if before:
            used = [each for each in before if each.start_ms >= before[-1].end_ms - WEEK_MS]
        else:
            used = [each for each in self.of.steps if each.end_ms <= self.of.steps[0].start_ms + WEEK_MS]
            used = used or [self.of.steps[0]]
        lengths = [each.end_ms - each.start_ms for each in used]
        return sum(each.per_kwh * ms for each, ms in zip(used, lengths, strict=True)) / sum(lengths)


def at(steps: Sequence[PriceStep], time_ms_: int) -> PriceStep | None:
    """The step that holds then; None outside of all."""
    place = bisect_right([each.start_ms for each in steps], time_ms_) - 1
    return steps[place] if place >= 0 and time_ms_ < steps[place].end_ms else None


def cost(steps: Sequence[PriceStep], start_ms: int, end_ms: int) -> float:
    """What 1 kW costs over `[start_ms, end_ms)` within the steps."""
    return sum(
        each.per_kwh * (min(each.end_ms, end_ms) - max(each.start_ms, start_ms)) / 3_600_000
        for each in steps
        if each.start_ms < end_ms and each.end_ms > start_ms
    )
