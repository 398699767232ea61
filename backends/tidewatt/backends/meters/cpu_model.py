"""The CPU's energy where no counter can be read: design power times utilisation, labelled as modelled."""

import os
from dataclasses import dataclass

from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.tdp import IDLE_SHARE, Tdp, design_power, this_cpu

KEY = "cpu-model"


@dataclass(frozen=True, slots=True)
class CpuModel:
    """Idle power all the time since boot, the rest of the design power for every busy share of it.

    The counter depends on uptime and busy time only, so it goes on where it was when the meter is restarted.
    """

    tdp: Tdp
    cpus: int

    @property
    def idle_w(self) -> float:
        """Draw of the idle host's CPUs."""
        return round(self.tdp.watts * IDLE_SHARE, 3)

    @property
    def device(self) -> Device:
        """The model as a metered device."""
        source = f"utilisation x {self.tdp.source}"
        limit_w = int(self.tdp.watts) + 1
        return Device(KEY, "cpu", How.MODELLED, source, limit_w=limit_w, idle_w=self.idle_w)

    def energy_uj(self, up_ms: int, busy_ms: int) -> int:
        """Microjoules since boot, of which the host was awake `up_ms` and its CPUs busy for `busy_ms`."""
        return round((self.idle_w * up_ms + (self.tdp.watts - self.idle_w) * busy_ms / self.cpus) * 1000)


def this_model() -> CpuModel:
    """This host's model; TIDEWATT_TDP_W sets its design power."""
    cpu = this_cpu()
    return CpuModel(design_power(cpu, tdp_setting()), cpu.threads)


def tdp_setting() -> float | None:
    """Watts by TIDEWATT_TDP_W; None where that is not a positive number."""
    try:
        watts = float(os.environ.get("TIDEWATT_TDP_W", ""))
    except ValueError:
        return None
    return watts if 0 < watts < float("inf") else None
