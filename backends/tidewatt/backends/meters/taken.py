"""Readings as columns: taken in block by block, and put in the order in which they were taken."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.journal import Header
from tidewatt.backends.meters.reading import Device
from tidewatt.backends.meters.stored import Block

ABSENT = -1  # where a reading does not show a value
_AT_ONCE = 65_536
_STEP_MS = 500  # a reading's two clocks agree better than this, and drift apart less than _DRIFT
_DRIFT = 0.001

Column = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """Readings by (boot, monotonic time); `end_ms` is the end on their clock, `steps` tells of its steps.

    All columns are (n,), with `ABSENT` where a reading does not show the value. `at_ms` is each instant on
    the attempt's clock as if nobody had set that, `boot` and `header` are numbers of boots and of `headers`.
    """

    time_ms: Column
    mono_ms: Column
    slept_ms: Column
    at_ms: Column
    boot: Column
    header: Column
    headers: tuple[Header, ...]
    energy_uj: dict[str, Column]
    power_mw: dict[str, Column]
    cpu_ms: dict[str, Column]
    end_ms: int
    steps: tuple[str, ...]
    digest: str  # SHA-256 of the stored lines: of each reading, before it of header and columns where new

    def __len__(self) -> int:
        return len(self.time_ms)

    def nothing(self) -> Column:
        """A column in which no reading shows anything."""
        return np.full(len(self), ABSENT, dtype=np.int64)

    def devices(self, component: str) -> dict[str, Device]:
        """The devices of a component that were metered at some time, by key."""
        found: dict[str, Device] = {}
        for header in self.headers:
            found |= {device.key: device for device in header.devices if device.component == component}
        return found

    def by_header(self, value: Callable[[Header], int]) -> Column:
        """A value that only depends on the header, for each reading."""
        return np.array([value(header) for header in self.headers], dtype=np.int64)[self.header]

    def let_go(self, key: str) -> None:
        """Forgets what a device showed, once that is added up: a week of readings has to fit into memory."""
        self.energy_uj.pop(key, None)
        self.power_mw.pop(key, None)

    def boots(self) -> Iterator[slice]:
        """The rows of each boot, in order."""
        borders = np.flatnonzero(np.diff(self.boot)) + 1
        for start, end in pairwise([0, *borders.tolist(), len(self)]):
            if end > start:
                yield slice(start, end)


class Digest:
    """SHA-256 over stored lines; header and columns only where they have changed."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._heads: tuple[bytes, ...] = (b"", b"")
        self.hexdigest = self._whole.hexdigest

    def add(self, block: Block) -> None:
        """Takes in a block."""
        for known, head in zip(self._heads, block.heads, strict=True):
            if head != known:
                self._whole.update(head)
        self._heads = block.heads
        self._whole.update(block.lines)


