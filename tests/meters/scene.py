"""The hardware of a fault case: GPUs behind the fake NVML, a powercap folder, and the truth about both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.meters.powercap import Powercap, Zone
from tests.meters.truth import Truth, Wave
from tests.nvml.fake_nvml import FakeNvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of a case; `facts` are those of the fake: `counter`, `power`, `quantum_ms`, `limit_mw`."""

    uuid: str
    wave: Wave
    facts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Scene:
    """Devices that draw, show it, and break as a case says; `clock` is the scene's time in milliseconds."""

    nvml: FakeNvml
    powercap: Powercap
    truth: Truth
    clock: Callable[[], int]

    @classmethod
    def in_folder(cls, folder: Path, library: Path | None, clock: Callable[[], int]) -> "Scene":
        """Nothing yet: no GPU, no zone, and no powercap folder either."""
        nvml = FakeNvml.in_folder(folder, library)
        nvml.clock = clock
        truth = Truth()
        return cls(nvml, Powercap(folder / "powercap", truth, clock), truth, clock)

    def add_gpu(self, gpu: Gpu) -> None:
        """A GPU that draws from now on."""
        self.nvml.add(gpu.uuid, limit_mw=gpu.facts.get("limit_mw", 700_000))
        self.nvml.change(gpu.uuid, None, **gpu.facts)
        self.draw(gpu.uuid, gpu.wave)

    def add_zone(self, zone: Zone) -> None:
        """A powercap zone; what it shows must draw already."""
        self.powercap.add(zone)

    def draw(self, device: str, wave: Wave) -> None:
        """From now on the device draws so."""
        if device in self.nvml.gpus:
            if wave.period_ms:
                self.nvml.set_square(device, wave.low_w, wave.high_w, wave.period_ms)
            else:
                self.nvml.set_power(device, wave.high_w)
        self.truth.draw(device, wave, self.clock())

    def change_gpu(self, uuid: str, **facts: int) -> None:
        """Facts of the fake GPU are others from now on."""
        self.nvml.change(uuid, None, **facts)

    def lose(self, uuid: str) -> None:
        """The GPU has fallen off the bus."""
        self.nvml.change(uuid, lost=True)

    def find(self, uuid: str) -> None:
        """It is back; its counter has gone on."""
        self.nvml.change(uuid, lost=False)

    def fail(self, code: int) -> None:
        """Every call into the driver fails; 0 ends that."""
        self.nvml.fail = code
        self.nvml.write()

    def load_driver_again(self) -> None:
        """The driver answers again, and has counted from 0."""
        for uuid in self.nvml.gpus:
            self.reset_counter(uuid)
        self.fail(0)

    def reset_counter(self, uuid: str) -> None:
        """The GPU's counter starts from 0; the fake's wave begins anew with it, and so does the truth's."""
        self.nvml.reset_counter(uuid)
        self._begin_wave_anew(uuid)

    def stick_counter(self, uuid: str) -> None:
        """The GPU's counter stands still; its power does not."""
        self.nvml.stick_counter(uuid)
        self._begin_wave_anew(uuid)

    def _begin_wave_anew(self, uuid: str) -> None:
        self.truth.draw(uuid, self.truth.pieces[uuid][-1][1], self.clock())

    def suspend(self, _seconds: float, *, counters: str) -> None:
        """The whole host sleeps; its counters then "go on" or "reset"."""
        raise NotImplementedError(f"only a simulated host sleeps (counters {counters})")

    def set_clock(self, _by_s: float) -> None:
        """Somebody sets the wall clock."""
        raise NotImplementedError("only a simulated host's clock is set")

    def kill_meter(self) -> None:
        """The meter is gone at once, in the midst of a line."""
        raise NotImplementedError("only a simulated meter is killed")

    def start_meter(self) -> None:
        """Another meter begins."""
        raise NotImplementedError("only a simulated meter is started")

    def reboot(self, _seconds: float) -> None:
        """The host is off for so long, and starts with another boot id and counters from 0."""
        raise NotImplementedError("only a simulated host is restarted")
