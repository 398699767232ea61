"""A meter for tests: it writes the readings of devices whose draw is known, in the form of the real one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.clock import Clock
from tidewatt.backends.fake_script import Leg
from tidewatt.backends.meters.journal import Header, Journal
from tidewatt.backends.meters.reading import Device, How, Reading

BOOT = "fa4eb007-0000-4000-8000-000000000000"
PACKAGE = "rapl:package-0"
_SINCE_BOOT_MS = 3_600_000
_COUNTERS_UJ = 10**9  # what they show at first


@dataclass(frozen=True, slots=True)
class Load:
    """An attempt with its GPUs, from its start until `end_ms`, and its legs with their times."""

    attempt_id: str
    gpu_uuids: tuple[str, ...]
    start_ms: int
    end_ms: int
    legs: tuple[tuple[int, int, Leg], ...]

    def leg(self, at_ms: int) -> Leg | None:
        """What it does in the millisecond that begins then; its last leg goes on until it ends."""
        if not self.start_ms <= at_ms < self.end_ms:
            return None
        return next((leg for _, end_ms, leg in self.legs if at_ms < end_ms), self.legs[-1][2])

    def edges(self) -> Iterable[tuple[int, str]]:
        """When a supervisor would ask for a reading, and its cause."""
        yield self.start_ms, f"start {self.attempt_id}"
        for first_ms, _, _ in self.legs[1:]:
            if first_ms < self.end_ms:
                yield first_ms, f"phase {self.attempt_id}"
        yield self.end_ms, f"end {self.attempt_id}"


@dataclass(slots=True)
class FakeMeter:
    """Readings of GPUs and one CPU package, from `start_ms` of the clock on: every interval and at all edges.

    `gpus` are idle watts by UUID. The package draws `cpu_idle_w` and `core_w` for each busy core. Energy is
    exact: no draw changes between two readings.
    """

    folder: Path
    gpus: Mapping[str, float]
    start_ms: int
    interval_s: float = 10.0
    cpus: int = 8
    cpu_idle_w: float = 20.0
    core_w: float = 5.0
    clock: Clock = Clock()  # noqa: RUF009 - frozen
    _at_ms: int = 0
    _energy_uj: dict[str, int] = field(default_factory=dict)
    _cpu_ms: dict[str, int] = field(default_factory=lambda: {"host": 0})
    _told: set[tuple[int, str]] = field(default_factory=set)
    _journal: Journal | None = None

    def write(self, until_ms: int, loads: Iterable[Load]) -> None:
        """Writes all readings that are due by then; `loads` say what has happened so far."""
        loads = tuple(loads)
        if self._journal is None:
            self._begin(loads)
        edges: dict[int, list[str]] = {}
        for at_ms, cause in sorted(edge for load in loads for edge in load.edges()):
            if self._at_ms <= at_ms <= until_ms and (at_ms, cause) not in self._told:
                edges.setdefault(at_ms, []).append(cause)
        step_ms = round(self.interval_s * 1000)
        next_ms = self._at_ms - (self._at_ms - self.start_ms) % step_ms + step_ms
        for at_ms in sorted({*range(next_ms, until_ms + 1, step_ms), *edges}):
            power_mw = self._power_mw(loads)
            self._pass(at_ms, loads, power_mw)
            for cause in edges.get(at_ms, ["tick"]):
                self._told.add((at_ms, cause))
                self._take(cause, loads, power_mw)

    def _begin(self, loads: tuple[Load, ...]) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal = Journal(self.folder)
        self._at_ms = self.start_ms
        self._energy_uj = dict.fromkeys([*(f"gpu:{uuid}" for uuid in self.gpus), PACKAGE], _COUNTERS_UJ)
        self._take("tick", loads, self._power_mw(()))

    def _pass(self, at_ms: int, loads: tuple[Load, ...], power_mw: Mapping[str, int]) -> None:
        """Lets all counters run; nothing changes on the way."""
        passed_ms = at_ms - self._at_ms
        for key, draw_mw in power_mw.items():
            self._energy_uj[key] += draw_mw * passed_ms
        for load in loads:
            leg = load.leg(self._at_ms)
            busy_ms = 0 if leg is None else round(leg.cores * passed_ms)
            self._cpu_ms["host"] += busy_ms
            self._cpu_ms[load.attempt_id] = self._cpu_ms.get(load.attempt_id, 0) + busy_ms
        self._at_ms = at_ms

    def _power_mw(self, loads: tuple[Load, ...]) -> dict[str, int]:
        """What each device draws from now on."""
        draw_w = {f"gpu:{uuid}": idle_w for uuid, idle_w in self.gpus.items()} | {PACKAGE: self.cpu_idle_w}
        for load in loads:
            leg = load.leg(self._at_ms)
            if leg is None:
                continue
            draw_w[PACKAGE] += self.core_w * leg.cores
            if leg.gpu_w is not None:
                draw_w |= {f"gpu:{uuid}": leg.gpu_w for uuid in load.gpu_uuids if uuid in self.gpus}
        return {key: round(watts * 1000) for key, watts in draw_w.items()}

    def _take(self, cause: str, loads: tuple[Load, ...], power_mw: Mapping[str, int]) -> None:
        """One reading; it shows the draw of the time before it, as a sensor's average does."""
        known = {load.attempt_id for load in loads if load.start_ms <= self._at_ms <= load.end_ms}
        cpu_ms = {name: spent for name, spent in self._cpu_ms.items() if name in {"host", *known}}
        mono_ms = _SINCE_BOOT_MS + round((self._at_ms - self.start_ms) / self.clock.factor)
        shown_mw = {key: draw_mw for key, draw_mw in power_mw.items() if key != PACKAGE}
        reading = Reading(self._at_ms, mono_ms, BOOT, cause, dict(self._energy_uj), shown_mw, cpu_ms)
        assert self._journal is not None  # noqa: S101 - `write` has opened it
        self._journal.append(reading, self._header(), durable=False)

    def _header(self) -> Header:
        gpus = [Device(f"gpu:{uuid}", "gpu", How.MEASURED, "NVML energy counter") for uuid in self.gpus]
        package = Device(PACKAGE, "cpu", How.MEASURED, "RAPL", range_uj=2**48)
        return Header(BOOT, self.cpus, round(self.interval_s * 1000), self.clock, (*gpus, package))
