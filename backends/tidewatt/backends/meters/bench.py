"""All of a host's instruments together: GPUs, RAPL or the CPU model, CPU times."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.clock import Clock
from tidewatt.backends.identity import boot_id
from tidewatt.backends.meters import rapl
from tidewatt.backends.meters.cpu_model import CpuModel, this_model
from tidewatt.backends.meters.cputime import CpuTimes
from tidewatt.backends.meters.journal import Header
from tidewatt.backends.meters.nvml import Nvml
from tidewatt.backends.meters.reading import Reading
from tidewatt.backends.meters.tdp import this_cpu

_AGAIN_S = 60.0  # permissions and zones may change while we run


def mono_ms() -> int:
    """The host's clock that no one sets, in milliseconds since boot; it goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@dataclass(slots=True)
class Bench:
    """Reads every instrument at once. One that fails is left out of the reading, and the others are read."""

    cpu_times: CpuTimes
    clock: Clock
    interval_s: float
    powercap: Path = field(default_factory=rapl.powercap_root)
    nvml: Nvml = field(default_factory=Nvml)
    model: CpuModel = field(default_factory=this_model)
    monotonic: Callable[[], float] = time.monotonic
    _rapl: rapl.Rapl = field(default_factory=rapl.Rapl)
    _tried_at: float = float("-inf")

    def header(self) -> Header:
        """What the instruments are now; call it after `read`, which may find new ones."""
        cpu = () if self._measures_cpu() else (self.model.device,)
        notes = (*self._rapl.notes, *([self.nvml.note] if self.nvml.note else ()))
        return Header(
            boot_id(),
            this_cpu().threads,
            round(self.interval_s * 1000),
            self.clock,
            (*self.nvml.devices(), *self._rapl.devices, *cpu),
            self.nvml.mig,
            notes,
        )

    def read(self, cause: str) -> Reading:
        """One reading of everything."""
        if self.monotonic() - self._tried_at >= _AGAIN_S:
            self._tried_at = self.monotonic()
            if not self._measures_cpu():
                self._rapl = rapl.find(self.powercap)
        energy_uj, power_mw = self.nvml.read()
        energy_uj |= self._rapl.read()
        if not self._measures_cpu():
            energy_uj[self.model.device.key] = self.model.read()
        cpu_ms = self.cpu_times.read()
        time_ms, mono = self._both_clocks()
        return Reading(time_ms, mono, boot_id(), cause, energy_uj, power_mw, cpu_ms)

    def _measures_cpu(self) -> bool:
        return any(device.component == "cpu" for device in self._rapl.devices)

    def _both_clocks(self) -> tuple[int, int]:
        """The clock's and the host's milliseconds of one instant; read again if we were held up."""
        for _ in range(5):
            before, time_ms, after = mono_ms(), self.clock.now_ms(), mono_ms()
            if after - before <= 2:
                break
        return time_ms, after
