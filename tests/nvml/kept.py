"""Readings as a meter would have kept them, for tests that need energy but no meter."""

from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.journal import Header, Journal, Slice
from tidewatt.backends.meters.reading import Device, How, Reading

BOOT = "b0070000-0000-4000-8000-000000000001"
NOON_MS = 1_717_243_200_000  # 2024-06-01 12:00 UTC


def gpu(uuid: str = "GPU-a", limit_w: int = 400) -> Device:
    """A GPU with an energy counter."""
    return Device(f"gpu:{uuid}", "gpu", How.MEASURED, "NVML energy counter", limit_w=limit_w)


def package(number: int = 0, range_uj: int = 0, limit_w: int = 200) -> Device:
    """A CPU package."""
    return Device(f"rapl:package-{number}", "cpu", How.MEASURED, "RAPL", range_uj, limit_w)


def dram(number: int = 0) -> Device:
    """A package's memory."""
    return Device(f"rapl:package-{number}/dram", "dram", How.MEASURED, "RAPL", 0, 60)


def model(idle_w: float = 10, tdp_w: int = 100) -> Device:
    """A modelled CPU."""
    return Device("cpu-model", "cpu", How.MODELLED, f"utilisation x {tdp_w} W", 0, tdp_w, idle_w)


@dataclass(slots=True)
class Kept:
    """Writes readings into a folder. Time passes in `tick`; what is not given stays as it was."""

    folder: Path
    devices: tuple[Device, ...]
    cpus: int = 4
    interval_ms: int = 10_000
    clock: Clock = field(default_factory=Clock)
    mig: dict[str, Slice] = field(default_factory=dict)
    boot: str = BOOT
    time_ms: int = NOON_MS
    mono_ms: int = 1_000_000
    slept_ms: int = 0
    energy_uj: dict[str, int] = field(default_factory=dict)
    power_mw: dict[str, int] = field(default_factory=dict)
    cpu_ms: dict[str, int] = field(default_factory=lambda: {"host": 500_000})
    _journal: Journal | None = None

    def tick(self, seconds: float, cause: str = "tick", **watts: float) -> "Kept":
        """A reading after so many real seconds; `watts` by device number (`d0=300`) add to the counters."""
        passed_ms = round(seconds * 1000)
        self.mono_ms += passed_ms
        self.time_ms += round(passed_ms * self.clock.factor)
        for name, power_w in watts.items():
            key = self.devices[int(name[1:])].key
            self.energy_uj[key] = self.energy_uj.get(key, 1_000_000_000) + round(power_w * 1000 * passed_ms)
        return self.read(cause)

    def read(self, cause: str = "tick") -> "Kept":
        """A reading of what is now."""
        if self._journal is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self.folder)
        header = Header(self.boot, self.cpus, self.interval_ms, self.clock, self.devices, self.mig)
        reading = Reading(
            self.time_ms,
            self.mono_ms,
            self.boot,
            cause,
            dict(self.energy_uj),
            dict(self.power_mw),
            dict(self.cpu_ms),
            self.slept_ms,
        )
        self._journal.append(reading, header, durable=False)
        return self

    def work(self, host_ms: int, **attempts_ms: int) -> "Kept":
        """CPU time that passed: of the host, and of attempts (`a12_1` is attempt 12.1)."""
        self.cpu_ms["host"] += host_ms
        for name, spent_ms in attempts_ms.items():
            attempt_id = name[1:].replace("_", ".")
            self.cpu_ms[attempt_id] = self.cpu_ms.get(attempt_id, 0) + spent_ms
        return self
