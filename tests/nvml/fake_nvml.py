"""GPUs that are not there: a fake libnvidia-ml.so.1, or a stub of `pynvml` where there is no C compiler.

    nvml = FakeNvml.in_folder(tmp_path, build(tmp_path_factory.mktemp("nvml")))  # or None: the stub
    nvml.add("GPU-11111111-...", idle_w=60)
    subprocess.Popen(command, env=os.environ | nvml.environ())
    nvml.set_power("GPU-11111111-...", 400)  # and from now on it draws 400 W

LD_LIBRARY_PATH is read when a process starts, so the library serves processes started with `environ()`, and
what they start. Inside the test's own process call `load_here(library)` once, before the first
`pynvml.nvmlInit()`, and set FAKE_NVML: glibc then finds the loaded library by its SONAME. Power is a
waveform in CLOCK_MONOTONIC time; `energy_j` is its integral.
"""

import ctypes
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MIG_NUMBER = 1000  # the first MIG device is number 1000 in lines about processes


def build(folder: Path) -> Path:
    """Compiles the library with gcc into the folder and returns its path."""
    library = folder / "libnvidia-ml.so.1"
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wl,-soname,libnvidia-ml.so.1",
    ]
    subprocess.run([*command, "-o", str(library), str(HERE / "fake_nvml.c")], check=True, timeout=60)
    return library


