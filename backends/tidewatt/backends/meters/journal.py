"""The readings as they are kept: JSON lines of integers and strings in `DATE-BOOT.jsonl`.

A header says what the devices are, a line of columns which values follow; then each reading is one list:
`[time_ms,mono_ms,slept_ms,energies...,powers...,cpu times...]`, and its cause at the end where that is not a
tick. The columns are written again now and then, so that the end of a file can be read alone. Files of
earlier versions hold each reading as an object; they are read as before.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tidewatt.backends.clock import Clock, moment
from tidewatt.backends.durable import sync_folder
from tidewatt.backends.meters.reading import Device, How, Reading

TICK = "tick"
_FIELDS = frozenset(part.name for part in fields(Reading)) - {"slept_ms"}  # of earlier versions
_CLOCKS = 3
_AGAIN = 200  # readings between two lines of columns

AROUND = 3  # readings on each side of a run count: what stands still, or stops, shows only beside others
LONGEST_INTERVAL_S = 60.0  # a RAPL counter may wrap within three minutes
_LATE_MS = 2000  # a reading may come so much after its time


def followed_ms(interval_ms: int) -> int:
    """So many real milliseconds after a run all readings are there that its energy is computed from."""
    return AROUND * interval_ms + _LATE_MS


@dataclass(frozen=True, slots=True)
class Slice:
    """A MIG device: `slices` of the `of` compute slices of the GPU `parent`."""

    parent: str
    slices: int
    of: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the readings after it mean; `notes` says which instruments were left out, and why."""

    boot_id: str
    cpus: int
    interval_ms: int
    clock: Clock
    devices: tuple[Device, ...]
    mig: Mapping[str, Slice] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def device(self, key: str) -> Device | None:
        """The device of that key."""
        return next((device for device in self.devices if device.key == key), None)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which values the readings after it hold, in their order."""

    boot_id: str
    energy_uj: tuple[str, ...] = ()
    power_mw: tuple[str, ...] = ()
    cpu_ms: tuple[str, ...] = ()

    @classmethod
    def of(cls, reading: Reading) -> "Shape":
        """The shape of a reading."""
        return cls(reading.boot_id, tuple(reading.energy_uj), tuple(reading.power_mw), tuple(reading.cpu_ms))

    @property
    def width(self) -> int:
        """How many integers such a reading has."""
        return _CLOCKS + len(self.energy_uj) + len(self.power_mw) + len(self.cpu_ms)

    def reading(self, values: Sequence[int], cause: str = TICK) -> Reading:
        """The reading that these integers are."""
        powers = _CLOCKS + len(self.energy_uj)
        times = powers + len(self.power_mw)
        return Reading(
            values[0],
            values[1],
            self.boot_id,
            cause,
            dict(zip(self.energy_uj, values[_CLOCKS:powers], strict=True)),
            dict(zip(self.power_mw, values[powers:times], strict=True)),
            dict(zip(self.cpu_ms, values[times:], strict=True)),
            values[2],
        )


def header_line(header: Header) -> bytes:
    """The stored form of a header."""
    devices = []
    for device in header.devices:
        form = asdict(device)
        idle_w = form.pop("idle_w")
        devices.append(form if idle_w is None else form | {"idle_mw": round(idle_w * 1000)})
    form = {
        "header": 1,
        "boot_id": header.boot_id,
        "cpus": header.cpus,
        "interval_ms": header.interval_ms,
        "clock": header.clock.to_json(),
        "devices": devices,
        "mig": {key: asdict(part) for key, part in header.mig.items()},
        "notes": list(header.notes),
    }
    return _line(form)


def shape_line(shape: Shape) -> bytes:
    """The stored form of a shape."""
    return _line({"columns": 1} | asdict(shape))


def reading_line(reading: Reading) -> bytes:
    """The stored form of a reading, to be understood by the shape before it; its time comes first."""
    cause = () if reading.cause == TICK else (reading.cause,)
    return _line([*integers(reading), *cause])


def integers(reading: Reading) -> list[int]:
    """The values of a reading in the order of its shape."""
    values = [reading.time_ms, reading.mono_ms, reading.slept_ms]
    for amounts in (reading.energy_uj, reading.power_mw, reading.cpu_ms):
        values += amounts.values()
    return values


def _line(form: object) -> bytes:
    return json.dumps(form, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes, shape: Shape | None = None) -> Header | Shape | Reading | None:
    """What a stored line holds; None for a torn one (a crash or a full disk cut it)."""
    try:
        form = json.loads(line)
        if isinstance(form, list):
            return _row(form, shape) if shape else None
        if "header" in form:
            return _header(form)
        if "columns" in form:
            return Shape(
                form["boot_id"], *(tuple(form[name]) for name in ("energy_uj", "power_mw", "cpu_ms"))
            )
        return Reading(**form) if form.keys() == _FIELDS else None
    except (ValueError, TypeError, KeyError):
        return None


def _row(form: list[Any], shape: Shape) -> Reading | None:
    cause = form.pop() if form and isinstance(form[-1], str) else TICK
    sound = len(form) == shape.width and all(type(value) is int for value in form)
    return shape.reading(form, cause) if sound else None


def _header(form: dict[str, Any]) -> Header:
    devices = []
    for entry in form["devices"]:
        idle_mw = entry.pop("idle_mw", None)
        idle_w = None if idle_mw is None else idle_mw / 1000
        devices.append(Device(**entry | {"how": How(entry["how"]), "idle_w": idle_w}))
    return Header(
        form["boot_id"],
        form["cpus"],
        form["interval_ms"],
        Clock.from_json(form["clock"]),
        tuple(devices),
        {key: Slice(**part) for key, part in form["mig"].items()},
        tuple(form["notes"]),
    )


def readings_of(path: Path) -> list[Reading]:
    """The readings of a file; for looking at single ones, since tables give energy faster."""
    found: list[Reading] = []
    shape: Shape | None = None
    for line in path.read_bytes().splitlines():
        form = parse(line, shape)
        if isinstance(form, Shape):
            shape = form
        elif isinstance(form, Reading):
            found.append(form)
    return found


class Journal:
    """Appends to the readings folder. A failed append raises OSError and leaves the journal able to go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._file = -1
        self._torn = False
        self._header: Header | None = None
        self._shape: Shape | None = None
        self._since = 0  # readings after the last line of columns

    def append(self, reading: Reading, header: Header, *, durable: bool) -> None:
        """Adds the reading, after its header and columns where those are new; on the disk when `durable`."""
        name = f"{moment(reading.time_ms):%Y-%m-%d}-{reading.boot_id[:8]}.jsonl"
        if name != self._name or not self._still_there():
            self._open(name)
        shape = Shape.of(reading)
        lines = reading_line(reading)
        told = self._shape == shape and self._since < _AGAIN
        if not told:
            lines = shape_line(shape) + lines
        if header != self._header:
            lines = header_line(header) + lines
        self._write(b"\n" + lines if self._torn else lines)
        self._header, self._shape, self._since = header, shape, self._since + 1 if told else 1
        if durable:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._name, self._file, self._header, self._shape = "", -1, None, None

    def _still_there(self) -> bool:
        return os.fstat(self._file).st_nlink > 0

    def _open(self, name: str) -> None:
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._folder / name, flags, 0o600)
        size = os.fstat(file).st_size
        self._torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        self._name, self._file = name, file
        if size == 0:
            sync_folder(self._folder)

    def _write(self, lines: bytes) -> None:
        """Writes all of it; what a full disk cut short is closed off by a line break before the next line."""
        self._torn = True
        while lines:
            lines = lines[os.write(self._file, lines) :]
        self._torn = False
