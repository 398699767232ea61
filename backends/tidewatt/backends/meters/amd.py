"""AMD GPUs through AMD SMI (module `amdsmi`, which comes with ROCm): energy accumulator and socket power.

Names and units are those of its Python library (7.0.2): an accumulator in steps of `counter_resolution`
microjoules, called `energy_accumulator` and in earlier versions `power`, and a socket power in watts. What a
GPU does not tell is the text "N/A".
"""

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidewatt.backends.meters.reading import Device, How

COUNTER = "AMD SMI energy accumulator"
POWER = "AMD SMI socket power, sampled"
_AGAIN_S = 60.0
_ALL_ONES = 2**63  # of 64 bits: what a GPU that does not tell may show instead of "N/A"
_MOST_W = 10_000
_STEPS = ("energy_accumulator", "power")
_WATTS = ("socket_power", "current_socket_power", "average_socket_power")


@dataclass(slots=True)
class Amd:
    """AMD SMI held open, where it is installed; a GPU that fails is left out of a reading, the others not."""

    monotonic: Callable[[], float] = time.monotonic
    note: str = ""
    _library: Any = None
    _handles: dict[str, Any] = field(default_factory=dict)  # by device key
    _counts: dict[str, bool] = field(default_factory=dict)
    _tried_at: float = float("-inf")

    def devices(self) -> tuple[Device, ...]:
        """The GPUs as metered devices; those without an accumulator have their power sampled."""
        return tuple(
            Device(key, "gpu", How.MEASURED, COUNTER)
            if self._counts.get(key)
            else Device(key, "gpu", How.MODELLED, POWER)
            for key in self._handles
        )

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """Microjoules and milliwatts by device key, each only where the GPU tells it."""
        self._open()
        energy_uj: dict[str, int] = {}
        power_mw: dict[str, int] = {}
        for key, handle in self._handles.items():
            count = self._ask("amdsmi_get_energy_count", handle)
            steps, size_uj = _number(count, _STEPS), _number(count, ("counter_resolution",))
            if steps and size_uj and steps < _ALL_ONES:  # an accumulator of 0 is one that does not count
                energy_uj[key] = round(steps * size_uj)
                self._counts[key] = True
            watts = _number(self._ask("amdsmi_get_power_info", handle), _WATTS)
            if watts is not None and watts < _MOST_W:
                power_mw[key] = round(watts * 1000)
        return energy_uj, power_mw

    def close(self) -> None:
        """Lets AMD SMI go."""
        if self._library is not None:
            self._library.amdsmi_shut_down()
        self._library, self._handles = None, {}

    def _open(self) -> None:
        """Finds the GPUs, once; where there is none, looks again only after a while."""
        if self._handles or self.monotonic() - self._tried_at < _AGAIN_S:
            return
        self._tried_at = self.monotonic()
        try:
            self._library = importlib.import_module("amdsmi")
        except Exception:  # not installed, or installed without the driver's library: both are no AMD GPU
            self._tried_at = float("inf")
            return
        try:
            self._library.amdsmi_init()
            for handle in self._library.amdsmi_get_processor_handles():
                uuid = str(self._library.amdsmi_get_gpu_device_uuid(handle))
                self._handles[f"gpu:{uuid}"] = handle
        except Exception as error:  # its own exceptions derive from Exception only
            self.note = f"AMD SMI does not start: {error}"

    def _ask(self, name: str, handle: Any) -> Mapping[str, Any]:
        try:
            answer = getattr(self._library, name)(handle)
        except Exception as error:
            self.note = f"AMD SMI {name}: {error}"
            return {}
        return answer if isinstance(answer, Mapping) else {}


def _number(answer: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """The first of these that is a number at all."""
    for name in names:
        value = answer.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
    return None
