"""A stub of NVIDIA's `pynvml` module: the functions that Tidewatt calls, on the file of `fake_nvml.c`."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_FUNCTION_NOT_FOUND = 13
NVML_ERROR_GPU_IS_LOST = 15

MIG_NUMBER = 1000  # the first MIG device is number 1000 in lines about processes

_started = False


class NVMLError(Exception):
    """What NVML answers where it does not answer."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


@dataclass(frozen=True)
class Process:
    """A compute process."""

    pid: int
    usedGpuMemory: int | None = None  # noqa: N815 - NVIDIA's name


@dataclass(frozen=True)
class Attributes:
    """Of a MIG device."""

    computeInstanceSliceCount: int  # noqa: N815 - NVIDIA's name
    gpuInstanceSliceCount: int  # noqa: N815 - NVIDIA's name
    memorySizeMB: int  # noqa: N815 - NVIDIA's name


def _rows(word: str) -> list[list[str]]:
    if not _started:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    lines = [line.split() for line in Path(os.environ["FAKE_NVML"]).read_text().splitlines()]
    for line in lines:
        if line[:1] == ["fail"]:
            raise NVMLError(int(line[1]))
    return [line[1:] for line in lines if line[:1] == [word]]


def _gpu(handle: int | str) -> list[str]:
    row = _rows("gpu")[int(handle)]
    if row[4] == "1":
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return row


def nvmlInit() -> None:  # noqa: N802
    global _started
    _started = True
    try:
        _rows("gpu")
    except NVMLError:
        _started = False
        raise


def nvmlShutdown() -> None:  # noqa: N802
    global _started
    if not _started:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    _started = False


def nvmlSystemGetDriverVersion() -> str:  # noqa: N802
    return "550.54.15"


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return len(_rows("gpu"))


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    _gpu(index)
    return index


def nvmlDeviceGetUUID(handle: int | str) -> str:  # noqa: N802
    return handle if isinstance(handle, str) else _gpu(handle)[0]


def nvmlDeviceGetName(handle: int | str) -> str:  # noqa: N802
    if isinstance(handle, str):
        parent, slices = next((int(row[1]), int(row[2])) for row in _rows("mig") if row[0] == handle)
        return f"{nvmlDeviceGetName(parent)} MIG {slices}g.{10 * slices}gb"
    return _gpu(handle)[1].replace("_", " ")


def nvmlDeviceGetEnforcedPowerLimit(handle: int) -> int:  # noqa: N802
    if limit := int(_gpu(handle)[2]):
        return limit
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


def nvmlDeviceGetPowerManagementDefaultLimit(handle: int) -> int:  # noqa: N802
    return nvmlDeviceGetEnforcedPowerLimit(handle)


def _now_ms() -> int:
    for (told,) in _rows("now"):
        return int(told)
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def _wave(row: list[str], quantum_ms: int = 0) -> tuple[bool, int, int, int, int]:
    now_ms = _now_ms()
    since_ms = now_ms - (now_ms % quantum_ms if quantum_ms else 0) - int(row[5])
    return row[7] == "square", since_ms, int(row[8]), int(row[9]), int(row[10])


def nvmlDeviceGetPowerUsage(handle: int) -> int:  # noqa: N802
    row = _gpu(handle)
    if row[12] == "0":
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    square, since_ms, low, high, period = _wave(row)
    return low if square and since_ms % period < period // 2 else high


def nvmlDeviceGetTotalEnergyConsumption(handle: int) -> int:  # noqa: N802
    row = _gpu(handle)
    if row[3] == "0":
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    if int(row[3]) < 0:
        raise NVMLError(-int(row[3]))
    if row[3] == "2":
        return int(row[6])
    square, since_ms, low, high, period = _wave(row, int(row[11]))
    since_ms = max(0, since_ms)
    if not square:
        return int(row[6]) + since_ms * high // 1000
    half, (whole, phase) = period // 2, divmod(since_ms, period)
    uj = whole * (half * low + (period - half) * high) + min(phase, half) * low + max(0, phase - half) * high
    return int(row[6]) + uj // 1000


def nvmlDeviceGetComputeRunningProcesses(handle: int | str) -> list[Process]:  # noqa: N802
    if isinstance(handle, str):
        handle = MIG_NUMBER + [row[0] for row in _rows("mig")].index(handle)
        return [Process(int(pid)) for part, pid in _rows("process") if int(part) == handle]
    _gpu(handle)
    return [Process(int(pid)) for gpu, pid in _rows("process") if int(gpu) == handle]


def nvmlDeviceGetMigMode(handle: int) -> list[int]:  # noqa: N802
    on = any(int(parent) == handle for _, parent, _ in _rows("mig"))
    return [int(on), int(on)]


def nvmlDeviceGetMaxMigDeviceCount(handle: int) -> int:  # noqa: N802
    _gpu(handle)
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: int, place: int) -> str:  # noqa: N802
    ours = [uuid for uuid, parent, _ in _rows("mig") if int(parent) == handle]
    if place >= len(ours):
        raise NVMLError(NVML_ERROR_NOT_FOUND)
    return ours[place]


def nvmlDeviceGetAttributes(handle: str) -> Attributes:  # noqa: N802
    slices = next(int(slices) for uuid, _, slices in _rows("mig") if uuid == handle)
    return Attributes(slices, slices, 9728 * slices)
