"""The grid by the hour, and the energy that jobs used in each hour of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from tidewatt.scheduler.exports.charts import GridStep
from tidewatt.scheduler.exports.facts import Facts

HOUR = timedelta(hours=1)


def main_zone(receipts: Iterable[Facts], signal: str) -> str:
    """The zone in which most energy was used, "" where none is known; who moved counts where it began."""
    used: dict[str, float] = defaultdict(float)
    for each in receipts:
        for zone in each.zones(signal)[:1]:
            used[zone] += each.facility_kwh or 0.0
    return max(sorted(used), key=lambda zone: used[zone], default="")


def other_zones(receipts: Iterable[Facts], signal: str, zone: str) -> list[str]:
    """The other zones in which jobs ran, in order."""
    return sorted({each for receipt in receipts for each in receipt.zones(signal)} - {zone})


def span(receipts: Iterable[Facts], longest: timedelta) -> tuple[datetime, datetime] | None:
    """Whole hours from the first start to the last end, the latest `longest` of them; None without any."""
    runs = [run for each in receipts for run in _runs(each)]
    if not runs:
        return None
    end = _hour(max(end for _, end in runs)) + HOUR
    return max(_hour(min(start for start, _ in runs)), end - longest), end


def steps(
    observed: Iterable[tuple[datetime, float]], receipts: Sequence[Facts], zone: str, signal: str
) -> list[GridStep]:
    """An hour's intensity beside its energy, each job's spread evenly over the time that it held its machine.

    Hours in which nothing was observed are gaps.
    """
    used: dict[datetime, float] = defaultdict(float)
    for each in receipts:
        if zone in each.zones(signal):
            for hour, kwh in _spread(each, zone, signal):
                used[hour] += kwh
    return [GridStep(hour, hour + HOUR, level, used.get(hour)) for hour, level in sorted(observed)]


def _spread(receipt: Facts, zone: str, signal: str) -> Iterator[tuple[datetime, float]]:
    if not receipt.facility_kwh or not receipt.held_s:
        return
    # on the grid's clock, which in a replay goes faster than the machine's
    per_s = receipt.facility_kwh / sum((end - start).total_seconds() for start, end in _runs(receipt))
    for start, end in _runs(receipt, zone, signal):
        hour = _hour(start)
        while hour < end:
            yield hour, per_s * (min(end, hour + HOUR) - max(start, hour)).total_seconds()
            hour += HOUR


def _runs(receipt: Facts, zone: str = "", signal: str = "") -> Iterator[tuple[datetime, datetime]]:
    """When its attempts ran, those in a zone where one is named."""
    for each in receipt.attempts:
        here = not zone or each.zones.get(signal) == zone
        if here and each.started is not None and each.ended is not None:
            yield each.started, each.ended


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
