"""NVIDIA GPUs through NVML (module `pynvml` of nvidia-ml-py): energy counters, power, processes.

The counter (`nvmlDeviceGetTotalEnergyConsumption`, millijoules since the driver was loaded, Volta and later)
does not alias as sampled power does: sensors of many GPUs look at a part of the time only (arXiv 2312.02741).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidewatt.backends import mig
from tidewatt.backends.meters.journal import Slice
from tidewatt.backends.meters.reading import Device, How

COUNTER = "NVML energy counter"
POWER = "NVML power, integrated"
MOST_W = 2000  # where a GPU states no limit: above any sold today
_BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 60.0)


@dataclass(slots=True)
class _Gpu:
    handle: Any
    uuid: str
    name: str
    index: int
    limit_w: int
    most_w: int = 0  # its limit may be raised again up to the default while we run
    counts: bool = True  # False once NVML has said that there is no energy counter
    divided: bool = False  # into MIG devices
    parts: tuple[mig.Part, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU, or MIG device, as NVML describes it; `limit_w` is 0 where it does not tell.

    Of a MIG device `index` is that of its GPU, and `limit_w` the share of its slices.
    """

    uuid: str
    name: str
    index: int
    limit_w: int


@dataclass(slots=True)
class Nvml:
    """NVML held open. A sick GPU is left out of a reading, never the others, and tried again with backoff."""

    monotonic: Callable[[], float] = time.monotonic
    note: str = ""  # why there is no GPU, or which one is missing
    driver: str = ""
    mig: Mapping[str, Slice] = field(default_factory=dict)
    _gpus: list[_Gpu] | None = None
    _seen: set[str] = field(default_factory=set)  # UUIDs of all GPUs that ever answered
    _failures: int = 0
    _again_at: float = 0.0

    def gpus(self) -> tuple[GpuFacts, ...]:
        """The GPUs that answer now."""
        return tuple(GpuFacts(gpu.uuid, gpu.name, gpu.index, gpu.limit_w) for gpu in self._open())

    def usable(self) -> tuple[GpuFacts, ...]:
        """What jobs can have: the GPUs that are not divided, and the MIG devices of those that are."""
        whole = [gpu for gpu in self.gpus() if gpu.uuid not in {each.uuid for each in self._divided()}]
        parts = [
            GpuFacts(part.uuid, part.name, gpu.index, round(gpu.limit_w * part.slices / part.places))
            for gpu in self._divided()
            for part in gpu.parts
        ]
        return (*whole, *parts)

    def devices(self) -> tuple[Device, ...]:
        """The GPUs as metered devices."""
        return tuple(
            Device(
                f"gpu:{gpu.uuid}",
                "gpu",
                How.MEASURED,
                COUNTER if gpu.counts else POWER,
                limit_w=gpu.most_w or MOST_W,
            )
            for gpu in self._open()
        )

    @property
    def sampled(self) -> bool:
        """Whether a GPU has no counter, so that only its draw at the instants of readings is known."""
        return any(not gpu.counts for gpu in self._gpus or ())

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """Microjoules and milliwatts by device key, each only where the GPU tells it."""
        energy_uj: dict[str, int] = {}
        power_mw: dict[str, int] = {}
        lost = False
        for gpu in self._open():
            key = f"gpu:{gpu.uuid}"
            millijoules, failed = (
                self._ask("nvmlDeviceGetTotalEnergyConsumption", gpu) if gpu.counts else (None, 0)
            )
            if millijoules is not None:
                energy_uj[key] = millijoules * 1000
            milliwatts, failed_too = self._ask("nvmlDeviceGetPowerUsage", gpu)
            if milliwatts is not None:
                power_mw[key] = milliwatts
            lost = lost or bool(failed or failed_too)
        if lost:
            self._fail(self.note or "a GPU does not answer")
        elif self._complete():
            self._failures = 0
        return energy_uj, power_mw

    def processes(self, uuid: str) -> tuple[int, ...]:
        """Pids of compute processes on that GPU, as the driver numbers them; () where it cannot tell."""
        for gpu in self._open():
            if gpu.uuid == uuid:
                found, failed = self._ask("nvmlDeviceGetComputeRunningProcesses", gpu)
                if failed:
                    self._fail(self.note or f"GPU {uuid} does not answer")
                return tuple(process.pid for process in found or ())
            for part in gpu.parts:
                if part.uuid == uuid:
                    found, _ = self._ask("nvmlDeviceGetComputeRunningProcesses", gpu, part.handle)
                    return tuple(process.pid for process in found or ())
        return ()

    def close(self) -> None:
        """Lets NVML go; the next question opens it again."""
        if self._gpus is not None:
            import pynvml

            self._gpus = None
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                return  # the driver went first

    def _divided(self) -> list[_Gpu]:
        return [gpu for gpu in self._open() if gpu.divided]

    def _ask(self, name: str, gpu: _Gpu, handle: Any = None) -> tuple[Any, int]:
        """NVML's answer and 0, or None and the error code; what is merely unsupported is no error."""
        import pynvml

        try:
            return getattr(pynvml, name)(gpu.handle if handle is None else handle), 0
        except pynvml.NVMLError as error:
            quiet = {
                pynvml.NVML_ERROR_NOT_SUPPORTED,
                pynvml.NVML_ERROR_NO_PERMISSION,
                pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            }
            if error.value in quiet:
                if "Energy" in name:
                    gpu.counts = False
                return None, 0
            self.note = f"GPU {gpu.uuid}: {error}"
            return None, error.value

    def _fail(self, note: str) -> None:
        """Notes what is wrong and when to open NVML afresh; until then healthy GPUs are read as they are."""
        self.note = note
        wait_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        if self.monotonic() >= self._again_at:
            self._failures += 1
            self._again_at = self.monotonic() + wait_s

    def _open(self) -> list[_Gpu]:
        retry = self._failures > 0 and self.monotonic() >= self._again_at
        if self._gpus is not None and not retry:
            return self._gpus
        if self._gpus is None and self._failures and not retry:
            return []
        self.close()
        import pynvml

        try:
            pynvml.nvmlInit()
            self.driver = pynvml.nvmlSystemGetDriverVersion()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._fail(_why_none(error))
            return []
        self.note, self.mig = "", {}
        self._gpus = [gpu for index in range(count) if (gpu := self._find(index))]
        if count == 0:
            self.note = f"NVIDIA driver {self.driver}, but no GPU"
        self._seen |= {gpu.uuid for gpu in self._gpus}
        if len(self._gpus) < count or not self._complete():
            self._fail(self.note or "a GPU that was there is gone")
        return self._gpus

    def _complete(self) -> bool:
        return self._gpus is not None and self._seen == {gpu.uuid for gpu in self._gpus}

    def _find(self, index: int) -> _Gpu | None:
        import pynvml

        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = _Gpu(handle, pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle), index, 0)
        except pynvml.NVMLError as error:
            self.note = f"GPU number {index} does not answer: {error}"
            return None
        milliwatts, _ = self._ask("nvmlDeviceGetEnforcedPowerLimit", gpu)
        default_mw, _ = self._ask("nvmlDeviceGetPowerManagementDefaultLimit", gpu)
        gpu.limit_w = round((milliwatts or 0) / 1000)
        gpu.most_w = max(gpu.limit_w, round((default_mw or 0) / 1000))
        self._ask("nvmlDeviceGetTotalEnergyConsumption", gpu)  # sets `counts`
        gpu.divided, gpu.parts = mig.divided(handle), tuple(mig.parts(handle))
        slices = {part.uuid: Slice(gpu.uuid, part.slices, part.places) for part in gpu.parts}
        self.mig = {**self.mig, **slices}
        if gpu.divided and not gpu.parts:
            self.note = f"GPU {gpu.uuid} is divided (MIG), but into no parts yet"
        return gpu


def _why_none(error: Any) -> str:
    import pynvml

    match error.value:
        case pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return "no NVIDIA driver: libnvidia-ml.so.1 was not found"
        case pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
            return "the NVIDIA driver is not loaded"
        case pynvml.NVML_ERROR_NO_PERMISSION:
            return "no permission to use the NVIDIA driver"
        case _:
            return f"NVML does not start: {error}"