def load_here(library: Path) -> None:
    """Makes this process's `pynvml` use the library; the first one loaded stays for the process's life."""
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def now_ms() -> int:
    """The time base of all waveforms."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


@dataclass(frozen=True, slots=True)
class FakeGpu:
    """One GPU as of now; `quantum_ms` is the step in which its counter moves."""

    uuid: str
    name: str = "NVIDIA A100-SXM4-80GB"
    limit_mw: int = 400_000
    counter: int = 1  # 1 counts, 0 has none, 2 stands still at `base_mj`, below 0: its error code
    lost: bool = False
    t0_ms: int = 0
    base_mj: int = 0
    wave: str = "constant"
    low_mw: int = 0
    high_mw: int = 60_000
    period_ms: int = 1000
    quantum_ms: int = 0
    power: bool = True

    def line(self) -> str:
        """Its line in the control file."""
        words = (self.uuid, self.name.replace(" ", "_"), self.limit_mw, int(self.counter), int(self.lost))
        wave = (
            self.t0_ms,
            self.base_mj,
            self.wave,
            self.low_mw,
            self.high_mw,
            self.period_ms,
            self.quantum_ms,
        )
        return " ".join(map(str, ("gpu", *words, *wave, int(self.power))))

    def energy_mj(self, at_ms: int) -> int:
        """The counter at an instant, without its steps."""
        passed = max(0, at_ms - self.t0_ms)
        if self.counter == 2:
            return self.base_mj
        if self.wave != "square":
            return self.base_mj + passed * self.high_mw // 1000
        half = self.period_ms // 2
        whole, phase = divmod(passed, self.period_ms)
        uj = whole * (half * self.low_mw + (self.period_ms - half) * self.high_mw)
        uj += min(phase, half) * self.low_mw + max(0, phase - half) * self.high_mw
        return self.base_mj + uj // 1000


@dataclass(slots=True)
class FakeNvml:
    """The state of the fake GPUs; every change is in the control file when the call returns."""

    control: Path
    library: Path | None
    gpus: dict[str, FakeGpu] = field(default_factory=dict)
    migs: list[tuple[str, str, int]] = field(default_factory=list)
    processes: list[tuple[str, int]] = field(default_factory=list)
    fail: int = 0
    delay_ms: int = 0
    clock: Callable[[], int] = now_ms
    steered: bool = False  # the GPUs' time is that of `clock`; write again whenever it has moved on

    @classmethod
    def in_folder(cls, folder: Path, library: Path | None) -> "FakeNvml":
        """No GPU yet; the control file is in the folder."""
        nvml = cls(folder / "fake_nvml.state", library)
        nvml.write()
        return nvml

    def environ(self) -> dict[str, str]:
        """What a process's environment needs to see these GPUs."""
        if self.library is None:
            path = os.pathsep.join(filter(None, (str(HERE / "stub"), os.environ.get("PYTHONPATH", ""))))
            return {"FAKE_NVML": str(self.control), "PYTHONPATH": path}
        path = os.pathsep.join(
            filter(None, (str(self.library.parent), os.environ.get("LD_LIBRARY_PATH", "")))
        )
        return {"FAKE_NVML": str(self.control), "LD_LIBRARY_PATH": path}

    def add(self, uuid: str, idle_w: float = 60, **facts: Any) -> FakeGpu:
        """Adds a GPU that draws `idle_w` from now on; `facts` are fields of FakeGpu."""
        gpu = FakeGpu(uuid, t0_ms=self.clock(), base_mj=5_000_000, high_mw=round(idle_w * 1000))
        return self.change(uuid, gpu, **facts)

    def set_power(self, uuid: str, watts: float) -> None:
        """From now on it draws so much."""
        self.change(uuid, self._now(uuid), wave="constant", high_mw=round(watts * 1000))

    def set_square(self, uuid: str, low_w: float, high_w: float, period_ms: int) -> None:
        """From now on it draws low and high in turn, half a period each, low first."""
        facts = {"low_mw": round(low_w * 1000), "high_mw": round(high_w * 1000), "period_ms": period_ms}
        self.change(uuid, self._now(uuid), wave="square", **facts)

    def reset_counter(self, uuid: str) -> None:
        """The counter starts from 0, as when the driver is loaded again."""
        self.change(uuid, replace(self._now(uuid), base_mj=0))

    def stick_counter(self, uuid: str) -> None:
        """The counter stands still from now on; the power goes on being told."""
        self.change(uuid, self._now(uuid), counter=2)

    def change(self, uuid: str, gpu: FakeGpu | None = None, **facts: Any) -> FakeGpu:
        """Changes single facts: `lost`, `counter`, `power`, ..."""
        self.gpus[uuid] = replace(gpu or self.gpus[uuid], **facts)
        self.write()
        return self.gpus[uuid]

    def divide(self, *parts: tuple[str, str, int]) -> None:
        """The MIG devices there are: (uuid, that of its GPU, compute slices)."""
        self.migs = list(parts)
        self.write()

    def set_processes(self, *processes: tuple[str, int]) -> None:
        """The compute processes there are: (uuid, pid)."""
        self.processes = list(processes)
        self.write()

    def energy_j(self, uuid: str) -> float:
        """The truth: joules counted until now."""
        return self.gpus[uuid].energy_mj(self.clock()) / 1000

    def write(self) -> None:
        """Puts the state into the control file, at once for every reader."""
        numbers = {uuid: number for number, uuid in enumerate(self.gpus)}
        parts = {uuid: MIG_NUMBER + number for number, (uuid, _, _) in enumerate(self.migs)}
        lines = [f"fail {self.fail}"] if self.fail else []
        lines += [f"delay {self.delay_ms}"] if self.delay_ms else []
        lines += [f"now {self.clock()}"] if self.steered else []
        lines += [gpu.line() for gpu in self.gpus.values()]
        lines += [f"mig {uuid} {numbers[parent]} {slices}" for uuid, parent, slices in self.migs]
        lines += [f"process {(numbers | parts)[uuid]} {pid}" for uuid, pid in self.processes]
        text = "\n".join(lines) + "\n"
        if self.steered:  # whoever steers the time is the only reader
            self.control.write_text(text)
            return
        draft = self.control.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.control)

    def _now(self, uuid: str) -> FakeGpu:
        at_ms = self.clock()
        return replace(self.gpus[uuid], base_mj=self.gpus[uuid].energy_mj(at_ms), t0_ms=at_ms)
