"""A host whose time is passed by the test: the production bench and journal on the hardware of a scene."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.meters.scene import Scene
from tests.meters.truth import Wave
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.bench import Bench, HostTime
from tidewatt.backends.meters.cpu_model import CpuModel, this_model
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.journal import Journal
from tidewatt.backends.meters.nvml import Nvml
from tidewatt.backends.meters.reading import Usage
from tidewatt.backends.meters.tdp import this_cpu

_BOOTS = ("b0070000-0000-4000-8000-000000000001", "b0070000-0000-4000-8000-000000000002")


@dataclass(slots=True)
class _Times:
    """All CPU time is the attempt's, from its start on."""

    host: "Host"

    def read(self) -> dict[str, int]:
        threads = this_cpu().threads
        times = {"host": self.host.awake_ms() * threads}
        if self.host.started_ms is not None:
            since_ms = self.host.started_ms
            until_ms = self.host.ended_ms or self.host.now_ms
            times["1.1"] = (until_ms - since_ms - self.host.slept_since(since_ms)) * threads
        return times


@dataclass(slots=True)
class Host(Scene):
    """A scene whose milliseconds are a number; one attempt, 1.1, runs on it."""

    folder: Path = Path()
    now_ms: int = 1_000_000
    interval_s: float = 10.0
    wall_shift_ms: int = 0
    boot_ms: int = 0
    boots: int = 0
    sleeps: list[tuple[int, int]] = field(default_factory=list)
    bench: Bench | None = None
    journal: Journal | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    model: CpuModel = field(default_factory=this_model)
    due_ms: int = 0

    @classmethod
    def in_folder(cls, folder: Path, library: Path | None, *_: object) -> "Host":
        """A host without devices."""
        scene = Scene.in_folder(folder, library, lambda: 0)
        host = cls(scene.nvml, scene.powercap, scene.truth, scene.clock, folder / "readings")
        host.clock = host.nvml.clock = host.powercap.clock = lambda: host.now_ms
        host.nvml.steered = True
        host.folder.mkdir()
        return host

    def wall_ms(self) -> int:
        """What the wall clock shows."""
        return self.now_ms + self.wall_shift_ms

    def awake_ms(self) -> int:
        """Milliseconds since boot that the host was not suspended."""
        return self.now_ms - self.boot_ms - self.slept_since(self.boot_ms)

    def slept_since(self, from_ms: int) -> int:
        """Milliseconds of suspend since then."""
        return sum(end - start for start, end in self.sleeps if start >= from_ms)

    def start_meter(self) -> None:
        """A meter as its process would begin; nothing of an earlier one is in it."""
        time = HostTime(
            self.wall_ms, lambda: self.now_ms - self.boot_ms, self.awake_ms, lambda: _BOOTS[self.boots]
        )

        def monotonic() -> float:
            return self.awake_ms() / 1000

        self.bench = Bench(
            _Times(self),
            Clock(),
            self.interval_s,
            self.powercap.root,
            Nvml(monotonic),
            self.model,
            monotonic,
            host=time,
            shake=random.Random(self.now_ms).random,
            wait=lambda seconds: self.move_to(self.now_ms + round(seconds * 1000)),
        )
        self.journal = Journal(self.folder)
        self.due_ms = self.now_ms

    def kill_meter(self) -> None:
        """The meter is gone, in the midst of a line."""
        if self.journal:
            self.journal.close()
        if self.bench:
            self.bench.nvml.close()
        self.bench = self.journal = None
        for path in self.folder.glob("*.jsonl"):
            with open(path, "ab") as file:
                file.write(b'{"time_ms":17172')

    def read(self, cause: str) -> None:
        """A reading for a supervisor; it starts a meter where there is none, as the client does."""
        if self.bench is None:
            self.start_meter()
        self._read(cause)

    def _read(self, cause: str) -> None:
        if self.bench and self.journal:
            reading = self.bench.read(cause)
            self.journal.append(reading, self.bench.header(), durable=False)

    def move_to(self, at_ms: int) -> None:
        """Time has passed, without a reading."""
        self.now_ms = at_ms
        self.show()

    def show(self) -> None:
        """All instruments show what is now."""
        self.nvml.write()
        self.powercap.write()

    def run_until(self, at_ms: int) -> None:
        """Time passes, with the readings that are due in it."""
        while self.bench and self.due_ms <= at_ms:
            self.move_to(max(self.now_ms, self.due_ms))
            self._read("tick")
            self.due_ms += round((self.bench.pause_s() if self.bench else self.interval_s) * 1000)
        self.move_to(max(self.now_ms, at_ms))

    def suspend(self, seconds: float, *, counters: str) -> None:
        """The host sleeps: nothing draws, no reading is taken, CLOCK_BOOTTIME goes on."""
        waves = self._off()
        start_ms = self.now_ms
        self.move_to(start_ms + round(seconds * 1000))
        self.sleeps.append((start_ms, self.now_ms))
        self.due_ms += self.now_ms - start_ms
        self._on(waves)
        if counters == "reset":
            self._counters_from_0()

    def set_clock(self, by_s: float) -> None:
        """The wall clock is set."""
        self.wall_shift_ms += round(by_s * 1000)

    def reboot(self, seconds: float) -> None:
        """Off, and on again after so long; whoever needs the meter starts it again."""
        waves = self._off()
        self.kill_meter()
        self.move_to(self.now_ms + round(seconds * 1000))
        self.boots += 1
        self.boot_ms = self.now_ms
        self._on(waves)
        self._counters_from_0()
        self.start_meter()

    def _off(self) -> dict[str, Wave]:
        waves = {device: pieces[-1][1] for device, pieces in self.truth.pieces.items()}
        for device in waves:
            self.draw(device, Wave(0))
        return waves

    def _on(self, waves: dict[str, Wave]) -> None:
        for device, wave in waves.items():
            self.draw(device, wave)
        self.show()

    def _counters_from_0(self) -> None:
        for uuid in self.nvml.gpus:
            self.reset_counter(uuid)
        self.powercap.restart()

    def used(self, uuids: Iterable[str], start_wall_ms: int, end_wall_ms: int) -> Usage:
        """What the attempt used, by the readings kept."""
        return usage(self.folder, "1.1", tuple(uuids), start_wall_ms, end_wall_ms)