class _Growing:
    """A column as it comes in; it grows in place, since many small pieces would not be given back."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self._values: Column = np.empty(_AT_ONCE, dtype=kind)
        self._filled = 0

    def put(self, start: int, values: Column) -> None:
        """Puts values at a place after all others; what lies between is absent."""
        end = start + len(values)
        if values.dtype.itemsize > self._values.dtype.itemsize:
            self._values = self._values.astype(values.dtype)
        if end > len(self._values):
            self._values.resize(end + end // 4, refcheck=False)
        self._values[self._filled : start] = ABSENT
        self._values[start:end] = values
        self._filled = end

    def whole(self, count: int) -> Column:
        """All of it."""
        self._values.resize(count, refcheck=False)
        self._values[self._filled :] = ABSENT
        return self._values


class Taken:
    """Blocks as they come in, taken apart into columns at once, so that a week of them fits into memory."""

    def __init__(self) -> None:
        self._digest = Digest()
        self._headers: list[Header] = []
        self._boots: list[str] = []
        self._parts: dict[tuple[str, str], _Growing] = {}
        self._causes: dict[int, str] = {}
        self._count = 0

    def add(self, block: Block) -> None:
        """Takes in a block."""
        self._digest.add(block)
        shape, rows, count = block.shape, block.rows, len(block)
        if block.header not in self._headers:
            self._headers.append(block.header)
        if shape.boot_id not in self._boots:
            self._boots.append(shape.boot_id)
        numbers = (self._boots.index(shape.boot_id), self._headers.index(block.header))
        for kind, number in zip(("boot", "header"), numbers, strict=True):
            self._put(kind, "", np.full(count, number, dtype=np.int32))
        names = [("time", ""), ("mono", ""), ("slept", "")]
        names += [("energy", key) for key in shape.energy_uj]
        names += [("power", key) for key in shape.power_mw]
        names += [("cpu", key) for key in shape.cpu_ms]
        for place, name in enumerate(names):
            column = np.ascontiguousarray(rows[:, place])
            small = name[0] in ("power", "slept") and int(column.max(initial=0)) < 2**31
            self._put(*name, column.astype(np.int32) if small else column)
        self._causes |= {self._count + row: cause for row, cause in block.causes.items()}
        self._count += count

    def _put(self, kind: str, key: str, column: Column) -> None:
        self._parts.setdefault((kind, key), _Growing(column.dtype)).put(self._count, column)

    def _whole(self, kind: str, key: str = "") -> Column:
        return self._parts.pop((kind, key), _Growing(np.dtype(np.int64))).whole(self._count)

    def ordered(self, start_ms: int, end_ms: int, attempt_id: str) -> Excerpt:
        """All of them in order."""
        time_ms, mono_ms, boot, header = (self._whole(kind) for kind in ("time", "mono", "boot", "header"))
        factor = np.array([each.clock.factor for each in self._headers] or [1.0])[header]
        moved = (np.diff(boot) < 0) | ((np.diff(boot) == 0) & (np.diff(mono_ms) < 0))
        order = np.lexsort((mono_ms, boot)) if moved.any() else None

        def sort(column: Column) -> Column:
            return column if order is None else column[order]

        time_ms, mono_ms, boot, header = (sort(column) for column in (time_ms, mono_ms, boot, header))
        factor = factor if order is None else factor[order]
        causes = self._causes
        if order is not None:
            places = {int(row): place for place, row in enumerate(order)}
            causes = {places[row]: cause for row, cause in causes.items()}
        at_ms, end_shift, steps = _unset(time_ms, mono_ms, boot, factor, causes, start_ms, attempt_id)
        slept_ms = sort(self._whole("slept"))
        by_kind: dict[str, dict[str, Column]] = {"energy": {}, "power": {}, "cpu": {}}
        for kind, key in list(self._parts):
            by_kind[kind][key] = sort(self._whole(kind, key))
        return Excerpt(
            time_ms,
            mono_ms,
            slept_ms,
            at_ms,
            boot,
            header,
            tuple(self._headers),
            by_kind["energy"],
            by_kind["power"],
            by_kind["cpu"],
            end_ms + end_shift,
            steps,
            self._digest.hexdigest(),
        )


def _unset(
    time_ms: Column,
    mono_ms: Column,
    boot: Column,
    factor: NDArray[np.float64],
    causes: dict[int, str],
    start_ms: int,
    attempt_id: str,
) -> tuple[Column, int, tuple[str, ...]]:
    """The instants as if nobody had set the clock, by how much the end lies elsewhere, and what was done."""
    at_ms = np.empty_like(time_ms)
    steps: list[str] = []
    end_shift = 0
    borders = [0, *(np.flatnonzero(np.diff(boot)) + 1).tolist(), len(boot)]
    for start, end in pairwise(borders):
        if start == end:
            continue
        times = time_ms[start:end]
        shifts = _shifts(times, mono_ms[start:end], factor[start:end])
        said = {
            cause: row - start for row, cause in sorted(causes.items(), reverse=True) if start <= row < end
        }
        later = times >= start_ms
        anchor = said.get(f"start {attempt_id}", int(later.argmax()))
        steps += _told(times, shifts)
        end_shift = int(shifts[anchor] - shifts[said.get(f"end {attempt_id}", -1)])
        at_ms[start:end] = np.maximum.accumulate(times + shifts[anchor] - shifts)
    if np.array_equal(at_ms, time_ms):
        at_ms = time_ms  # nearly always; a week of readings has to fit into memory
    return at_ms, end_shift, tuple(steps)


def _shifts(time_ms: Column, mono_ms: Column, factor: NDArray[np.float64]) -> Column:
    """By how much somebody had set the clock since the first reading, at each; the monotonic clock tells."""
    shifts = np.zeros(len(time_ms), dtype=np.int64)
    for start in range(0, len(time_ms) - 1, _AT_ONCE):
        some = slice(start, start + _AT_ONCE + 1)
        each = factor[some][1:]
        passed = np.diff(mono_ms[some]) * each
        apart = np.rint(np.diff(time_ms[some]) - passed)
        allowed = _STEP_MS * np.maximum(1.0, each) + _DRIFT * passed
        shifts[some][1:] = np.where(np.abs(apart) > allowed, apart, 0)
    return np.cumsum(shifts)


def _told(time_ms: Column, shifts: Sequence[int] | Column) -> Iterator[str]:
    for row in np.flatnonzero(np.diff(shifts)).tolist():
        told = utc(int(time_ms[row + 1]))
        by = f"{(int(shifts[row + 1]) - int(shifts[row])) / 1000:+.0f} s"
        yield f"the clock was set by {by} before {told}: times go by the monotonic clock"


def utc(time_ms: int) -> str:
    """A moment as notes tell it."""
    return f"{moment(time_ms):%Y-%m-%d %H:%M:%S} UTC"
