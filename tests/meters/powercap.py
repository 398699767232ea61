"""A powercap folder whose counters follow the truth, and what may be wrong with it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.meters.truth import Truth

INTEL_UJ = 262_143_328_850  # the usual `max_energy_range_uj` of a package, and of DRAM
DRAM_UJ = 65_712_999_613


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone: it shows `of` (or several devices together), from `start_uj` on, wrapping at `range_uj`."""

    place: str  # "intel-rapl:0:1"
    name: str  # "dram"
    of: tuple[str, ...]
    start_uj: int = 1_000_000_000
    range_uj: int = INTEL_UJ
    limit_w: int = 0
    fault: str = ""  # "unreadable", "dead", "garbage", "frozen"


@dataclass(slots=True)
class Powercap:
    """The zones below `root`, as of `clock`; `write` brings their counters up to date."""

    root: Path
    truth: Truth
    clock: Callable[[], int]
    zones: dict[str, Zone] = field(default_factory=dict)
    since_ms: dict[str, int] = field(default_factory=dict)
    by_mode: bool = False  # what is unreadable is so by its mode, for readers without capabilities

    def add(self, zone: Zone) -> None:
        """A zone that counts from now on."""
        folder = self.root / zone.place
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{zone.name}\n")
        (folder / "max_energy_range_uj").write_text(f"{zone.range_uj}\n")
        if zone.limit_w:
            (folder / "constraint_0_power_limit_uw").write_text(f"{zone.limit_w * 1_000_000}\n")
        self._link(folder)
        self.zones[zone.place] = zone
        self.since_ms[zone.place] = self.clock()
        self.write()

    def _link(self, folder: Path) -> None:
        """Makes the zone be found within its control type and its parent too, as in sysfs."""
        control = self.root / folder.name.partition(":")[0]
        control.mkdir(exist_ok=True)
        if not (control / "subsystem").is_symlink():
            (control / "subsystem").symlink_to("..")
        parent = self.root / folder.name.rpartition(":")[0]
        (parent / folder.name).symlink_to(f"../{folder.name}")

    def shown_uj(self, zone: Zone) -> int:
        """The zone's counter now."""
        since_ms, now_ms = self.since_ms[zone.place], self.clock()
        drawn_uj = sum(self.truth.energy_uj(device, since_ms, now_ms) for device in zone.of)
        return (zone.start_uj + drawn_uj) % zone.range_uj

    def write(self) -> None:
        """Shows every counter as it is now."""
        for zone in self.zones.values():
            path = self.root / zone.place / "energy_uj"
            match zone.fault:
                case "":
                    _put(path, f"{self.shown_uj(zone)}\n")
                case "dead":
                    _put(path, "0\n")
                case "garbage":
                    _put(path, "not a number\n")
                case "unreadable" if self.by_mode:
                    _put(path, f"{self.shown_uj(zone)}\n")
                    path.chmod(0)
                case "unreadable" if not path.is_dir():  # root may read everything but a folder
                    path.unlink(missing_ok=True)
                    path.mkdir()
                case _:
                    continue

    def change(self, place: str, fault: str) -> None:
        """From now on the zone has that fault; "" mends it."""
        path = self.root / place / "energy_uj"
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.chmod(0o644)
        self.zones[place] = replace(self.zones[place], fault=fault)
        self.write()

    def wrap_after(self, place: str, energy_j: float) -> None:
        """The zone's counter is so far from its end now."""
        zone = self.zones[place]
        self.zones[place] = replace(zone, start_uj=zone.range_uj - round(energy_j * 1e6))
        self.since_ms[place] = self.clock()
        self.write()

    def restart(self) -> None:
        """All counters from 0, as after a reboot or a sleep in which the CPU had no power."""
        for place, zone in self.zones.items():
            self.zones[place] = replace(zone, start_uj=0)
            self.since_ms[place] = self.clock()
        self.write()

    def remove(self) -> None:
        """The folder is gone, as in a container that hides it."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.zones.clear()


def _put(path: Path, text: str) -> None:
    """In place, as the kernel's files are: readers that have it open see it change."""
    with open(path, "r+" if path.exists() else "w") as file:
        file.write(text.ljust(24) if path.exists() else text)
        file.truncate()
