"""Energy between the readings of a device: differences of its counter, or its power where that fails.

Nearly all differences are ordinary and taken together; only what is flagged is looked at one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.columns import CODES, Amounts, Codes
from tidewatt.backends.meters.journal import Header
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.taken import Column, Excerpt, utc

NODE = "node"
UNKNOWN = -1  # energy that is not known
_TOO_MUCH = 1.5  # times the device's highest draw: beyond that a difference is not believed
_QUANTUM_MS = 200  # counters move in steps of up to 100 ms (arXiv 2312.02741); once at each end
_STILL_MS = 2000  # a working device's counter moves within this
_SLEPT_MS = 1000  # clocks of a host that does not sleep stay closer than this
_AT_ONCE = 65_536
_POWER_GAP = 3  # power is integrated over gaps of at most so many intervals
_POWER_GAP_MS = 5000  # or this long

Rows = NDArray[np.intp]
_MISSING, _MODELLED = CODES[How.MISSING], CODES[How.MODELLED]


class Fault(IntEnum):
    """What is wrong with a difference of the counter; the first that applies."""

    NONE = 0
    OTHER_WAY = 1  # of metering
    GAP = 2  # in which it may have wrapped more than once
    RESET = 3
    IMPLAUSIBLE = 4
    STILL = 5
    NO_POWER = 6
    SLEPT = 7


@dataclass(frozen=True, slots=True)
class Flag:
    """A fault between two readings, and how it is told."""

    fault: Fault
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Increments:
    """Energy of a device between the readings `first` and `last`, ascending, or `UNKNOWN`."""

    first: Rows
    last: Rows
    energy_uj: Amounts
    how: Codes
    flags: tuple[Flag, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence["Increments"]) -> "Increments":
        """All parts in order of their first readings; parts must not overlap."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return cls(none, none, none, none.astype(np.int8))
        first = np.concatenate([part.first for part in parts])
        order = np.argsort(first, kind="stable")
        flags = sorted((flag for part in parts for flag in part.flags), key=lambda flag: flag.first)
        return cls(
            first[order],
            np.concatenate([part.last for part in parts])[order],
            np.concatenate([part.energy_uj for part in parts])[order],
            np.concatenate([part.how for part in parts])[order],
            tuple(flags),
        )

    @property
    def known(self) -> "Increments":
        """Those whose energy is known; flags are left out."""
        return self.only(self.energy_uj >= 0)

    def only(self, kept: NDArray[np.bool_]) -> "Increments":
        """The increments that are kept; flags are left out."""
        if kept.all():
            return self
        return Increments(self.first[kept], self.last[kept], self.energy_uj[kept], self.how[kept])


