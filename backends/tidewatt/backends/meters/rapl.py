"""CPU packages and DRAM through RAPL (Linux powercap, Documentation/power/powercap in the kernel's tree).

Zones are tried before they are believed: one that cannot be read, stands still, repeats another's counter or
overlaps with another (psys, mmio, core, uncore) is left out, with the reason.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.meters.reading import Device, How

POWERCAP = Path("/sys/class/powercap")
PACKAGE_LIMIT_W = 1000  # where a zone states no limit: above any package sold today
DRAM_LIMIT_W = 300
_TRIAL_S = 0.05  # counters move every millisecond or so (Intel SDM, volume 3B, "RAPL interfaces")
_REPEATS = "repeats the counter of"
_ZONE = re.compile(r"intel-rapl:\d+(:\d+)?$")


@dataclass(frozen=True, slots=True)
class Zone:
    """One powercap zone that can be metered."""

    path: Path
    device: Device


@dataclass(frozen=True, slots=True)
class Rapl:
    """The zones of a host that are metered, and in sentences why the others are not."""

    zones: tuple[Zone, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """The zones as metered devices."""
        return tuple(zone.device for zone in self.zones)

    def read(self) -> dict[str, int]:
        """Microjoules by device key; a zone that cannot be read now is left out."""
        found = ((zone.device.key, _energy_uj(zone.path)) for zone in self.zones)
        return {key: energy_uj for key, energy_uj in found if isinstance(energy_uj, int)}


def powercap_root() -> Path:
    """TIDEWATT_POWERCAP, else the kernel's folder."""
    return Path(os.environ.get("TIDEWATT_POWERCAP") or POWERCAP)


def find(root: Path, wait: Callable[[float], None] = time.sleep) -> Rapl:
    """Tries every zone below `root`; takes about a twentieth of a second where there are any."""
    if not root.is_dir():
        return Rapl((), (f"RAPL: {root} does not exist",))
    notes: list[str] = []
    verdicts = _try(sorted(_candidates(root, notes), key=lambda zone: zone.device.key), wait)
    notes += [verdict for verdict in verdicts.values() if verdict]
    if not any(zone.device.component == "cpu" for zone in verdicts):
        notes.append(f"RAPL: no package zone in {root}")
    # Where one package does not count, the others are a part of the CPU, and must not pass for the whole.
    partial = any(
        verdict and _REPEATS not in verdict
        for zone, verdict in verdicts.items()
        if zone.device.component == "cpu"
    )
    sound = [zone for zone, verdict in verdicts.items() if not verdict]
    return Rapl(tuple(zone for zone in sound if zone.device.component != "cpu" or not partial), tuple(notes))


def _candidates(root: Path, notes: list[str]) -> Iterator[Zone]:
    for path in sorted(root.iterdir()):
        name = _text(path / "name")
        if name is None:
            continue
        if path.name.startswith("intel-rapl-mmio"):
            notes.append(f"RAPL: {path.name} left out: the same counter as package 0, by another way")
        elif name.startswith("psys"):
            notes.append(f"RAPL: {path.name} ({name}) left out: it contains the packages")
        elif _ZONE.match(path.name) and name.startswith("package"):
            yield Zone(path, _device(path, f"rapl:{name}", "cpu", PACKAGE_LIMIT_W))
        elif _ZONE.match(path.name) and name == "dram":
            parent = _text(path.parent / path.name.rpartition(":")[0] / "name") or path.name
            yield Zone(path, _device(path, f"rapl:{parent}/dram", "dram", DRAM_LIMIT_W))


def _device(path: Path, key: str, component: str, otherwise_w: int) -> Device:
    range_uj = int(_text(path / "max_energy_range_uj") or 0)
    stated = [int(_text(limit) or 0) for limit in path.glob("constraint_*_power_limit_uw")]
    limit_w = max(stated, default=0) // 1_000_000
    return Device(key, component, How.MEASURED, "RAPL", range_uj=range_uj, limit_w=limit_w or otherwise_w)


def _try(zones: list[Zone], wait: Callable[[float], None]) -> dict[Zone, str]:
    """Each zone with what is wrong with it, "" for nothing."""
    first = {zone: _energy_uj(zone.path) for zone in zones}
    if zones:
        wait(_TRIAL_S)
    verdicts: dict[Zone, str] = {}
    for zone in zones:
        sound = [other for other, verdict in verdicts.items() if not verdict]
        verdicts[zone] = _verdict(zone, first[zone], sound)
    return verdicts


def _verdict(zone: Zone, before: int | str, sound: list[Zone]) -> str:
    key = zone.device.key.removeprefix("rapl:")
    after = _energy_uj(zone.path)
    for failure in (before, after):
        if isinstance(failure, str):
            return f"RAPL: {key} cannot be read: {failure}"
    if before == after:
        return f"RAPL: {key} is left out: its counter stands still at {after} uJ"
    for other in sound:
        if _mirrored(zone, other):
            return f"RAPL: {key} is left out: it {_REPEATS} {other.device.key.removeprefix('rapl:')}"
    return ""


def _mirrored(zone: Zone, other: Zone) -> bool:
    """Whether both show one counter: read between two looks at the other, it lies between, thrice."""
    if zone.device.component != other.device.component:
        return False
    for _ in range(3):
        low, value, high = _energy_uj(other.path), _energy_uj(zone.path), _energy_uj(other.path)
        if isinstance(low, str) or isinstance(value, str) or isinstance(high, str):
            return False
        if not low <= value <= high:
            return False
    return True


def _energy_uj(zone: Path) -> int | str:
    """The counter, or the reason why there is none."""
    try:
        with open(zone / "energy_uj", "rb") as file:
            return int(file.read())
    except PermissionError:
        return "only root may read it (CVE-2020-8694)"
    except (OSError, ValueError) as error:
        return str(error)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
