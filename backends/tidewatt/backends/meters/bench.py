"""All of a host's instruments together: GPUs, RAPL or the CPU model, CPU times, and what else there is."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tidewatt.backends.clock import Clock
from tidewatt.backends.identity import boot_id
from tidewatt.backends.meters import rapl
from tidewatt.backends.meters.cpu_model import CpuModel, this_model
from tidewatt.backends.meters.journal import Header
from tidewatt.backends.meters.nvml import Nvml
from tidewatt.backends.meters.reading import Device, Reading
from tidewatt.backends.meters.tdp import this_cpu

_AGAIN_S = 60.0  # permissions and zones may change while we run
_HELD_UP_MS = 2
_SLEEP_MS = 1000  # the two clocks are read one after the other; no suspend is as short as this


class CpuClock(Protocol):
    """CPU milliseconds by attempt id, and `host`."""

    def read(self) -> dict[str, int]:
        """As of now."""


class Instrument(Protocol):
    """Devices beside GPUs by NVML and CPUs: a node's power supply, other makers' GPUs, sensors."""

    @property
    def note(self) -> str:
        """What it cannot read, and why; "" for nothing."""

    def devices(self) -> tuple[Device, ...]:
        """What it meters now."""

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """Microjoules and milliwatts by device key, each only where the device tells it."""


def _milliseconds(clock: int) -> int:
    return time.clock_gettime_ns(clock) // 1_000_000


def mono_ms() -> int:
    """The host's clock that no one sets, in milliseconds since boot; it goes on while the machine sleeps."""
    return _milliseconds(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class HostTime:
    """A host's clocks in milliseconds, and which boot they count from."""

    real_ms: Callable[[], int] = lambda: _milliseconds(time.CLOCK_REALTIME)
    mono_ms: Callable[[], int] = mono_ms
    awake_ms: Callable[[], int] = lambda: _milliseconds(time.CLOCK_MONOTONIC)  # stands still in suspend
    boot_id: Callable[[], str] = boot_id


@dataclass(slots=True)
class Bench:
    """Reads every instrument at once. One that fails is left out of the reading, and the others are read."""

    cpu_times: CpuClock
    clock: Clock
    interval_s: float
    powercap: Path = field(default_factory=rapl.powercap_root)
    nvml: Nvml = field(default_factory=Nvml)
    model: CpuModel = field(default_factory=this_model)
    monotonic: Callable[[], float] = time.monotonic
    others: Sequence[Instrument] = ()
    host: HostTime = field(default_factory=HostTime)
    wait: Callable[[float], None] = time.sleep
    shake: Callable[[], float] = random.random
    _rapl: rapl.Rapl = field(default_factory=rapl.Rapl)
    _tried_at: float = float("-inf")
    _silent_since: float = float("inf")  # a package that was metered tells nothing since then

    def header(self) -> Header:
        """What the instruments are now; call it after `read`, which may find new ones."""
        cpu = () if self._rapl.measures_cpu else (self.model.device,)
        others = tuple(device for each in self.others for device in each.devices())
        notes = (self.nvml.note, *(each.note for each in self.others))
        return Header(
            self.host.boot_id(),
            this_cpu().threads,
            round(self.interval_s * 1000),
            self.clock,
            (*self.nvml.devices(), *self._rapl.devices, *cpu, *others),
            self.nvml.mig,
            (*self._rapl.notes, *(note for note in notes if note)),
        )

    def pause_s(self) -> float:
        """Seconds to the next reading: the interval; where draws are sampled, more or less at random.

        A load with a period that fits the interval would show one phase only: 100 W or 700 W in place of 400.
        """
        return self.interval_s * (0.5 + self.shake() if self.nvml.sampled else 1.0)

    def read(self, cause: str) -> Reading:
        """One reading of everything."""
        self._try_rapl()
        energy_uj, power_mw = self.nvml.read()
        for each in self.others:
            more_uj, more_mw = each.read()
            energy_uj |= more_uj
            power_mw |= more_mw
        energy_uj |= self._read_rapl()
        cpu_ms = self.cpu_times.read()
        if not self._rapl.measures_cpu:
            energy_uj[self.model.device.key] = self.model.energy_uj(self.host.awake_ms(), cpu_ms["host"])
        time_ms, mono, slept_ms = self._clocks()
        return Reading(time_ms, mono, self.host.boot_id(), cause, energy_uj, power_mw, cpu_ms, slept_ms)

    def _try_rapl(self) -> None:
        """Looks for zones again from time to time where packages are not metered, or not any more."""
        now = self.monotonic()
        due = now - self._tried_at >= _AGAIN_S
        if due and (not self._rapl.measures_cpu or now - self._silent_since >= _AGAIN_S):
            self._tried_at = now
            self._rapl, self._silent_since = rapl.find(self.powercap, self.wait), float("inf")

    def _read_rapl(self) -> dict[str, int]:
        """The zones' counters; and since when a package has told nothing: it may come back."""
        shown = self._rapl.read()
        packages = [device.key for device in self._rapl.devices if device.component == "cpu"]
        if all(key in shown for key in packages):
            self._silent_since = float("inf")
        else:
            self._silent_since = min(self._silent_since, self.monotonic())
        return shown

    def _clocks(self) -> tuple[int, int, int]:
        """The clock's and the host's milliseconds of one instant, and of suspends; again if held up."""
        for _ in range(5):
            before = self.host.mono_ms()
            real_ms, awake_ms = self.host.real_ms(), self.host.awake_ms()
            after = self.host.mono_ms()
            if after - before <= _HELD_UP_MS:
                break
        slept_ms = after - awake_ms
        return self.clock.at_ms(real_ms), after, slept_ms if slept_ms >= _SLEEP_MS else 0
