"""The readings that cover a stretch of time, in the order in which they were taken."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.journal import Header, header_line, parse, reading_line
from tidewatt.backends.meters.reading import Reading

_TIME = b'{"time_ms":'
_STEP_MS = 500  # a reading's two clocks agree better than this, and drift apart less than _DRIFT
_DRIFT = 0.001


@dataclass(frozen=True, slots=True)
class Record:
    """A reading, its header, and its instant `at_ms` on the attempt's clock as if nobody had set that."""

    reading: Reading
    header: Header
    at_ms: int


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Readings by (boot, monotonic time); `end_ms` is the end on their clock, `steps` tells of its steps."""

    records: tuple[Record, ...]
    end_ms: int
    steps: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the stored lines: each reading's, before it its header's where that has changed."""
        whole = hashlib.sha256()
        header = None
        for record in self.records:
            if record.header != header:
                header = record.header
                whole.update(header_line(header))
            whole.update(reading_line(record.reading))
        return whole.hexdigest()


def excerpt(folder: Path, start_ms: int, end_ms: int, attempt_id: str = "") -> Excerpt:
    """The readings from the last before `start_ms` to the first after `end_ms`, where there are such.

    The attempt's own readings ("start 12.1", "end 12.1") are always among them, whatever the clock said then.
    """
    taken: list[tuple[Reading, Header]] = []
    for line, header in _range(stored_lines(files(folder, start_ms, end_ms)), start_ms, end_ms, attempt_id):
        reading = parse(line)
        if isinstance(reading, Reading):
            taken.append((reading, header))
    return _ordered(taken, start_ms, end_ms, attempt_id)


def files(folder: Path, start_ms: int, end_ms: int) -> list[Path]:
    """The files with readings of these days and the ones next to them, oldest first."""
    day = timedelta(days=1)
    first, last = f"{moment(start_ms) - day:%Y-%m-%d}", f"{moment(end_ms) + day:%Y-%m-%d}"
    found = [path for path in folder.glob("????-??-??-*.jsonl") if first <= path.name[:10] <= last]
    return sorted(found, key=lambda path: (path.name[:10], _first_ms(path)))


def _first_ms(path: Path) -> int:
    return next((time_of(line) for line, _ in stored_lines([path])), 0)


def time_of(line: bytes) -> int:
    """The wall time of a stored reading, without decoding it."""
    return int(line[len(_TIME) : line.index(b",")])


def stored_lines(paths: Sequence[Path]) -> Iterator[tuple[bytes, Header]]:
    """The lines of readings with their headers; torn lines and lines before any header are passed over."""
    for path in paths:
        header: Header | None = None
        try:
            with open(path, "rb") as file:
                for line in file:
                    if line.startswith(b'{"header"'):
                        found = parse(line)
                        header = found if isinstance(found, Header) else header
                    elif header and line.startswith(_TIME) and line.endswith(b"}\n"):
                        yield line, header
        except FileNotFoundError:
            continue


def _range(
    lines: Iterator[tuple[bytes, Header]], start_ms: int, end_ms: int, attempt_id: str
) -> list[tuple[bytes, Header]]:
    """Cuts the lines to the range, with one neighbour on each side."""
    starts, ends = (f'"cause":"{edge} {attempt_id}"'.encode() for edge in ("start", "end"))
    kept: list[tuple[bytes, Header]] = []
    before: tuple[bytes, Header] | None = None
    last = -1
    for line, header in lines:
        if not kept:
            if time_of(line) < start_ms and starts not in line:
                before = (line, header)
                continue
            kept = [before] if before else []
        kept.append((line, header))
        if time_of(line) <= end_ms or ends in line:
            last = len(kept) - 1
    if not kept:  # nothing since the start: what was known before it still says that the meter had stopped
        return [before] if before else []
    return kept[: max(last, 0) + 2]


def _ordered(taken: list[tuple[Reading, Header]], start_ms: int, end_ms: int, attempt_id: str) -> Excerpt:
    boots = list(dict.fromkeys(reading.boot_id for reading, _ in taken))
    records: list[Record] = []
    steps: list[str] = []
    end_shift = 0
    for boot in boots:
        group = sorted((pair for pair in taken if pair[0].boot_id == boot), key=lambda pair: pair[0].mono_ms)
        shifts = _shifts(group)
        anchor = _index(group, f"start {attempt_id}", start_ms)
        at_ms = -(10**18)
        for (reading, header), shift in zip(group, shifts, strict=True):
            at_ms = max(at_ms, reading.time_ms + shifts[anchor] - shift)
            records.append(Record(reading, header, at_ms))
        steps += _told(group, shifts)
        ending = [i for i, (reading, _) in enumerate(group) if reading.cause == f"end {attempt_id}"]
        end_shift = shifts[anchor] - shifts[ending[0] if ending else -1]
    return Excerpt(tuple(records), end_ms + end_shift, tuple(steps))


def _shifts(group: Sequence[tuple[Reading, Header]]) -> list[int]:
    """By how much somebody had set the clock since the first reading, at each; the monotonic clock tells."""
    shifts = [0]
    for (earlier, _), (later, header) in pairwise(group):
        passed = (later.mono_ms - earlier.mono_ms) * header.clock.factor
        apart = round(later.time_ms - earlier.time_ms - passed)
        allowed = _STEP_MS * max(1.0, header.clock.factor) + _DRIFT * passed
        shifts.append(shifts[-1] + (apart if abs(apart) > allowed else 0))
    return shifts


def _told(group: Sequence[tuple[Reading, Header]], shifts: Sequence[int]) -> Iterator[str]:
    for (reading, _), before, after in zip(group[1:], shifts, shifts[1:], strict=False):
        if after != before:
            told = f"{moment(reading.time_ms):%Y-%m-%d %H:%M:%S} UTC"
            by = f"{(after - before) / 1000:+.0f} s"
            yield f"the clock was set by {by} before {told}: times go by the monotonic clock"


def _index(group: Sequence[tuple[Reading, Header]], cause: str, start_ms: int) -> int:
    by_cause = (i for i, (reading, _) in enumerate(group) if reading.cause == cause)
    by_time = (i for i, (reading, _) in enumerate(group) if reading.time_ms >= start_ms)
    return next(by_cause, next(by_time, 0))
