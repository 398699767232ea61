"""Energy between the readings of a device: differences of its counter, or its power where that fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.excerpt import Record
from tidewatt.backends.meters.reading import Device, How

_TOO_MUCH = 1.5  # times the device's highest draw: beyond that a difference is not believed
_QUANTUM_MS = 200  # counters move in steps of up to 100 ms (arXiv 2312.02741); once at each end
_STILL_MS = 2000  # a working device's counter moves within this
_POWER_GAP = 3  # power is integrated over gaps of at most so many intervals
_POWER_GAP_MS = 5000  # or this long


@dataclass(frozen=True, slots=True)
class Increment:
    """Energy of a device between the records numbered `first` and `last`; None where it is not known."""

    first: int
    last: int
    energy_uj: int | None
    how: How
    flag: str = ""


@dataclass(frozen=True, slots=True)
class _Point:
    number: int
    mono_ms: int
    energy_uj: int | None
    power_mw: int | None
    device: Device
    interval_ms: int
    time_ms: int


def increments(records: Sequence[Record], key: str) -> Iterator[Increment]:
    """The device's energy between successive records that show it; a restart of the host is never bridged."""
    for points in _boots(records, key):
        counted = [point for point in points if point.energy_uj is not None]
        if len(counted) < 2:
            yield from _by_power(points)
            continue
        yield from _by_power([point for point in points if point.number <= counted[0].number])
        for earlier, later in pairwise(counted):
            yield from _by_counter(points, earlier, later)
        yield from _by_power([point for point in points if point.number >= counted[-1].number])


def _boots(records: Sequence[Record], key: str) -> Iterator[list[_Point]]:
    points: list[_Point] = []
    boot = ""
    for number, record in enumerate(records):
        reading, device = record.reading, record.header.device(key)
        if reading.boot_id != boot:
            yield points
            points, boot = [], reading.boot_id
        energy_uj, power_mw = reading.energy_uj.get(key), reading.power_mw.get(key)
        if device and (energy_uj is not None or power_mw is not None):
            interval_ms = record.header.interval_ms
            points.append(
                _Point(number, reading.mono_ms, energy_uj, power_mw, device, interval_ms, reading.time_ms)
            )
    yield points


def _by_counter(points: Sequence[_Point], earlier: _Point, later: _Point) -> Iterator[Increment]:
    energy_uj, flag = _difference(points, earlier, later)
    if not flag:
        yield Increment(earlier.number, later.number, energy_uj, later.device.how)
        return
    between = [point for point in points if earlier.number <= point.number <= later.number]
    where = f"{later.device.key}: {flag} before {moment(later.time_ms):%Y-%m-%d %H:%M:%S} UTC"
    filled = list(_by_power(between))
    known = bool(filled) and all(part.energy_uj is not None for part in filled)
    told = f"{where}, {'filled from power' if known else 'energy not known'}"
    if not filled:
        yield Increment(earlier.number, later.number, None, How.MISSING, told)
    for index, part in enumerate(filled):
        yield Increment(part.first, part.last, part.energy_uj, part.how, "" if index else told)


def _difference(points: Sequence[_Point], earlier: _Point, later: _Point) -> tuple[int, str]:
    """Microjoules of the counter, and what is wrong with them ("" for nothing)."""
    if earlier.energy_uj is None or later.energy_uj is None:
        raise ValueError("both readings must show the counter")
    device, passed_ms = later.device, later.mono_ms - earlier.mono_ms
    if (earlier.device.source, earlier.device.range_uj) != (device.source, device.range_uj):
        return 0, "another way of metering"
    most_uj = device.limit_w * 1000 * passed_ms
    if device.range_uj and most_uj > device.range_uj:
        return 0, f"a gap of {passed_ms // 1000} s, in which the counter may have wrapped more than once,"
    energy_uj = later.energy_uj - earlier.energy_uj
    if energy_uj < 0 and device.range_uj:
        energy_uj += device.range_uj
    if energy_uj < 0:
        return 0, "counter reset"
    if device.limit_w and energy_uj > _TOO_MUCH * device.limit_w * 1000 * (passed_ms + _QUANTUM_MS):
        return 0, f"implausible difference of {energy_uj / 1e6:.0f} J in {passed_ms / 1000:.1f} s"
    if energy_uj == 0 and passed_ms >= _STILL_MS and _draws(points, earlier, later):
        return 0, "counter stands still"
    return energy_uj, ""


def _draws(points: Sequence[_Point], earlier: _Point, later: _Point) -> bool:
    """Whether a device whose counter stood still must have drawn something: all that is on does."""
    shown = [
        p.power_mw for p in points if earlier.number <= p.number <= later.number and p.power_mw is not None
    ]
    return any(shown) or not shown


def _by_power(points: Sequence[_Point]) -> Iterator[Increment]:
    """Power by the trapezoid rule; a gap too long for that stays unknown."""
    shown = [point for point in points if point.power_mw is not None]
    for earlier, later in pairwise(shown):
        if earlier.power_mw is None or later.power_mw is None:
            continue
        passed_ms = later.mono_ms - earlier.mono_ms
        if passed_ms > max(_POWER_GAP * later.interval_ms, _POWER_GAP_MS):
            told = f"{later.device.key}: no power for {passed_ms // 1000} s"
            yield Increment(earlier.number, later.number, None, How.MISSING, told)
        else:
            energy_uj = (earlier.power_mw + later.power_mw) * passed_ms // 2
            yield Increment(earlier.number, later.number, energy_uj, How.MEASURED)
