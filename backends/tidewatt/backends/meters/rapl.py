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
_LOOKS, _LOOK_S = 5, 0.01
_NEAR_UJ = 200_000_000  # what a package draws at most in a fifth of a second
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

    @property
    def measures_cpu(self) -> bool:
        """Whether all packages are metered: a part of them would pass for the whole."""
        return any(zone.device.component == "cpu" for zone in self.zones)

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
    taken: set[str] = set()
    for path in _folders(root):
        name = _text(path / "name")
        if name is None:
            notes.append(f"RAPL: {path.name} left out: it has no name here, as where a container hides it")
        elif path.name.startswith("intel-rapl-mmio"):
            notes.append(f"RAPL: {path.name} left out: the same counter as package 0, by another way")
        elif name.startswith("psys"):
            notes.append(f"RAPL: {path.name} ({name}) left out: it contains the packages")
        elif _ZONE.match(path.name) and (found := _known(path, name, taken)):
            taken.add(found.device.key)
            yield found


def _folders(root: Path) -> list[Path]:
    """The zones in `root`, whether flat as in /sys/class or each within its parent as in /sys/devices."""
    found: dict[str, Path] = {}
    queue = sorted(root.iterdir())
    while queue:
        path = queue.pop(0)
        if path.name.startswith("intel-rapl") and path.name not in found:
            found[path.name] = path
            queue += sorted(path.glob("intel-rapl*"))
    return sorted(path for path in found.values() if ":" in path.name)


def _known(path: Path, name: str, taken: set[str]) -> Zone | None:
    if name.startswith("package"):
        return Zone(path, _device(path, _key(name, path, taken), "cpu", PACKAGE_LIMIT_W))
    if name == "dram":
        parent = _parent(path)
        package = _text(parent / "name") or path.name
        return Zone(path, _device(path, _key(f"{package}/dram", path, taken), "dram", DRAM_LIMIT_W))
    return None


def _parent(path: Path) -> Path:
    """The package's folder: beside `intel-rapl:0:1`, or around it."""
    name = path.name.rpartition(":")[0]
    return path.parent if path.parent.name == name else path.parent / name


def _key(name: str, path: Path, taken: set[str]) -> str:
    """`rapl:NAME`; zones of one name are told apart by their folders, and none hides another."""
    return f"rapl:{name}" if f"rapl:{name}" not in taken else f"rapl:{name}@{path.name}"


def _device(path: Path, key: str, component: str, otherwise_w: int) -> Device:
    range_uj = _number(path / "max_energy_range_uj")
    stated = [_number(limit) for limit in path.glob("constraint_*_power_limit_uw")]
    limit_w = max(stated, default=0) // 1_000_000
    return Device(key, component, How.MEASURED, "RAPL", range_uj=range_uj, limit_w=limit_w or otherwise_w)


def _number(path: Path) -> int:
    """What the file holds; 0 where it cannot be read or holds no number, as where it states none."""
    try:
        return max(0, int(_text(path) or 0))
    except ValueError:
        return 0


def _try(zones: list[Zone], wait: Callable[[float], None]) -> dict[Zone, str]:
    """Each zone with what is wrong with it, "" for nothing."""
    first = {zone: _energy_uj(zone.path) for zone in zones}
    if zones:
        wait(_TRIAL_S)
    verdicts: dict[Zone, str] = {}
    for zone in zones:
        sound = [other for other, verdict in verdicts.items() if not verdict]
        verdicts[zone] = _verdict(zone, first[zone], sound, wait)
    return verdicts


def _verdict(zone: Zone, before: int | str, sound: list[Zone], wait: Callable[[float], None]) -> str:
    key = zone.device.key.removeprefix("rapl:")
    after = _energy_uj(zone.path)
    for failure in (before, after):
        if isinstance(failure, str):
            return f"RAPL: {key} cannot be read: {failure}"
    if before == after:
        return f"RAPL: {key} is left out: its counter stands still at {after} uJ"
    for other in sound:
        if _mirrored(zone, other, wait):
            return f"RAPL: {key} is left out: it {_REPEATS} {other.device.key.removeprefix('rapl:')}"
    return ""


def _mirrored(zone: Zone, other: Zone, wait: Callable[[float], None]) -> bool:
    """Whether both show one counter: read between two looks at the other, it lies between, more than once.

    Two counters of their own are hardly ever so near; one that is shown twice may be shown a moment apart.
    """
    if zone.device.component != other.device.component:
        return False
    between = 0
    for _ in range(_LOOKS):
        low, value, high = _energy_uj(other.path), _energy_uj(zone.path), _energy_uj(other.path)
        if isinstance(low, str) or isinstance(value, str) or isinstance(high, str):
            return False
        if not low - _NEAR_UJ <= value <= high + _NEAR_UJ:
            return False
        between += low <= value <= high
        wait(_LOOK_S)
    return between > 1


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
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
