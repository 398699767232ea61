"""The stored readings as tables of integers, a block at a time.

Nearly all lines are lists of integers of one shape: those are read in bulk, and whatever is not exactly that
(headers, causes, lines that a crash cut, files of earlier versions) goes line by line.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.journal import AROUND, TICK, Header, Shape, integers, parse
from tidewatt.backends.meters.reading import Reading

PACKED = ".gz"
_PIECE_BYTES = 2**20
_OLD = b'{"time_ms":'
_DIGITS = b"0123456789"
_LARGEST = 2**62
_LONG_BYTES = 8192  # what is shorter is read rather than passed over
_STEADY_MS = 1000

Table = NDArray[np.int64]


@dataclass(slots=True)
class Block:
    """Readings one after the other, of one header and one shape: `rows` is (n, shape.width).

    `lines` are their stored lines, `heads` those of header and shape; `causes` are by row, ticks left out.
    """

    header: Header
    shape: Shape
    heads: tuple[bytes, bytes]
    rows: Table
    lines: bytes
    causes: dict[int, str]
    omitted: tuple[int, ...] = ()  # rows before which others were passed over

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def time_ms(self) -> Table:
        """The wall time of each reading."""
        return self.rows[:, 0]

    def cut(self, first: int, last: int) -> "Block":
        """The rows from `first` until before `last`."""
        if first <= 0 and last >= len(self):
            return self
        ends = np.flatnonzero(np.frombuffer(self.lines, np.uint8) == 10) + 1
        start = int(ends[first - 1]) if first else 0
        lines = self.lines[start : int(ends[last - 1])] if last > first else b""
        causes = {row - first: cause for row, cause in self.causes.items() if first <= row < last}
        omitted = tuple(row - first for row in self.omitted if first < row < last)
        return Block(self.header, self.shape, self.heads, self.rows[first:last], lines, causes, omitted)


def files(folder: Path, start_ms: int, end_ms: int) -> list[Path]:
    """The files with readings of these days and the ones next to them, oldest first."""
    day = timedelta(days=1)
    first, last = f"{moment(start_ms) - day:%Y-%m-%d}", f"{moment(end_ms) + day:%Y-%m-%d}"
    found = [path for path in all_files(folder) if first <= path.name[:10] <= last]
    return sorted(found, key=lambda path: (path.name[:10], _first_ms(path), path.name.endswith(".jsonl")))


def all_files(folder: Path) -> list[Path]:
    """Every file of readings; of one that was just packed when the machine stopped, one form only."""
    plain = set(folder.glob("????-??-??-*.jsonl"))
    packed = folder.glob(f"????-??-??-*.jsonl{PACKED}")
    return [*plain, *(path for path in packed if not (plain_of(path) in plain and is_copy(path)))]


def packed_of(plain: Path) -> Path:
    """The name that a file has when it is packed."""
    return plain.with_name(plain.name + PACKED)


def plain_of(packed: Path) -> Path:
    """The name that a packed file had."""
    return packed.with_name(packed.name.removesuffix(PACKED))


def is_copy(packed: Path) -> bool:
    """Whether the plain file beside it begins with all that the packed one holds, by length and CRC-32."""
    try:
        with open(packed, "rb") as file:
            file.seek(-8, 2)
            tail = file.read()
        with open(plain_of(packed), "rb") as file:
            length = int.from_bytes(tail[4:], "little")  # RFC 1952: CRC-32, then the length, both modulo 2^32
            content = file.read(length)
    except OSError:
        return False
    return (
        len(tail) == 8
        and len(content) == length
        and zlib.crc32(content) == int.from_bytes(tail[:4], "little")
    )


def _first_ms(path: Path) -> int:
    return next((int(block.time_ms[0]) for block in blocks([path], piece_bytes=8192)), 0)


def blocks(
    paths: Iterable[Path], outside: Callable[[int, int], bool] | None = None, piece_bytes: int = _PIECE_BYTES
) -> Iterator[Block]:
    """The readings of the files in their order; torn lines and lines before any header are passed over.

    Of a stretch of lines all the times of which are `outside` (from, until), only its ends are given.
    """
    for path in paths:
        sheet = _Sheet(outside)
        with suppress(FileNotFoundError, EOFError, zlib.error, gzip.BadGzipFile):  # forgotten, or damaged
            for piece in _pieces(path, piece_bytes):
                yield from sheet.read(piece)


def opened(path: Path) -> IO[bytes]:
    """The lines of a file of readings, in whichever form it is; it may have been packed a moment ago."""
    if not path.name.endswith(PACKED):
        try:
            return open(path, "rb")
        except FileNotFoundError:
            path = packed_of(path)
    return cast("IO[bytes]", gzip.open(path, "rb"))


def _pieces(path: Path, piece_bytes: int) -> Iterator[bytes]:
    """Whole lines, so many bytes at a time; what is after the last line break is torn."""
    rest = b""
    with opened(path) as file:
        while more := file.read(piece_bytes):
            whole, newline, tail = more.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = tail
            else:
                rest += more


@dataclass(slots=True)
class _Sheet:
    """Reads pieces of one file; what is under way is given out as a block when its shape ends."""

    outside: Callable[[int, int], bool] | None = None
    header: Header | None = None
    shape: Shape | None = None
    heads: tuple[bytes, bytes] = (b"", b"")
    rows: list[Table] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    causes: dict[int, str] = field(default_factory=dict)
    omitted: list[int] = field(default_factory=list)
    count: int = 0

    def read(self, piece: bytes) -> Iterator[Block]:
        """The blocks of a piece of whole lines."""
        at = 0
        while at < len(piece):
            quote = piece.find(b'"', at)
            special = len(piece) if quote < 0 else max(at, piece.rfind(b"\n", at, quote) + 1)
            if special > at:
                self._plain(piece[at:special])
            at = special
            if quote >= 0:
                at = piece.find(b"\n", quote) + 1
                yield from self._special(piece[special:at])
        yield from self._flush()

    def _flush(self) -> Iterator[Block]:
        if self.header and self.shape and self.count:
            rows = self.rows[0] if len(self.rows) == 1 else np.concatenate(self.rows)
            lines, omitted = b"".join(self.lines), tuple(self.omitted)
            yield Block(self.header, self.shape, self.heads, rows, lines, self.causes, omitted)
        self.rows, self.lines, self.causes, self.omitted, self.count = [], [], {}, [], 0

    def _add(self, rows: Table, line: bytes, cause: str = TICK) -> None:
        if cause != TICK:
            self.causes[self.count] = cause
        self.rows.append(rows)
        self.lines.append(line)
        self.count += len(rows)

    def _plain(self, lines: bytes) -> None:
        """Lines without any text in them: lists of integers, but for torn ones."""
        if self.header is None or self.shape is None:
            return
        if self._passed_over(lines):
            return
        rows = _in_bulk(lines, self.shape.width)
        if rows is not None:
            self._add(rows, lines)
            return
        for line in lines.splitlines(keepends=True):
            self._reading(line)

    def _passed_over(self, lines: bytes) -> bool:
        """Whether only the ends of these lines are wanted; they are added then."""
        if self.outside is None or self.header is None or len(lines) < _LONG_BYTES:
            return False
        ends = [
            *lines[:_LONG_BYTES].splitlines(True)[:AROUND],
            *lines[-_LONG_BYTES:].splitlines(True)[-AROUND:],
        ]
        first, last = parse(ends[0], self.shape), parse(ends[-1], self.shape)
        if not isinstance(first, Reading) or not isinstance(last, Reading):
            return False
        factor = self.header.clock.factor
        near_ms = round(_STEADY_MS * max(1.0, factor))
        steady = abs(last.time_ms - first.time_ms - (last.mono_ms - first.mono_ms) * factor) <= near_ms
        if not steady or not self.outside(first.time_ms - near_ms, last.time_ms + near_ms):
            return False
        for line in ends[:AROUND]:
            self._reading(line)
        self.omitted.append(self.count)
        for line in ends[AROUND:]:
            self._reading(line)
        return True

    def _special(self, line: bytes) -> Iterator[Block]:
        """A line with text in it."""
        if line.startswith(b"["):
            self._reading(line)
            return
        found = parse(line)
        if isinstance(found, Reading) and line.startswith(_OLD):
            yield from self._old(found, line)
        elif isinstance(found, Header) and found != self.header:
            yield from self._flush()
            self.header, self.heads = found, (line, self.heads[1])
        elif isinstance(found, Shape) and found != self.shape:
            yield from self._flush()
            self.shape, self.heads = found, (self.heads[0], line)

    def _reading(self, line: bytes) -> None:
        found = parse(line, self.shape)
        if self.header and isinstance(found, Reading) and (row := _row(found)) is not None:
            self._add(row, line, found.cause)

    def _old(self, reading: Reading, line: bytes) -> Iterator[Block]:
        """A reading as earlier versions kept them, each with its own keys."""
        shape, row = Shape.of(reading), _row(reading)
        if self.header is None or row is None:
            return
        if shape != self.shape:
            yield from self._flush()
            self.shape, self.heads = shape, (self.heads[0], b"")
        self._add(row, line, reading.cause)


def _in_bulk(lines: bytes, width: int) -> Table | None:
    """The integers of lines that are lists of `width` of them, (n, width); None where any line is not."""
    if not (lines.startswith(b"[") and lines.endswith(b"]\n")) or lines.translate(None, _DIGITS + b"[],\n"):
        return None
    text = lines[1:-2].replace(b"]\n[", b",-1,")  # no value is negative: -1 stands where a line ends
    if text.translate(None, _DIGITS + b",-") or b",," in text or text[:1] == b"," or text[-1:] == b",":
        return None
    numbers = np.fromstring(text + b",-1", dtype=np.int64, sep=",")
    if len(numbers) % (width + 1):
        return None
    rows = numbers.reshape(-1, width + 1)
    values = rows[:, :-1]
    sound = (rows[:, -1] == -1).all() and (values >= 0).all() and (values < _LARGEST).all()
    return values if sound else None


def _row(reading: Reading) -> Table | None:
    """The reading's integers, (1, n); None where they are none, or cannot be right."""
    values = integers(reading)
    sound = all(type(value) is int and 0 <= value < _LARGEST for value in values)
    return np.array([values], dtype=np.int64) if sound else None