def increments(taken: Excerpt, key: str) -> Increments:
    """The device's energy between successive readings that show it; never over a restart of the host."""
    track = _Track.of(taken, key)
    parts: list[Increments] = []
    for boot in taken.boots():
        rows = np.flatnonzero(track.shown[boot]) + boot.start
        counted = rows[track.energy_uj[rows] >= 0]
        if len(counted) < 2:
            parts += track.by_power(rows)
            continue
        parts += track.by_power(rows[rows <= counted[0]])
        parts += track.by_counter(rows, counted)
        parts += track.by_power(rows[rows >= counted[-1]])
    return Increments.joined(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """One device's values, and its properties by header."""

    taken: Excerpt
    key: str
    energy_uj: Column
    power_mw: Column
    shown: NDArray[np.bool_]
    devices: tuple[Device | None, ...]

    @classmethod
    def of(cls, taken: Excerpt, key: str) -> "_Track":
        energy_uj = taken.energy_uj.get(key, taken.nothing())
        power_mw = taken.power_mw.get(key, taken.nothing())
        devices = tuple(header.device(key) for header in taken.headers)
        known = np.array([device is not None for device in devices], dtype=bool)
        shown = ((energy_uj >= 0) | (power_mw >= 0)) & (known[taken.header] if len(taken) else True)
        return cls(taken, key, energy_uj, power_mw, shown, devices)

    def by_counter(self, rows: Rows, counted: Rows) -> Iterator[Increments]:
        """Of a boot's `rows`, differences between those whose counter is known."""
        first, last = counted[:-1], counted[1:]
        energy_uj, faults = self._differences(rows, first, last)
        sound = faults == Fault.NONE
        hows = [CODES[device.how] if device else _MISSING for device in self.devices]
        all_of = Increments(first, last, energy_uj, self._by_header(hows, last).astype(np.int8))
        yield all_of.only(sound)
        for places in _runs(np.flatnonzero(~sound), faults):
            start, end = places[0], places[-1]
            fault = Fault(int(faults[start]))
            yield from self._filled(rows, int(first[start]), int(last[end]), int(energy_uj[start]), fault)

    def _differences(self, rows: Rows, first: Rows, last: Rows) -> tuple[Amounts, Codes]:
        """Microjoules of the counter from `first` to `last`, and what is wrong with them."""
        energy_uj, faults = np.empty(len(first), dtype=np.int64), np.empty(len(first), dtype=np.int8)
        stood_in = self._stood_in()
        for start in range(0, len(first), _AT_ONCE):  # so that a week takes no more memory than it must
            some = slice(start, start + _AT_ONCE)
            energy_uj[some], faults[some] = self._judged(first[some], last[some], stood_in)
        still = (energy_uj == 0) & (faults == Fault.NONE)
        if still.any():
            passed_ms = self.taken.mono_ms[last] - self.taken.mono_ms[first]
            still &= _together(passed_ms, still) >= _STILL_MS
            still[still] = self._draws(rows, first[still], last[still])
            beside = np.pad(still, 1)  # it stopped and went on within the increments beside it
            still |= (faults == Fault.NONE) & (beside[:-2] | beside[2:])
            faults[still] = Fault.STILL
        return energy_uj, faults

    def _judged(self, first: Rows, last: Rows, stood_in: Column) -> tuple[Amounts, Codes]:
        """Microjoules of the counter, and what is wrong with each difference by itself."""
        limit_w = self._by_header([device.limit_w if device else 0 for device in self.devices], last)
        range_uj = self._by_header([device.range_uj if device else 0 for device in self.devices], last)
        ways = [(device.source, device.range_uj) if device else ("", 0) for device in self.devices]
        way = [ways.index(each) for each in ways]
        passed_ms = self.taken.mono_ms[last] - self.taken.mono_ms[first]
        energy_uj = self.energy_uj[last] - self.energy_uj[first]
        energy_uj = np.where((energy_uj < 0) & (range_uj > 0), energy_uj + range_uj, energy_uj)
        other_way = self._by_header(way, first) != self._by_header(way, last)
        faults = np.select(
            [
                self.taken.slept_ms[last] - self.taken.slept_ms[first] > _SLEPT_MS,
                other_way | (stood_in[last + 1] > stood_in[first]),
                (range_uj > 0) & (limit_w * 1000 * passed_ms > range_uj),
                energy_uj < 0,
                (limit_w > 0) & (energy_uj > _TOO_MUCH * limit_w * 1000 * (passed_ms + _QUANTUM_MS)),
            ],
            [Fault.SLEPT, Fault.OTHER_WAY, Fault.GAP, Fault.RESET, Fault.IMPLAUSIBLE],
            Fault.NONE,
        )
        return energy_uj, faults.astype(np.int8)

    def _by_header(self, values: Sequence[int], rows: Rows) -> Amounts:
        """A value that only depends on the header, for each of the rows."""
        if len(set(values)) == 1:
            return np.broadcast_to(np.int64(values[0]), rows.shape)
        return np.array(values, dtype=np.int64)[self.taken.header[rows]]

    def _stood_in(self) -> Column:
        """How many readings so far show a modelled device in the place of this measured one, (n + 1,)."""
        found = np.array([self._stand_in(header) for header in self.taken.headers], dtype=np.int32)
        counts = np.zeros(len(self.taken) + 1, dtype=np.int32)
        np.cumsum(found[self.taken.header], out=counts[1:])
        return counts

    def _stand_in(self, header: Header) -> bool:
        component = {device.component for device in self.devices if device and device.how is How.MEASURED}
        return header.device(self.key) is None and any(
            device.how is How.MODELLED and device.component in component for device in header.devices
        )

    def _draws(self, rows: Rows, first: Rows, last: Rows) -> NDArray[np.bool_]:
        """Whether a device whose counter stood still must have drawn something: all that is on does."""
        power_mw = self.power_mw[rows]
        seen, drawing = (np.concatenate([[0], np.cumsum(mask)]) for mask in (power_mw >= 0, power_mw > 0))
        start, end = np.searchsorted(rows, first), np.searchsorted(rows, last, side="right")
        return np.asarray((drawing[end] > drawing[start]) | (seen[end] == seen[start]))

    def _filled(
        self, rows: Rows, first: int, last: int, energy_uj: int, fault: Fault
    ) -> Iterator[Increments]:
        """What the power says between two readings whose counters are not believed."""
        start, end = np.searchsorted(rows, first), np.searchsorted(rows, last, side="right")
        filled = Increments.joined(list(self.by_power(rows[start:end])))
        known = len(filled.first) > 0 and bool((filled.energy_uj >= 0).all())
        passed_s = int(self.taken.mono_ms[last] - self.taken.mono_ms[first]) / 1000
        match fault:
            case Fault.SLEPT:
                said = "the host slept"
            case Fault.OTHER_WAY:
                said = "another way of metering"
            case Fault.GAP:
                said = f"a gap of {int(passed_s)} s, in which the counter may have wrapped more than once,"
            case Fault.RESET:
                said = "counter reset"
            case Fault.IMPLAUSIBLE:
                said = f"implausible difference of {energy_uj / 1e6:.0f} J in {passed_s:.1f} s"
            case _:
                said = "counter stands still"
        until = utc(int(self.taken.time_ms[last]))
        told = f"{self.key}: {said} before {until}, {'filled from power' if known else 'energy not known'}"
        flags = (Flag(fault, first, last, told),)
        if len(filled.first):
            yield Increments(filled.first, filled.last, filled.energy_uj, filled.how, flags)
        else:
            unknown = np.array([UNKNOWN], dtype=np.int64), np.array([_MISSING], dtype=np.int8)
            yield Increments(np.array([first]), np.array([last]), *unknown, flags)

    def by_power(self, rows: Rows) -> Iterator[Increments]:
        """Power by the trapezoid rule; a gap too long for that stays unknown."""
        seen = rows[self.power_mw[rows] >= 0]
        if len(seen) < 2:
            return
        first, last = seen[:-1], seen[1:]
        passed_ms = self.taken.mono_ms[last] - self.taken.mono_ms[first]
        interval_ms = self._by_header([header.interval_ms for header in self.taken.headers], last)
        slept_ms = self.taken.slept_ms[last] - self.taken.slept_ms[first]
        known = (passed_ms <= np.maximum(_POWER_GAP * interval_ms, _POWER_GAP_MS)) & (slept_ms <= _SLEPT_MS)
        power_mw = self.power_mw[seen].astype(np.int64)
        energy_uj = (power_mw[:-1] + power_mw[1:]) * passed_ms // 2
        flags = [
            Flag(
                Fault.NO_POWER,
                int(first[place]),
                int(last[place]),
                f"{self.key}: no power for {int(passed_ms[place]) // 1000} s",
            )
            for place in np.flatnonzero(~known).tolist()
        ]
        node = any(device is not None and device.component == NODE for device in self.devices)
        how = np.where(known, CODES[How.MEASURED] if node else _MODELLED, _MISSING).astype(np.int8)
        yield Increments(first, last, np.where(known, energy_uj, UNKNOWN), how, tuple(flags))


def _runs(places: Rows, faults: Codes) -> list[Rows]:
    """Each place by itself, but those one after the other at which the counter stands still together."""
    if not len(places):
        return []
    still = faults[places] == Fault.STILL
    joined = (np.diff(places) == 1) & still[1:] & still[:-1]
    return np.split(places, np.flatnonzero(~joined) + 1)


def _together(amounts: Amounts, alike: NDArray[np.bool_]) -> Amounts:
    """For each place that is alike the sum of the amounts of all such places beside it."""
    borders = np.flatnonzero(np.diff(alike, prepend=~alike[:1]))
    sums = np.add.reduceat(amounts, borders) if len(borders) else amounts
    return np.asarray(np.repeat(sums, np.diff(np.append(borders, len(amounts)))), dtype=np.int64)
