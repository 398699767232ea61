"""The readings as they are kept: JSON lines of integers and strings in `DATE-BOOT.jsonl`."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tidewatt.backends.clock import Clock, moment
from tidewatt.backends.durable import sync_folder
from tidewatt.backends.meters.reading import Device, How, Reading

_FIELDS = tuple(part.name for part in fields(Reading))


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


def reading_line(reading: Reading) -> bytes:
    """The stored form of a reading; `time_ms` comes first, so that a reader can skip without decoding."""
    return _line({name: getattr(reading, name) for name in _FIELDS})


def _line(form: Mapping[str, Any]) -> bytes:
    return json.dumps(form, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes) -> Header | Reading | None:
    """What a stored line holds; None for a torn one (a crash or a full disk cut it)."""
    try:
        form = json.loads(line)
        return _header(form) if "header" in form else Reading(**form)
    except (ValueError, TypeError, KeyError):
        return None


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


class Journal:
    """Appends to the readings folder. A failed append raises OSError and leaves the journal able to go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._file = -1
        self._torn = False
        self._header: Header | None = None

    def append(self, reading: Reading, header: Header, *, durable: bool) -> None:
        """Adds the reading, after its header where that is new; on the disk when `durable`."""
        name = f"{moment(reading.time_ms):%Y-%m-%d}-{reading.boot_id[:8]}.jsonl"
        if name != self._name or not self._still_there():
            self._open(name)
        head = b"" if header == self._header else header_line(header)
        lines = head + reading_line(reading)
        self._write(b"\n" + lines if self._torn else lines)
        self._header = header
        if durable:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._name, self._file, self._header = "", -1, None

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
